"""From rows to the sides that they stand on."""
