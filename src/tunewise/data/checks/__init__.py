"""Finding what would spoil a verdict in data that could be read, a small module a concern."""
