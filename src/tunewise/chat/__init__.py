"""From a conversation to text, and from text to tokens with their loss mask."""
