"""Linear probe: a classifier on features that stay as they are."""
