"""Reading, checking and splitting a person's examples."""
