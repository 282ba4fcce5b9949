"""Scores in numbers: how often a model is right, and how well it knows.

Class codes and class scores (or numbers, in regression) flow in, plain floats flow out, ready for a table or for JSON.
Nothing here knows what made the scores. No number is ever NaN: what cannot be said of the scores at hand, such as a
log-loss of decision values, is left out. Each metric is a file of `stack.metrics.known`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import nearest
from stackbone.cache.errors import UsageError
from stackbone.cache.plugins import Plugins
from stackbone.stack.metrics.checks import Scores, check_log_probabilities, check_numbers, check_scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.several.labels import check_labels_scored
from stackbone.stack.metrics.several.targets import check_targets_scored

METRICS: Plugins[Metric] = Plugins(
    Metric,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.metrics",
    "stackbone.stack.metrics.known",
    "METRIC",
    order=lambda each: each.place,
)


def class_metrics(
    truth: NDArray[np.int64],
    scores: Scores,
    *,
    probability: bool,
    weights: Weights = None,
    asked: str | None = None,
) -> dict[str, float]:
    """Measure class scores against the truth.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``: the highest of a row is the prediction, the first of equals.
    probability : bool
        Whether the scores are natural-log probabilities, and not decision values.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, above 0.
    asked : str, optional
        Name of a metric that is measured beside those that always are.

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
    return _measure("classification", truth, scores, asked, probability=probability, weights=weights)


def regression_metrics(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    weights: Weights = None,
    asked: str | None = None,
) -> dict[str, float]:
    """Measure predicted numbers against the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n,)`` values in the label's unit.
    weights, asked
        As of `class_metrics`.

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
    values = truth.astype(np.float64), predicted.astype(np.float64)
    return _measure("regression", *values, asked, probability=False, weights=weights)


def target_metrics(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    weights: Weights = None,
    asked: str | None = None,
) -> dict[str, float]:
    """Measure several predicted numbers of each row against the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n, n_targets)`` values, each column in its own unit.
    weights, asked
        As of `class_metrics`.

    Returns
    -------
    dict of str to float
        Every metric of several numbers, by name: see `stack.metrics.known.targets`.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, or a value is not finite.
    """
    check_targets_scored(truth, predicted)
    return _measure("multitarget", truth, predicted, asked, probability=False, weights=weights)


def label_metrics(
    presence: NDArray[np.int8],
    scores: Scores,
    said: NDArray[np.bool_],
    *,
    weights: Weights = None,
    asked: str | None = None,
) -> dict[str, float]:
    """Measure scores of labels, of which an image can have several, against the truth.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where a row has a label, else 0.
    scores : NDArray of float
        ``(n, n_labels)`` natural-log probabilities of each label by itself.
    said : NDArray[np.bool_]
        ``(n, n_labels)`` whether a row is said to have a label.
    weights, asked
        As of `class_metrics`.

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
    decided = said.astype(np.float64)
    return _measure("multilabel", presence, scores, asked, probability=True, weights=weights, decided=decided)


def find_metric(task: str, name: str) -> Metric:
    """Return the metric that a user means.

    Parameters
    ----------
    task : str
        Name of the task.
    name : str
        A metric's name or one of its aliases, with hyphens or underscores.

    Raises
    ------
    UsageError
        If the task has none of that name; the message lists those that it has, and the nearest.
    """
    word = name.strip().lower().replace("-", "_")
    own = {spelt: each for each in METRICS.values() if each.task == task for spelt in (each.name, *each.aliases)}
    if word in own:
        return own[word]
    listed = ", ".join(dict.fromkeys(typed_metric(each) for each in own.values()))
    near = nearest(word, own)
    if elsewhere := [each.task for each in METRICS.values() if word in (each.name, *each.aliases)]:
        meant = f"; {name} is a metric of {elsewhere[0]} (--task {elsewhere[0]})"
    else:
        meant = f"; did you mean {typed_metric(own[near])!r}?" if near else ""
    message = f"unknown metric {name!r} of {task}: choose from {listed}{meant}"
    raise UsageError(message)


def typed_metric(metric: Metric) -> str:
    """Return a metric's name as people type it."""
    return metric.name.replace("_", "-")


def _measure(
    task: str,
    truth: NDArray[Any],
    scores: Scores,
    asked: str | None,
    *,
    probability: bool,
    weights: Weights,
    decided: Scores | None = None,
) -> dict[str, float]:
    n_classes = scores.shape[1] if scores.ndim == 2 else 0
    found = {
        each.name: each.measure(
            truth,
            decided if decided is not None and each.of_decisions else scores,
            probability=probability,
            weights=weights,
        )
        for each in METRICS.values()
        if each.task == task and (each.name == asked or not (each.on_request or n_classes < each.least_classes))
    }
    return {name: number for name, number in found.items() if number is not None}
