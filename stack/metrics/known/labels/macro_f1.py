"""The mean over labels of the F1 of each; a label that is neither there nor said is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.several.labels import label_f1


class LabelMacroF1(Metric):
    """See the module."""

    name = "label_macro_f1"
    task = "multilabel"
    title = "macro-F1"
    place = 22
    aliases = ("macro_f1", "f1_macro")
    least = 0.0
    most = 1.0
    in_points = True
    of_decisions = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        found = label_f1(truth, scores, weights)
        return None if np.isnan(found).all() else float(np.nanmean(found))


METRIC = LabelMacroF1()
