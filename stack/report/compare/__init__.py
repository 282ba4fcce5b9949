"""The page of several results, side by side."""
