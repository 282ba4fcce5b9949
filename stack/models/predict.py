"""What a model says about images, for people, spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import check_choice
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.text import to_json
from stackbone.stack.models.model import StackModel

FORMATS = ("table", "csv", "jsonl")


@dataclass(frozen=True)
class Answer:
    """What a model says about one image.

    Attributes
    ----------
    path
        The image.
    ranked
        (class, calibrated probability from 0 to 1), the most probable first; empty for regression.
    value
        The predicted number, in the unit of the labels; None for classification.
    """

    path: str
    ranked: list[tuple[str, float]]
    value: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-able object."""
        if self.value is not None:
            return {"path": self.path, "value": self.value}
        return {"path": self.path, "classes": [{"class": name, "probability": p} for name, p in self.ranked]}

    def cells(self) -> list[str | float]:
        """Return it as one row of a table with the columns of `columns`."""
        numbers: list[str | float] = [] if self.value is None else [self.value]
        return [self.path, *numbers, *(cell for pair in self.ranked for cell in pair)]


def check_format(name: str) -> None:
    """Raise `UsageError`, with the likely spelling, unless `name` is one of `FORMATS`."""
    check_choice("--format", name, FORMATS)


def predict(
    model: StackModel, paths: Sequence[str], blocks: Mapping[str, NDArray[np.float32]], *, top: int = 3
) -> list[Answer]:
    """Return what the model says about each image.

    Parameters
    ----------
    model
        Of either task.
    paths
        The n images.
    blocks
        As of `StackModel.log_probabilities`: ``(n, dim)`` features by backbone name, in the order of `paths`.
    top
        Classes to name for each image, at most; of equally probable ones the first in the model's order.

    Raises
    ------
    ModelError
        If the features are not what the model takes.
    """
    if not model.classes:
        values = model.predict_values(blocks)
        return [Answer(path, [], _rounded(value)) for path, value in zip(paths, values, strict=True)]
    probabilities = np.exp(model.log_probabilities(blocks))
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        Answer(path, [(model.classes[code], round(float(row[code]), 6)) for code in codes])
        for path, row, codes in zip(paths, probabilities, order, strict=True)
    ]


def columns(answers: Sequence[Answer]) -> list[str]:
    """Return the titles of the columns: ``path, class_1, probability_1, ...``, or ``path, value``."""
    if not answers or answers[0].value is not None:
        return ["path", "value"]
    ranks = range(1, len(answers[0].ranked) + 1)
    return ["path", *(f"{name}_{rank}" for rank in ranks for name in ("class", "probability"))]


def table_rows(answers: Sequence[Answer]) -> list[list[str]]:
    """Return one row of cells per image for people: probabilities to three digits."""
    return [[cell if isinstance(cell, str) else _short(each, cell) for cell in each.cells()] for each in answers]


def to_csv(answers: Sequence[Answer]) -> str:
    """Return a CSV table with a header line, its text guarded against spreadsheets: see `cache.csv_text`."""
    return csv_lines([columns(answers), *(each.cells() for each in answers)])


def to_json_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield one JSON object per image."""
    for each in answers:
        yield to_json(each.to_dict())


def _rounded(value: np.float64) -> float:
    return float(f"{value:.7g}")  # what single precision knows


def _short(answer: Answer, number: float) -> str:
    return f"{number:.3f}" if answer.value is None else f"{number:g}"
