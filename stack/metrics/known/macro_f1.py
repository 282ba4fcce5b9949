"""The mean F1 of the classes that occur in truth or prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class MacroF1(Metric):
    """See the module."""

    name = "macro_f1"
    task = "classification"
    title = "macro-F1"
    place = 1

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        predicted = scores.argmax(axis=1)
        named = np.bincount(np.concatenate([truth, predicted]))
        right = np.bincount(truth[truth == predicted], minlength=len(named))
        found = np.flatnonzero(named)
        return float((2 * right[found] / named[found]).mean())


METRIC = MacroF1()
