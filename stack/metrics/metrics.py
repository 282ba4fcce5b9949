"""Scores in numbers: how often a model is right, and how well it knows.

Class codes and class scores (or numbers, in regression) flow in, plain floats flow out, ready for a table or for JSON.
Nothing here knows what made the scores. No number is ever NaN: what cannot be said of the scores at hand, such as a
log-loss of decision values, is left out. Each metric is a file of `stack.metrics.known`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.plugins import Plugins
from stackbone.stack.metrics.checks import Scores, check_log_probabilities, check_numbers, check_scores
from stackbone.stack.metrics.metric import Metric

METRICS: Plugins[Metric] = Plugins(
    Metric,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.metrics",
    "stackbone.stack.metrics.known",
    "METRIC",
    order=lambda each: each.place,
)


def class_metrics(truth: NDArray[np.int64], scores: Scores, *, probability: bool) -> dict[str, float]:
    """Measure class scores against the truth.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``: the highest of a row is the prediction, the first of equals.
    probability : bool
        Whether the scores are natural-log probabilities, and not decision values.

    Returns
    -------
    dict of str to float
        Every metric of classes that these scores allow, by name: see `stack.metrics.known`.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, a code has no column, a score is NaN or plus infinity, or
        the scores are said to be log probabilities and are not.
    """
    check_scores(truth, scores)
    if probability:
        check_log_probabilities(scores)
    return _measure("classification", truth, scores, probability=probability)


def regression_metrics(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Measure predicted numbers against the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n,)`` values in the label's unit.

    Returns
    -------
    dict of str to float
        Every metric of numbers, by name: see `stack.metrics.known`.

    Raises
    ------
    StackError
        If there are no rows, lengths disagree, or a value is not finite.
    """
    check_numbers(truth, predicted)
    return _measure("regression", truth.astype(np.float64), predicted.astype(np.float64), probability=False)


def _measure(task: str, truth: NDArray[Any], scores: Scores, *, probability: bool) -> dict[str, float]:
    found = {
        each.name: each.measure(truth, scores, probability=probability)
        for each in METRICS.values()
        if each.task == task
    }
    return {name: number for name, number in found.items() if number is not None}
