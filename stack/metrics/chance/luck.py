"""How far luck reaches beyond chance, and what to do where a score lies further."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold

DEVIATIONS = 4.0
"""One false alarm in 30,000 of a normal distribution, for each model."""

ADVICE = (
    "Test images are known to the training part: look for near copies (--near-duplicates 0.98) and groups "
    "(--group-by); do not trust the scores until this passes"
)


def tested_rows(folds: Sequence[Fold]) -> NDArray[np.int64]:
    """Return the rows that a fold tests, ascending, each once."""
    rows: NDArray[np.int64] = np.unique(np.concatenate([fold.test for fold in folds]))
    return rows


def count_independent(tested: NDArray[np.int64], groups: NDArray[np.int64] | None) -> tuple[float, int]:
    """Return how many independent images some images are worth, and in how many groups they are.

    Of groups that share labels as a whole that is Kish's effective number (Kish 1965, Survey Sampling, section 8.2),
    the square of the images over the sum of the squares of the groups' sizes.

    Parameters
    ----------
    tested : NDArray[np.int64]
        Rows.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group of each image; by default each is its own.
    """
    sizes = np.ones(len(tested)) if groups is None else np.unique(groups[tested], return_counts=True)[1]
    return len(tested) ** 2 / float(np.square(sizes, dtype=np.float64).sum()), len(sizes)


def too_few(n_tested: int, n_groups: int, independent: float, chance: float) -> str:
    """Return the message where any score could be luck."""
    return (
        f"too few images for a self-check: the {n_tested} tested, in {n_groups} groups of images that belong "
        f"together or look the same, count as {independent:.0f}; chance is {chance:.3f}, and every score could be "
        "luck. Add images that differ"
    )
