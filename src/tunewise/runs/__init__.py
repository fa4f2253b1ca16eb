"""Everything a run keeps on disk, and reading it again."""
