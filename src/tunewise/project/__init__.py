"""From tunewise.toml to a checked project."""
