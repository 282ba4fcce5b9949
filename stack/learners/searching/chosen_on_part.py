"""Strengths of regularisation of large fits, chosen on a part of the training rows.

To choose C, inner folds are fitted for one C after another: of a million images hundreds of passes over all features,
for a number that hardly depends on how many there are, since the penalty stands for one prior whatever the number of
rows. So a fit whose rows are streamed chooses C on a part of them and is then fitted on all rows, inner folds included,
with that C alone.

The part has about the same share of every class, or of the images with and without every label, in every inner fold.
Rare ones have more: `LEAST` rows, or fewer where there are so many classes that rare ones would fill half of the part,
but one at least, so that no inner fold loses a class.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.large.streamed import is_large

Rows = NDArray[np.int64]

MOST_VALUES = 2**27
"""Values of the rows that C is chosen on: 512 MiB of float32."""

LEAST = 20
"""Rows of a class in an inner fold that take part, however small their share, where there is room for so many."""


def part_to_choose_on(y: NDArray[np.integer], folds: Sequence[Fold], dim: int) -> Rows | None:
    """Return the ascending rows that C is chosen on; None for all of them, as of every fit that is not streamed.

    They are at most `MOST_VALUES` // `dim`, or one of each class (of each side of a label) for each inner fold that
    tests it, where these are more.

    Parameters
    ----------
    y : NDArray[np.integer]
        ``(n,)`` class codes of the training part; or ``(n, n_labels)``, 1 where a row has a label, else 0.
    folds : sequence of Fold
        Its inner folds; no row is in more than one test part.
    dim : int
        Columns of its features.
    """
    n = len(y)
    if not is_large(n, dim):
        return None
    most, places = min(n, MOST_VALUES // dim), _places(n, folds)
    drawn = np.random.default_rng(0).permutation(n)
    return np.sort(_of_classes(y, places, drawn, most) if y.ndim == 1 else _of_labels(y, places, drawn, most))


def part_settings(n_rows: int, dim: int) -> dict[str, object]:
    """Return what choosing on a part adds to the settings of a fit of so many rows and columns."""
    return {"chosen_on": [MOST_VALUES, LEAST]} if is_large(n_rows, dim) else {}


def say_chosen_on(n_part: int, n: int) -> None:
    """Say that C was chosen on a part of the rows; the sentence stays with the fit, kept scores included."""
    message = (
        f"C was chosen on {n_part:,} of {n:,} training rows, a larger share of what is rare, since the fit is large; "
        "all rows were then fitted with it"
    )
    warnings.warn(message, UserWarning, stacklevel=3)


def _places(n: int, folds: Sequence[Fold]) -> Rows:
    """Return ``(n,)`` numbers, from 0, alike for rows that the same folds train on and the same folds test."""
    places = np.zeros(n, np.int64)
    for fold in folds:
        state = np.zeros(n, np.int64)
        state[fold.train], state[fold.test] = 1, 2
        places = np.unique(3 * places + state, return_inverse=True)[1]
    return places


def _of_classes(y: NDArray[np.integer], places: Rows, drawn: Rows, most: int) -> Rows:
    """Return rows of every class in every place: the largest share that leaves them at most so many."""
    cell = y * (int(places.max()) + 1) + places
    order = drawn[np.argsort(cell[drawn], kind="stable")]
    sizes = np.bincount(cell)
    least = next((few for few in range(LEAST, 1, -1) if 2 * np.minimum(sizes, few).sum() <= most), 1)
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _taken(sizes, middle, least).sum() <= most else (low, middle)
    rank = np.arange(len(y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[rank < np.repeat(_taken(sizes, low, least), sizes)]


def _taken(sizes: Rows, share: float, least: int) -> Rows:
    taken: Rows = np.maximum(np.floor(share * sizes).astype(np.int64), np.minimum(sizes, least))
    return taken


def _of_labels(presence: NDArray[np.integer], places: Rows, drawn: Rows, most: int) -> Rows:
    """Return rows with and without every label in every place, and others as they come, up to so many."""
    least = LEAST
    chosen = _both_sides(presence, places, drawn, least)
    while 2 * chosen.sum() > most and least > 1:
        least //= 2
        chosen = _both_sides(presence, places, drawn, least)
    others = drawn[~chosen[drawn]]
    return np.concatenate([np.flatnonzero(chosen), others[: max(0, most - int(chosen.sum()))]])


def _both_sides(presence: NDArray[np.integer], places: Rows, drawn: Rows, least: int) -> NDArray[np.bool_]:
    """Return ``(n,)`` which rows to take for this many of either side of every label in every place, few beyond."""
    n, n_places = len(places), int(places.max()) + 1
    chosen = np.zeros(n, np.bool_)
    n_with = presence.sum(axis=0, dtype=np.int64)
    for label in np.argsort(np.minimum(n_with, n - n_with), kind="stable"):  # rare sides first: they bring the others
        cell = (2 * places + presence[:, label])[drawn]
        taken = np.bincount(cell[chosen[drawn]], minlength=2 * n_places)
        for number in np.flatnonzero(taken < np.minimum(np.bincount(cell, minlength=2 * n_places), least)):
            own = drawn[cell == number]
            chosen[own[~chosen[own]][: least - taken[number]]] = True
    return chosen
