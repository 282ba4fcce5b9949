"""How the index of a dataset lies on disk."""
