"""Calibrated probabilities: how steeply decision values turn into probabilities.

Decision values of rows that the model never saw and their classes flow in; one factor flows out. Since
it is the same for all classes, the predicted class never changes; what changes is how sure it sounds.
Whether that worked is measured on other rows, by the calibration error of `stack.metrics.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.checks import Scores, check_scores

LEAST_REACH = 1e-3
"""Least scale, times the mean distance of a row's highest and lowest value: all classes equal within 0.1%."""

MOST_REACH = 1e5
"""Most scale, likewise: beyond it the rounding errors of float32 decision values would count as evidence."""

_NUMBERS_AT_A_TIME = 2**16  # half a megabyte of doubles
_ROWS_ADDED = 8192  # at a time: another number would round otherwise, and scales that are kept would differ


def fit_scale(decision: Scores, codes: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> float:
    """Fit the factor that turns decision values into calibrated probabilities.

    Temperature scaling (Guo et al. 2017, ICML, section 4.2): the factor, their 1/T, is the one that
    minimises the log-loss of ``softmax(factor * decision)``. The log-loss is convex in it, so the minimum
    is the root of its derivative, sought between two bounds on a logarithmic scale, in double precision.

    Where every row is right, the log-loss falls for ever and the factor would grow without bound: n rows
    without an error would make it certain that none ever comes. Then the rule of succession speaks (Laplace;
    Platt 1999 smooths the targets of his sigmoid likewise): each class gets (n + 1)/(n + 2) of its row, the
    runner-up the rest, and there is a minimum. Where the values are no better than chance, the least
    factor is returned (`LEAST_REACH`): nearly equal probabilities, still in the same order. Where no row
    tells any class from another, every factor is as good, and 1 is returned.

    Parameters
    ----------
    decision : NDArray of float
        ``(n, n_classes)`` finite decision values, of classifiers that never saw the row.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    weights : NDArray[np.float64], optional
        ``(n,)`` how often each row counts, more than 0; by default once.

    Returns
    -------
    float
        The factor, above 0 and finite.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, a code has no column, or a value is not finite.
    """
    check_scores(codes, decision)
    _check_finite(decision)
    reach = float(np.average(np.ptp(decision, axis=1).astype(np.float64), weights=weights))
    if reach == 0:
        return 1.0
    target, highest = _mean_target(decision, codes, weights), decision.max(axis=1, keepdims=True).astype(np.float64)

    def slope(log_scale: float) -> float:
        return _mean_expected(decision, highest, float(np.exp(log_scale)), weights) - target

    least, most = np.log(LEAST_REACH / reach), np.log(MOST_REACH / reach)
    if slope(least) >= 0:
        return float(np.exp(least))
    if slope(most) <= 0:
        return float(np.exp(most))
    return float(np.exp(brentq(slope, least, most, xtol=1e-9)))


def log_probabilities(decision: Scores, scale: float) -> NDArray[np.float64]:
    """Turn decision values into probabilities.

    Parameters
    ----------
    decision : NDArray of float
        ``(n, n_classes)`` decision values.
    scale : float
        What `fit_scale` found; 1 leaves them as they are.

    Returns
    -------
    NDArray[np.float64]
        ``(n, n_classes)`` natural-log probabilities, ``log softmax(scale * decision)``.

    Raises
    ------
    UsageError
        If `scale` is not a finite number above 0.
    """
    if not 0 < scale < np.inf:
        msg = f"the calibration factor is {scale}; expected a finite number above 0, as fit_scale returns it"
        raise UsageError(msg)
    logs: NDArray[np.float64] = log_softmax(scale * decision.astype(np.float64), axis=1)
    return logs


def row_blocks(n: int, n_classes: int) -> Iterator[slice]:
    """Yield rows of ``(n, n_classes)`` doubles, as many at a time as a core's own cache holds."""
    step = max(_NUMBERS_AT_A_TIME // max(n_classes, 1), 1)
    return (slice(start, start + step) for start in range(0, n, step))


def _mean_target(decision: Scores, codes: NDArray[np.int64], weights: NDArray[np.float64] | None) -> float:
    """Return the mean decision value of the true class below its row's highest, at most 0."""
    highest = decision.max(axis=1).astype(np.float64)
    below = decision[np.arange(len(codes)), codes] - highest
    if below.any():
        return float(np.average(below, weights=weights))
    runner_up = np.partition(decision, -2, axis=1)[:, -2] - highest
    n = len(codes) if weights is None else weights.sum()
    return float(np.average(runner_up, weights=weights)) / (n + 2)


def _mean_expected(
    decision: Scores, highest: NDArray[np.float64], scale: float, weights: NDArray[np.float64] | None
) -> float:
    """Return the mean of the decision value below its row's highest that the probabilities expect."""
    expected = np.empty(len(decision))
    for rows in row_blocks(*decision.shape):
        below = decision[rows] - highest[rows]
        share = scale * below
        np.exp(share, out=share)
        share /= share.sum(axis=1, keepdims=True)
        share *= below
        expected[rows] = share.sum(axis=1)
    total = 0.0
    for start in range(0, len(decision), _ROWS_ADDED):
        part = expected[start : start + _ROWS_ADDED]
        total += float(part.sum() if weights is None else weights[start : start + _ROWS_ADDED] @ part)
    return total / (len(decision) if weights is None else weights.sum())


def _check_finite(decision: Scores) -> None:
    rows = np.flatnonzero(~np.isfinite(decision).all(axis=1))
    if len(rows):
        msg = (
            f"decision values hold NaN or infinity in {len(rows)} of {len(decision)} rows (first rows: "
            f"{', '.join(map(str, rows[:5]))}); calibration needs finite values: leave these rows out"
        )
        raise StackError(msg)
