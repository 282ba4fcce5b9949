"""What a saved model says of each tested image, beside its label, as a table for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackbone.stack.judging.model_test import ModelTest
from stackbone.stack.models.answers import to_columns

_TYPES = {"path": str, "label": str, "labels": str, "value": float}


def answer_rows(test: ModelTest, top: int = 3) -> dict[str, list[str | float | None]]:
    """Return ``path``, ``label`` and the columns of ``predict --csv``, without ``trained_on``: none of them was.

    Parameters
    ----------
    test : ModelTest
        The test.
    top : int
        Classes to name for each image, at most.
    """
    said = to_columns(test.answers(top))
    paths = said.pop("path")
    said.pop("trained_on")
    return {"path": paths, "label": test.joined.labels.tolist(), **said}


def answer_types(rows: Mapping[str, Sequence[object]]) -> dict[str, type]:
    """Return what columns of `answer_rows` hold that may have no value in any row."""
    return {name: kind for name, kind in _TYPES.items() if name in rows}
