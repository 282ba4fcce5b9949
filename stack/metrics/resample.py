"""How sure a metric is on the test part of a single split: its images are drawn again and again, and measured.

`stack.metrics.compare.bootstrap_difference` does the same for accuracy, where all draws are one multinomial.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.compare import BOOTSTRAP, Difference
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.model_scores import Prediction

MOST_RESAMPLES = 1000
LEAST_RESAMPLES = 200

_VALUES = 2e8  # scores that are measured in all, about

_Groups = NDArray[np.int64] | None


@dataclass(frozen=True, eq=False)
class Resampled:
    """One model's metric on the tested rows, and on draws of them.

    Attributes
    ----------
    whole : float
        Of all rows; NaN where the metric cannot measure the model.
    drawn : NDArray[np.float64]
        ``(n_draws,)`` of each draw, NaN where it cannot be told. The same seed draws the same rows for every model.
    """

    whole: float
    drawn: NDArray[np.float64]


def resampled_difference(metric: Metric, a: Resampled, b: Resampled, *, confidence: float = 0.95) -> Difference | None:
    """Compare two models by any metric: the paired bootstrap of `stack.metrics.compare.bootstrap_difference`.

    Parameters
    ----------
    metric : Metric
        What is measured.
    a, b : Resampled
        Both models on the same draws.
    confidence : float
        Of the interval.

    Returns
    -------
    Difference, optional
        By how much `a` is the better; None where the metric cannot measure one of them.
    """
    if np.isnan([a.whole, b.whole]).any():
        return None
    mean = metric.merit(a.whole) - metric.merit(b.whole)
    differences = metric.merit(1.0) * (a.drawn - b.drawn)
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2 or np.ptp(differences) == 0:
        return Difference(mean, None, None, 1.0 if mean == 0 else None, BOOTSTRAP, confidence)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p_value = min(1.0, 2 * (1 + tail) / (1 + len(differences)))
    return Difference(mean, float(low), float(high), p_value, BOOTSTRAP, confidence)


def resampled(
    metric: Metric,
    truth: NDArray[Any],
    prediction: Prediction,
    *,
    seed: int,
    weights: Weights = None,
    groups: _Groups = None,
) -> Resampled:
    """Measure one model on all rows, and on draws of them.

    Parameters
    ----------
    metric : Metric
        What is measured.
    truth : NDArray
        ``(n,)`` class codes, or numbers.
    prediction : Prediction
        What the model says of these rows.
    seed : int
        Of the draws.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for.
    groups : NDArray[np.int64], optional
        ``(n,)`` group of each row; groups are drawn whole.
    """
    whole = _measure(metric, truth, prediction, weights)
    n_draws = int(np.clip(_VALUES / prediction.scores.size, LEAST_RESAMPLES, MOST_RESAMPLES))
    found = np.full(n_draws, np.nan)
    for number, counts in enumerate(_draws(len(truth), n_draws, seed, groups)):
        rows = np.flatnonzero(counts)
        own = counts[rows].astype(np.float64)
        if weights is not None:
            own *= weights[rows]
        found[number] = _measure(metric, truth[rows], _take(prediction, rows), own)
    return Resampled(whole, found)


def _draws(n: int, n_draws: int, seed: int, groups: _Groups) -> Iterator[NDArray[np.int64]]:
    """Yield how often each row is drawn, in draws of as many groups as there are."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    for _ in range(n_draws):
        yield np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[group]


def _take(prediction: Prediction, rows: NDArray[np.int64]) -> Prediction:
    return Prediction(prediction.scores[rows], prediction.probability, prediction.thresholds)


def _measure(metric: Metric, truth: NDArray[Any], prediction: Prediction, weights: Weights) -> float:
    scores = prediction.present.astype(np.float64) if metric.of_decisions else prediction.scores
    value = metric.measure(truth, scores, probability=prediction.probability, weights=weights)
    return np.nan if value is None else value
