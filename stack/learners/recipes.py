"""The recipes that make one model of several backbones, and the rows of the table that score them."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.stack.learners.registry import BASE_LEARNERS
from stackbone.stack.solvers.large.streamed import is_large

STACKS = ("oof", "published")
"""Recipes that are fitted beside the baselines unless others are asked for."""

_PUBLISHED = "published"

_PLAIN = {"mean": "mean", "concat": "concat"}


def recipe_rows() -> dict[str, str]:
    """Return each recipe with the row that scores it; the verdict is about the first that was asked for."""
    found = [each.name for each in BASE_LEARNERS.values() if each.sees_all]
    return {"oof": "stack:oof", **{name: f"stack:{name}" for name in found}, **_PLAIN}


def affordable(recipes: Sequence[str], n_train: int, dim: int) -> tuple[list[str], list[str]]:
    """Return the recipes to run on so many training rows and columns, and what to say of one that is left out.

    The published recipe is other libraries' code, which holds several copies of all training rows. Where fits stream
    them (`stack.solvers.large.streamed`), it is run if it was asked for by itself, and not beside another.
    """
    if _PUBLISHED not in recipes[1:] or not is_large(n_train, dim):
        return list(recipes), []
    note = (
        f"stack:{_PUBLISHED} was left out: it holds several copies of its {n_train:,} x {dim:,} training features in "
        f"memory, where the other models stream them. Ask for it by itself with --recipe {_PUBLISHED}"
    )
    return [each for each in recipes if each != _PUBLISHED], [note]
