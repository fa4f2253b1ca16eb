"""The verdict for people: terminal and HTML."""
