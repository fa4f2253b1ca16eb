"""From a trained adapter to what others can load."""
