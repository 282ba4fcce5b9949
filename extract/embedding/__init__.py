"""Embed images into the cache: for datasets, for predictions, and once more to check what is there."""
