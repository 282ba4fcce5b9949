"""How sure average precision is: tested images are drawn with replacement, within each fold, groups whole.

The bootstrap over images (Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3), paired where two
detectors are compared. It knows how much the choice of test images matters, not that of training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.judging.matches import ClassMatches, average_precision
from stackbone.stack.metrics.compare import BOOTSTRAP, Difference

N_DRAWS = 1000
CONFIDENCE = 0.95

_AT_ONCE = 100  # draws: what they take of memory is draws times detections


@dataclass(frozen=True, eq=False)
class FoldMatches:
    """What a detector made of one test part.

    Attributes
    ----------
    classes : dict of int to ClassMatches
        Of the classes that are scored there, by number.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` what is drawn together; None where each image is drawn by itself.
    """

    classes: dict[int, ClassMatches]
    groups: NDArray[np.int64] | None = None

    @property
    def n_images(self) -> int:
        """Images of the test part."""
        return next(iter(self.classes.values())).n_images

    def mean_precision(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return ``(n_draws,)`` the mean average precision over the classes that a draw has objects of."""
        found = np.array([average_precision(each, weights) for each in self.classes.values()])
        known = ~np.isnan(found)
        total: NDArray[np.float64] = np.where(known, found, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return total


def ap50(folds: Sequence[FoldMatches]) -> float:
    """Return the mean over folds of AP50."""
    return float(np.mean([each.mean_precision()[0] for each in folds]))


def draw(folds: Sequence[FoldMatches], seed: int, n_draws: int = N_DRAWS) -> NDArray[np.float64]:
    """Return ``(n_draws,)`` means over folds of AP50, each of images drawn anew.

    The same seed and the same images give the same draws, whatever detector they are of.
    """
    total = np.zeros(n_draws)
    for number, fold in enumerate(folds):
        rng = np.random.default_rng([seed, number])
        unit = np.arange(fold.n_images) if fold.groups is None else np.unique(fold.groups, return_inverse=True)[1]
        n_units = int(unit.max()) + 1
        for start in range(0, n_draws, _AT_ONCE):
            n = min(_AT_ONCE, n_draws - start)
            times = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n)
            total[start : start + n] += fold.mean_precision(times[:, unit].astype(np.float64))
    return total / len(folds)


def interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the 95% interval of what was drawn."""
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def difference(value: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> Difference:
    """Return by how much the first of two detectors is better, of paired draws; `value` is the difference itself."""
    each = a - b
    if not each.any():
        return Difference(value, None, None, 1.0, BOOTSTRAP)
    low, high = interval(each)
    tail = min(int((each <= 0).sum()), int((each >= 0).sum()))
    return Difference(value, low, high, min(1.0, 2 * (1 + tail) / (1 + len(each))), BOOTSTRAP)
