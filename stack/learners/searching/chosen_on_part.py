"""Strengths of regularisation of large fits, chosen on a part of the training rows.

To choose C, inner folds are fitted for one C after another: of a million images hundreds of passes over all features,
for a number that hardly depends on how many there are, since the penalty stands for one prior whatever the number of
rows. So a fit whose rows are streamed chooses C on a part of them, the same share of every class in every inner fold,
and is then fitted on all rows, inner folds included, with that C alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.large.streamed import is_large

MOST_VALUES = 2**27
"""Values of the rows that C is chosen on: 512 MiB of float32."""

LEAST = 20
"""Rows of a class in an inner fold that all take part, however small their share."""


def part_to_choose_on(y: NDArray[np.int64], folds: Sequence[Fold], dim: int) -> NDArray[np.int64] | None:
    """Return the ascending rows that C is chosen on; None for all of them, as of every fit that is not streamed.

    Parameters
    ----------
    y : NDArray[np.int64]
        ``(n,)`` class codes of the training part.
    folds : sequence of Fold
        Its inner folds; no row is in more than one test part.
    dim : int
        Columns of its features.
    """
    n = len(y)
    if not is_large(n, dim):
        return None
    share = MOST_VALUES / dim / n
    tested_in = np.full(n, len(folds))
    for number, fold in enumerate(folds):
        tested_in[fold.test] = number
    cell = y * (len(folds) + 1) + tested_in
    drawn = np.random.default_rng(0).permutation(n)
    order = drawn[np.argsort(cell[drawn], kind="stable")]
    sizes = np.bincount(cell)
    taken = np.maximum(np.ceil(share * sizes), np.minimum(sizes, LEAST)).astype(np.int64)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place < np.repeat(taken, sizes)])


def part_settings(n_rows: int, dim: int) -> dict[str, object]:
    """Return what choosing on a part adds to the settings of a fit of so many rows and columns."""
    return {"chosen_on": [MOST_VALUES, LEAST]} if is_large(n_rows, dim) else {}


def say_chosen_on(n_part: int, n: int) -> None:
    """Say that C was chosen on a part of the rows; the sentence stays with the fit, kept scores included."""
    message = (
        f"C was chosen on {n_part:,} of {n:,} training rows, the same share of every class, since the fit is large; "
        "all rows were then fitted with it"
    )
    warnings.warn(message, UserWarning, stacklevel=3)
