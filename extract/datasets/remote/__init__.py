"""Datasets behind URLs: what lies there is listed by its names, and read as the same would be on this machine."""
