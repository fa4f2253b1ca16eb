"""From an answer and its target to a score."""
