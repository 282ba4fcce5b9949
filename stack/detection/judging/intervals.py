"""How sure AP50 over folds is: tested images are drawn anew within each fold, groups whole.

It knows how much the choice of test images matters, not that of training images. See
`stack.detection.scores.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.scores.bootstrap import DRAWS, SHARE, draw_images
from stackbone.stack.metrics.compare import BOOTSTRAP, Difference


def draw_folds(
    sizes: Iterable[int], groups: Iterable[NDArray[np.int64] | None], seed: int, draws: int = DRAWS
) -> Iterator[NDArray[np.uint16]]:
    """Yield for each fold ``(draws, n_images)`` how often each of its tested images is drawn, for every detector alike.

    Parameters
    ----------
    sizes : iterable of int
        Images in each test part.
    groups : iterable of NDArray[np.int64] or None
        What is drawn together in each; None where each image is drawn by itself.
    seed : int
        Of the draws.
    draws : int
        How many.
    """
    for number, (size, together) in enumerate(zip(sizes, groups, strict=True)):
        yield draw_images(size, seed + number, draws, together)


def mean_of_folds(drawn: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return ``(draws,)`` means over folds of ``(draws,)`` scores of each, of those folds that have one.

    A fold that scores no class (NaN) takes no part, as it takes none in the score itself; nor does, in one draw, a fold
    of whose objects none is drawn. NaN where that leaves no fold.
    """
    table = np.array(drawn)
    is_scored = ~np.isnan(table)
    total, n_scored = np.where(is_scored, table, 0).sum(axis=0), is_scored.sum(axis=0)
    return np.asarray(np.divide(total, n_scored, out=np.full(len(total), np.nan), where=n_scored > 0))


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
