"""The recipes that make one model of several backbones, and the rows of the table that score them."""

ROWS = {"oof": "stack:oof", "published": "stack:published", "mean": "mean", "concat": "concat"}
"""Recipe to the row that scores it. Each can be saved; the verdict is about the first that was asked for."""

STACKS = ("oof", "published")
"""Recipes that are fitted beside the baselines unless others are asked for."""
