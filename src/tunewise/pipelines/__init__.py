"""One page for each job of the command line."""
