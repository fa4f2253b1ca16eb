"""Writing a first tunewise.toml for a folder of files."""
