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
from stackbone.stack.metrics.label_scores import check_labels_scored
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


def label_metrics(presence: NDArray[np.int8], scores: Scores, said: NDArray[np.bool_]) -> dict[str, float]:
    """Measure scores of labels, of which an image can have several, against the truth.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where a row has a label, else 0.
    scores : NDArray of float
        ``(n, n_labels)`` natural-log probabilities of each label by itself.
    said : NDArray[np.bool_]
        ``(n, n_labels)`` whether a row is said to have a label.

    Returns
    -------
    dict of str to float
        Every metric of labels, by name: see `stack.metrics.known.labels`.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, no row has a label, or the scores are no log-probabilities.
    """
    check_labels_scored(presence, scores)
    return _measure("multilabel", presence, scores, probability=True, said=said.astype(np.float64))


def _measure(
    task: str, truth: NDArray[Any], scores: Scores, *, probability: bool, said: Scores | None = None
) -> dict[str, float]:
    found = {
        each.name: each.measure(
            truth, said if each.of_decisions and said is not None else scores, probability=probability
        )
        for each in METRICS.values()
        if each.task == task
    }
    return {name: number for name, number in found.items() if number is not None}
