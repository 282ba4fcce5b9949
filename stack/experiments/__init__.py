"""A whole experiment: run, recorded, repeated, and checked on itself."""
