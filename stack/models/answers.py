"""Answers of a model about images, as rows and tables for people, spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbone.cache.labels.sets import join_names
from stackbone.cache.text import counted
from stackbone.stack.models.unlike.novelty import UNLIKE

_IN_WORDS = {True: "yes", False: "no", None: "unknown"}  # for people


@dataclass(frozen=True)
class Answer:
    """What a model says about one image.

    Attributes
    ----------
    path
        The image.
    ranked
        (class, calibrated probability from 0 to 1), the most probable first; empty for regression. Of labels that an
        image can have several of, all, in the order of the model.
    value
        The predicted number, in the unit of the labels; None where none, or several are predicted.
    trained_on
        Whether the model was fitted on this image, so that its answer says nothing of how it does on new ones; None
        where that is unknown.
    labels
        Those that the image is said to have, where it can have several; else None.
    further_than
        Share of the training images, 0 to 1, that it is further away than: see `stack.models.unlike.novelty`. None
        where the model cannot tell.
    values
        The predicted numbers by name, each in its own unit, where there are several; else None.
    """

    path: str
    ranked: list[tuple[str, float]]
    value: float | None = None
    trained_on: bool | None = None
    labels: list[str] | None = None
    further_than: float | None = None
    values: dict[str, float] | None = None

    @property
    def unlike(self) -> bool | None:
        """Whether it is further away than nearly all training images are; None where the model cannot tell."""
        return None if self.further_than is None else self.further_than >= UNLIKE

    def to_dict(self) -> dict[str, object]:
        """Return it as a JSON-able row, by column."""
        return dict(zip(columns([self]), self.cells(), strict=True))

    def cells(self) -> list[str | float | None]:
        """Return it as one row of a table for programs, with the columns of `columns`."""
        last: list[str | float | None] = [self.trained_on]
        last += [] if self.further_than is None else [self.unlike, self.further_than]
        if self.labels is not None:
            probabilities = (probability for _, probability in self.ranked)
            return [self.path, join_names(self.labels), *probabilities, *last]
        numbers = [*(self.values or {}).values()] if self.value is None else [self.value]
        return [self.path, *numbers, *(cell for pair in self.ranked for cell in pair), *last]


def columns(answers: Sequence[Answer]) -> list[str]:
    """Return the titles: ``path, class_1, probability_1, ..., trained_on``, or ``path, value, trained_on``.

    Of images that can have several labels ``path, labels, probability:LABEL, ..., trained_on``, and of several numbers
    ``path, value:NUMBER, ..., trained_on``. ``unlike`` and ``further_than`` come last where the model can tell.
    """
    can_tell = answers and answers[0].further_than is not None
    last = ["trained_on", *(["unlike", "further_than"] if can_tell else [])]
    if not answers or answers[0].value is not None:
        return ["path", "value", *last]
    if answers[0].values is not None:
        return ["path", *(f"value:{name}" for name in answers[0].values), *last]
    if answers[0].labels is not None:
        return ["path", "labels", *(f"probability:{name}" for name, _ in answers[0].ranked), *last]
    ranks = range(1, len(answers[0].ranked) + 1)
    return ["path", *(f"{name}_{rank}" for rank in ranks for name in ("class", "probability")), *last]


def about_training(answers: Sequence[Answer]) -> str | None:
    """Return in a sentence what answers on images that the model was fitted on are worth; None if there are none."""
    known = sum(each.trained_on is True for each in answers)
    if known:
        images = f"{known:,} of {counted(len(answers), 'image')} {'is' if known == 1 else 'are'}"
        return (
            f"{images} among those that the model was fitted on (see trained_on): what it says of "
            f"{'this one' if known == 1 else 'these'} tells nothing of new images"
        )
    if any(each.trained_on is None for each in answers):
        return (
            "whether the model was fitted on some of these images is unknown: its file is from before models recorded "
            "that. Save it again with `stackbone stack --save FILE` to know"
        )
    return None


def table_columns(answers: Sequence[Answer]) -> list[str]:
    """Return the titles of the columns for people: ``path, class, probability, 2nd, 3rd, ...``, or ``path, value``.

    Of images that can have several labels ``path, labels, next``: the most probable that is not said to be there.
    Of several numbers ``path`` and their names.

    Then comes ``trained_on`` where the model was fitted on some of the images, and ``unlike`` where some are.
    """
    last = _said_of_some(answers)
    if not answers or answers[0].value is not None:
        return ["path", "value", *last]
    if answers[0].values is not None:
        return ["path", *answers[0].values, *last]
    if answers[0].labels is not None:
        return ["path", "labels", "next", *last]
    return ["path", "class", "probability", *(_nth(rank) for rank in range(2, len(answers[0].ranked) + 1)), *last]


def table_rows(answers: Sequence[Answer]) -> list[list[str]]:
    """Return one row of cells per image for people: probabilities to three digits, each behind its class."""
    rows = []
    said = _said_of_some(answers)
    for each in answers:
        last = [_IN_WORDS[getattr(each, name)] for name in said]
        if each.value is not None:
            rows.append([each.path, f"{each.value:g}", *last])
        elif each.values is not None:
            rows.append([each.path, *(f"{value:g}" for value in each.values.values()), *last])
        elif each.labels is not None:
            ranked = sorted(each.ranked, key=lambda pair: -pair[1])
            there = [f"{name} {p:.3f}" for name, p in ranked if name in each.labels]
            unsaid = (f"{name} {p:.3f}" for name, p in ranked if name not in each.labels)
            rows.append([each.path, ", ".join(there) or "none", next(unsaid, "-"), *last])
        else:
            (name, probability), *others = each.ranked
            rows.append([each.path, name, f"{probability:.3f}", *(f"{other} {p:.3f}" for other, p in others), *last])
    return rows


def _said_of_some(answers: Sequence[Answer]) -> list[str]:
    """Return what is true of some images, as columns for people."""
    return [name for name in ("trained_on", "unlike") if any(getattr(each, name) for each in answers)]


def to_columns(answers: Sequence[Answer]) -> dict[str, list[str | float | None]]:
    """Return the answers as a table for programs, by column: those of `columns`."""
    rows = [each.cells() for each in answers]
    return {name: [row[i] for row in rows] for i, name in enumerate(columns(answers))}


def _nth(rank: int) -> str:
    ending = "th" if 10 < rank % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"
