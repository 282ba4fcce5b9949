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
    """Return ``(draws,)`` means of AP50 over the folds that have one, each of images drawn anew.

    A fold that scores no class takes no part, as it takes none in the score itself; nor does, in one draw, a fold of
    whose objects none is drawn. NaN where that leaves no fold. The same seed and the same images give the same draws,
    whatever detector they are of.

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
    total, n_scored = np.zeros(draws), np.zeros(draws, np.int64)
    for number, (matches, together) in enumerate(zip(folds, groups, strict=True)):
        times = draw_images(len(matches.n_objects), seed + number, draws, together)
        found = mean_precision(matches, times)
        is_scored = ~np.isnan(found)
        total[is_scored] += found[is_scored]
        n_scored += is_scored
    return np.asarray(np.divide(total, n_scored, out=np.full(draws, np.nan), where=n_scored > 0))


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the 95% interval of what was drawn; 0 and 1 where no draw has a score."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return float(low), float(high)


def difference(value: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Return by how much the first of two detectors is better, of paired draws; `value` is the difference itself."""
    each = (a - b)[~np.isnan(a - b)]
    if not each.any():
        return Difference(value, None, None, 1.0, BOOTSTRAP)
    low, high = interval(each)
    tail = min(int((each <= 0).sum()), int((each >= 0).sum()))
    return Difference(value, low, high, min(1.0, 2 * (1 + tail) / (1 + len(each))), BOOTSTRAP)
