"""Look after a cache."""
