"""The recipes that make one model of several backbones, and the rows of the table that score them."""

from __future__ import annotations

from stackbone.stack.learners.registry import BASE_LEARNERS

STACKS = ("oof", "published")
"""Recipes that are fitted beside the baselines unless others are asked for."""

_PLAIN = {"mean": "mean", "concat": "concat"}


def recipe_rows() -> dict[str, str]:
    """Return each recipe with the row that scores it; the verdict is about the first that was asked for."""
    found = [each.name for each in BASE_LEARNERS.values() if each.sees_all]
    return {"oof": "stack:oof", **{name: f"stack:{name}" for name in found}, **_PLAIN}
