"""How sure AP50 over folds is: tested images are drawn anew within each fold, groups whole.

It knows how much the choice of test images matters, not that of training images. See
`stack.detection.scores.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.scores.bootstrap import DRAWS, SHARE, draw_images, mean_precision
from stackbone.stack.detection.scores.matching import Matches
from stackbone.stack.metrics.compare import BOOTSTRAP, Difference


def draw(
    folds: Sequence[Matches], groups: Sequence[NDArray[np.int64] | None], seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Return ``(draws,)`` means over folds of AP50, each of images drawn anew.

    The same seed and the same images give the same draws, whatever detector they are of.

    Parameters
    ----------
    folds : sequence of Matches
        Of each test part.
    groups : sequence of NDArray[np.int64] or None
        What is drawn together in each; None where each image is drawn by itself.
    seed : int
        Of the draws.
    draws : int
        How many.
    """
    total = np.zeros(draws)
    for number, (matches, together) in enumerate(zip(folds, groups, strict=True)):
        times = draw_images(len(matches.n_objects), seed + number, draws, together)
        total += np.nan_to_num(mean_precision(matches, times))
    return total / len(folds)


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the 95% interval of what was drawn."""
    low, high = np.quantile(drawn, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def difference(value: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Return by how much the first of two detectors is better, of paired draws; `value` is the difference itself."""
    each = a - b
    if not each.any():
        return Difference(value, None, None, 1.0, BOOTSTRAP)
    low, high = interval(each)
    tail = min(int((each <= 0).sum()), int((each >= 0).sum()))
    return Difference(value, low, high, min(1.0, 2 * (1 + tail) / (1 + len(each))), BOOTSTRAP)
