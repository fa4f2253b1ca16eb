"""From a row to an example."""
