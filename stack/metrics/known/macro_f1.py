"""The mean F1 of the classes that occur in truth or prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class MacroF1(Metric):
    """See the module."""

    name = "macro_f1"
    task = "classification"
    title = "macro-F1"
    place = 1
    aliases = ("f1_macro",)
    least = 0.0
    most = 1.0

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        predicted = scores.argmax(axis=1)
        both = None if weights is None else np.concatenate([weights, weights])
        named = np.bincount(np.concatenate([truth, predicted]), both)
        hit = truth == predicted
        right = np.bincount(truth[hit], None if weights is None else weights[hit], minlength=len(named))
        found = np.flatnonzero(named)
        return float((2 * right[found] / named[found]).mean())


METRIC = MacroF1()
