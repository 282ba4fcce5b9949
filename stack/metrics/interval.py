"""How sure the score of one model is on the test part of a single split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.compare import bootstrap_difference
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.metrics.resample import resampled


def split_interval(
    metric: Metric,
    truth: NDArray[Any],
    prediction: Prediction,
    *,
    seed: int,
    weights: Weights = None,
    groups: NDArray[np.int64] | None = None,
) -> tuple[float, float] | None:
    """Return the middle 95% of a metric over draws of the tested images.

    Parameters
    ----------
    metric : Metric
        What is measured.
    truth : NDArray
        ``(n,)`` class codes or numbers, or ``(n, n_labels)`` ones and zeros.
    prediction : Prediction
        What the model says of these rows.
    seed : int
        Of the draws.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for.
    groups : NDArray[np.int64], optional
        ``(n,)`` group of each row; groups are drawn whole.

    Returns
    -------
    tuple of float, optional
        None where the draws do not vary, which tells nothing of how sure the number is.
    """
    if metric.name == "accuracy" and weights is None:  # all draws at once
        right = prediction.scores.argmax(axis=1) == truth
        found = bootstrap_difference(right, np.zeros_like(right), seed=seed, groups=groups)
        return None if found.low is None or found.high is None else (found.low, found.high)
    drawn = resampled(metric, truth, prediction, seed=seed, weights=weights, groups=groups).drawn
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) < 2 or np.ptp(drawn) == 0:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return low, high
