"""What a model says about images, for people, spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import check_choice
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.disk.digest import Digests
from stackbone.cache.text import counted, to_json
from stackbone.stack.models.model import StackModel

_TRAINED_ON = {True: "yes", False: "no", None: "unknown"}

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
    trained_on
        Whether the model was fitted on this image, so that its answer says nothing of how it does on new ones; None
        where that is unknown.
    """

    path: str
    ranked: list[tuple[str, float]]
    value: float | None = None
    trained_on: bool | None = None

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-able object."""
        if self.value is not None:
            return {"path": self.path, "value": self.value, "trained_on": self.trained_on}
        ranked = [{"class": name, "probability": p} for name, p in self.ranked]
        return {"path": self.path, "classes": ranked, "trained_on": self.trained_on}

    def cells(self) -> list[str | float]:
        """Return it as one row of a table with the columns of `columns`."""
        numbers: list[str | float] = [] if self.value is None else [self.value]
        return [self.path, *numbers, *(cell for pair in self.ranked for cell in pair), _TRAINED_ON[self.trained_on]]


def check_format(name: str) -> None:
    """Raise `UsageError`, with the likely spelling, unless `name` is one of `FORMATS`."""
    check_choice("--format", name, FORMATS)


def predict(
    model: StackModel,
    paths: Sequence[str],
    blocks: Mapping[str, NDArray[np.float32]],
    *,
    top: int = 3,
    digests: Digests | None = None,
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
    digests
        ``(n, 32)`` SHA-256 of the images, by which those are found that the model was fitted on.

    Raises
    ------
    ModelError
        If the features are not what the model takes.
    """
    known = None if digests is None else model.knows(digests)
    trained_on: list[bool | None] = [None] * len(paths) if known is None else known.tolist()
    if not model.classes:
        values = model.predict_values(blocks)
        rows = zip(paths, values, trained_on, strict=True)
        return [Answer(path, [], _rounded(value), is_known) for path, value, is_known in rows]
    probabilities = np.exp(model.log_probabilities(blocks))
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        Answer(path, [(model.classes[code], round(float(row[code]), 6)) for code in codes], trained_on=is_known)
        for path, row, codes, is_known in zip(paths, probabilities, order, trained_on, strict=True)
    ]


def columns(answers: Sequence[Answer]) -> list[str]:
    """Return the titles: ``path, class_1, probability_1, ..., trained_on``, or ``path, value, trained_on``."""
    if not answers or answers[0].value is not None:
        return ["path", "value", "trained_on"]
    ranks = range(1, len(answers[0].ranked) + 1)
    return ["path", *(f"{name}_{rank}" for rank in ranks for name in ("class", "probability")), "trained_on"]


def about_training(answers: Sequence[Answer]) -> str | None:
    """Return in a sentence what answers on images that the model was fitted on are worth; None if there are none."""
    known = sum(each.trained_on is True for each in answers)
    if known:
        images = f"{known:,} of {counted(len(answers), 'image')} {'is' if known == 1 else 'are'}"
        return (
            f"{images} among those that the model was fitted on (trained_on: yes): what it says of "
            f"{'this one' if known == 1 else 'these'} tells nothing of new images"
        )
    if any(each.trained_on is None for each in answers):
        return (
            "whether the model was fitted on some of these images is unknown: its file is from before models recorded "
            "that. Save it again with `stackbone stack --save FILE` to know"
        )
    return None


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
