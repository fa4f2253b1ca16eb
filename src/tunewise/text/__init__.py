"""What counts as the same text, and what counts as a word: said once for every other room."""
