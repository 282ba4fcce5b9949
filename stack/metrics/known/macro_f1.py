"""The mean F1 of the classes that occur in truth or prediction."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.metrics import f1_score

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class MacroF1(Metric):
    """See the module."""

    name = "macro_f1"
    task = "classification"
    place = 1

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(f1_score(truth, scores.argmax(axis=1), average="macro", zero_division=0))


METRIC = MacroF1()
