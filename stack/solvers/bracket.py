"""Brackets around the step lengths of a line search, for many searches at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class Bracket:
    """Between which step lengths each group's minimum along its direction lies, and the next to try."""

    def __init__(self, slope: Doubles) -> None:
        self.trial = np.ones(len(slope))
        self._low, self._high = np.zeros(len(slope)), np.full(len(slope), np.inf)
        self._slope_low = slope.copy()

    def narrow(self, groups: NDArray[np.int64], slope: Doubles, low_enough: NDArray[np.bool_]) -> None:
        """Take in the slopes found at the trials of these groups."""
        t, low, high = self.trial[groups], self._low[groups], self._high[groups]
        reach, fall = t - low, self._slope_low[groups]
        # Where the line's slope, taken for linear between `low` and the trial, would vanish.
        secant = low + reach * np.divide(fall, fall - slope, out=np.full(len(t), 2.0), where=slope > fall)
        short = (slope < 0) & low_enough
        longer = np.where(np.isinf(high), np.clip(secant, 1.5 * t, 10 * t), t + (high - t) / 2)
        shorter = np.clip(secant, low + 0.1 * reach, low + 0.9 * reach)
        self.trial[groups] = np.where(short, longer, shorter)
        self._slope_low[groups] = np.where(short, slope, fall)
        self._low[groups], self._high[groups] = np.where(short, t, low), np.where(short, high, t)
