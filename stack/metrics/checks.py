"""What must hold of predictions before they are measured, said in words when it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError

Scores = NDArray[np.floating[Any]]


def check_scores(truth: NDArray[np.int64], scores: Scores) -> None:
    """Refuse class scores that cannot be compared with the truth.

    Minus infinity is not a reason: it is the logarithm of an impossible class.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, a code has no column, a score is NaN or plus infinity, or a
        row holds minus infinity only.
    """
    if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores) or scores.size == 0:
        msg = (
            f"class codes of shape {truth.shape} and scores of shape {scores.shape} cannot be compared; "
            "expected (n,) and (n, n_classes), not empty: pass the same rows of both"
        )
        raise StackError(msg)
    check_codes(truth, scores.shape[1])
    highest = scores.max(axis=1)
    advice = "every row needs a finite highest score: leave out the rows that no classifier scored"
    _check_rows(np.isfinite(highest), "scores hold NaN or infinity", advice)


def check_codes(codes: NDArray[np.int64], n_classes: int) -> None:
    """Refuse class codes that name no class.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes, at least one.
    n_classes : int
        Number of classes.

    Raises
    ------
    StackError
        If a code is not in 0 to ``n_classes - 1``.
    """
    if codes.min() < 0 or codes.max() >= n_classes:
        msg = (
            f"class codes run from {codes.min()} to {codes.max()}; expected 0 to {n_classes - 1}, for {n_classes} "
            "classes: codes are indices into the sorted class names of the whole dataset"
        )
        raise StackError(msg)


def check_log_probabilities(scores: Scores) -> None:
    """Refuse decision values where log probabilities are expected.

    Parameters
    ----------
    scores : NDArray of float
        ``(n, n_classes)``.

    Raises
    ------
    StackError
        If the probabilities of a row do not sum to 1, within what float32 can do.
    """
    # Up to 1 only: decision values of a thousand must not overflow on the way to being refused.
    total = np.exp(np.minimum(scores, 1.0)).sum(axis=1, dtype=np.float64)
    _check_rows(
        np.abs(total - 1.0) < 1e-3,
        "the probabilities do not sum to 1",
        "expected natural-log probabilities: make them of decision values by "
        "stackbone.stack.metrics.temperature.log_probabilities",
    )


def check_numbers(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    """Refuse predicted numbers that cannot be compared with the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n,)`` values in the label's unit.

    Raises
    ------
    StackError
        If there are no rows, lengths disagree, or a value is not finite.
    """
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        msg = (
            f"true values of shape {truth.shape} and predicted values of shape {predicted.shape} cannot be "
            "compared; expected two vectors of the same length, not empty: pass the same rows of both"
        )
        raise StackError(msg)
    for name, values in (("true", truth), ("predicted", predicted)):
        _check_rows(np.isfinite(values), f"{name} values are NaN or infinite", "every value must be a finite number")


def _check_rows(sound: NDArray[np.bool_], found: str, advice: str) -> None:
    rows = np.flatnonzero(~sound)
    if len(rows):
        msg = f"{found} in {len(rows)} of {len(sound)} rows (first rows: {', '.join(map(str, rows[:5]))}); {advice}"
        raise StackError(msg)
