"""What labels say in terms of a saved model, which knows certain classes or labels and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.labels.numbers import as_number, split_numbers
from stackbone.cache.labels.sets import split_names
from stackbone.cache.text import counted
from stackbone.stack.tasks.targets import find_targets
from stackbone.stack.tasks.truth import Truth


@dataclass(frozen=True, eq=False)
class KnownLabels:
    """Labels as a saved model knows them.

    Attributes
    ----------
    truth : Truth
        Of the images of `rows`; its classes are those of the model, in the model's order.
    rows : NDArray[np.int64]
        ``(n_known,)`` ascending positions of the images that the model can be right about.
    unknown : dict of str to int
        Names that the model does not know, with how many images have them.
    """

    truth: Truth
    rows: NDArray[np.int64]
    unknown: dict[str, int] = field(default_factory=dict)


def known_classes(labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
    """Return ``(n_images,)`` class names as codes; images of classes that the model does not know are left out."""
    code_of = {name: code for code, name in enumerate(classes)}
    codes = np.array([code_of.get(str(label), -1) for label in labels], np.int64)
    unknown = Counter(str(label) for label in labels[codes < 0])
    return KnownLabels(
        Truth(codes[codes >= 0], np.array(classes, np.str_)), np.flatnonzero(codes >= 0), dict(sorted(unknown.items()))
    )


def known_sets(labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
    """Return which of the model's labels each image has; of an image with others, those that it knows count.

    Where no image has a label that the model knows, and some have others, no image is of any use: these are of another
    vocabulary, which is not to say that the model's labels are absent.
    """
    column = {name: code for code, name in enumerate(classes)}
    presence = np.zeros((len(labels), len(classes)), np.int8)
    unknown: Counter[str] = Counter()
    for row, text in enumerate(labels):
        names = split_names(str(text))
        presence[row, [column[name] for name in names if name in column]] = 1
        unknown.update(name for name in names if name not in column)
    rows = np.arange(0 if unknown and not presence.any() else len(labels))
    return KnownLabels(Truth(presence[rows], np.array(classes, np.str_)), rows, dict(sorted(unknown.items())))


def known_numbers(labels: NDArray[np.str_]) -> KnownLabels:
    """Return the numbers that ``(n_images,)`` labels spell.

    Raises
    ------
    StackError
        If one spells none.
    """
    values = find_targets(labels)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        message = (
            f"the model predicts numbers, and {len(wrong):,} of {counted(len(labels), 'label')} "
            f"{'is no number' if len(wrong) == 1 else 'are no numbers'}; the first is {str(labels[wrong[0]])!r}. "
            "Name the column of a table that has them with --label-column, or correct them"
        )
        raise StackError(message)
    return KnownLabels(Truth(values, np.empty(0, np.str_)), np.arange(len(labels)))


def known_several(labels: NDArray[np.str_], targets: Sequence[str]) -> KnownLabels:
    """Return what ``(n_images,)`` labels spell of the numbers that a model predicts; they may spell others too.

    Raises
    ------
    StackError
        If one lacks a number of the model's, or spells none.
    """
    values = np.empty((len(labels), len(targets)))
    unknown: Counter[str] = Counter()
    for row, text in enumerate(labels):
        cells = split_numbers(str(text))
        lacking = [name for name in targets if name not in cells]
        if lacking:
            message = (
                f"the model predicts the numbers {', '.join(targets)}, and the label {str(text)!r} has no "
                f"{', '.join(lacking)}. Name the columns of all of these numbers with --label-columns"
            )
            raise StackError(message)
        for column, name in enumerate(targets):
            number = as_number(cells[name])
            if number is None:
                message = (
                    f"the number {name!r} of the label {str(text)!r} is {cells[name]!r}; expected one with a decimal "
                    "point and without its unit, such as 41.5: correct the column of the table"
                )
                raise StackError(message)
            values[row, column] = number
        unknown.update(name for name in cells if name not in targets)
    truth = Truth(values, np.empty(0, np.str_), np.array(targets, np.str_))
    return KnownLabels(truth, np.arange(len(labels)), dict(sorted(unknown.items())))
