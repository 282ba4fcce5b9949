"""Scores that rank images, class by class: how well each class is told from the rest, and the mean over classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Weights

Doubles = NDArray[np.float64]
OfCounts = Callable[[Doubles, Doubles], float]
"""Of what counts for a class, and for the rest, at each distinct score, the scores ascending: one number."""


def mean_of_classes(
    truth: NDArray[Any], scores: Scores, weights: Weights, measure: OfCounts, *, probability: bool
) -> float | None:
    """Measure how each class is ranked against the rest, and return the mean over classes.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``. Of two classes the second alone is measured: by its probability, or by how far its decision
        value is above the first's.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for.
    measure : callable
        See `OfCounts`; both sides have rows.
    probability : bool
        Whether the scores are log-probabilities.

    Returns
    -------
    float, optional
        The mean over classes that have rows, and do not have all; None where no class does.
    """
    n_classes = scores.shape[1]
    counts = np.ones(len(truth)) if weights is None else weights
    columns = dict(enumerate(scores.T))
    if n_classes == 2:
        columns = {1: scores[:, 1] if probability else scores[:, 1] - scores[:, 0]}
    found = []
    for code, column in columns.items():
        is_class = truth == code
        if is_class.any() and not is_class.all():
            _, place = np.unique(column, return_inverse=True)
            own, rest = (np.bincount(place, counts * each).astype(np.float64) for each in (is_class, ~is_class))
            found.append(measure(own, rest))
    return float(np.mean(found)) if found else None
