"""Images drawn again with replacement (Efron 1979, Annals of Statistics 7(1), 1-26), and the score of each draw.

`stack.detection.judging.intervals` makes intervals of such scores over folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.scores.matching import Matches, average_precision

DRAWS = 1000
SHARE = 0.95

_BLOCK = 1 << 18  # counts that are drawn at a time

Doubles = NDArray[np.float64]


def draw_images(
    n_images: int, seed: int, draws: int = DRAWS, groups: NDArray[np.integer] | None = None
) -> NDArray[np.uint16]:
    """Return ``(draws, n_images)`` how often each image is drawn; images of one group, ``(n_images,)``, together.

    Two bytes hold a count: that one of many images is drawn more than 65,535 times does not happen.
    """
    numbers = None if groups is None else np.unique(groups, return_inverse=True)[1]
    n = n_images if numbers is None else int(numbers.max(initial=-1)) + 1
    drawn = np.zeros((draws, n_images), np.uint16)
    if not n:
        return drawn
    rng, shares = np.random.default_rng(seed), np.full(n, 1 / n)
    step = max(1, _BLOCK // n)
    for start in range(0, draws, step):
        counts = rng.multinomial(n, shares, min(step, draws - start))
        drawn[start : start + step] = counts if numbers is None else counts[:, numbers]
    return drawn


def mean_precision(matches: Matches, draws: NDArray[np.integer] | None = None) -> Doubles:
    """Return the mean over thresholds and classes of `average_precision`: one number, or ``(D,)`` for each draw."""
    found = average_precision(matches, draws)
    told = ~np.isnan(found)
    total, n = np.where(told, found, 0).sum(axis=(-2, -1)), told.sum(axis=(-2, -1))
    return np.asarray(np.divide(total, n, out=np.full_like(np.asarray(total, float), np.nan), where=n > 0))
