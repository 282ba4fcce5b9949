"""Commands that look around in a dataset by its cached features."""
