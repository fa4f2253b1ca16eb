"""Documents cut into passages, and the search over them."""
