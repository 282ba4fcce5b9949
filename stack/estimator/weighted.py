"""What the rows of a fit count for, as scikit-learn's `sample_weight` says it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_sample_weight

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Counted:
    """The rows that count, and for how much.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n_counted,)`` ascending rows of a weight above 0.
    weights : NDArray[np.float64], optional
        ``(n,)`` the weights of all rows; None where all have the same.
    weight : float
        That of every row, where all have the same; else 1.
    """

    rows: NDArray[np.int64]
    weights: Doubles | None
    weight: float


def read_weights(sample_weight: ArrayLike | None, x: NDArray[np.floating]) -> Doubles | None:
    """Return ``(n,)`` weights, or None where there are none; a ValueError says what is wrong with them."""
    if sample_weight is None:
        return None
    weights: Doubles = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
    return weights


def count_rows(sample_weight: ArrayLike | None, x: NDArray[np.floating]) -> Counted:
    """Return which rows count, and for how much.

    Parameters
    ----------
    sample_weight : array-like, optional
        ``(n,)`` weights, 0 or more.
    x : NDArray[np.floating]
        ``(n, dim)`` features.

    Raises
    ------
    ValueError
        If the weights are not as many as rows, one is negative or not finite, or all are 0.
    """
    weights = read_weights(sample_weight, x)
    everything = np.arange(len(x))
    if weights is None:
        return Counted(everything, None, 1.0)
    if not weights.any():
        msg = "all sample weights are 0; at least one row has to count: leave sample_weight out, or correct it"
        raise ValueError(msg)
    if np.ptp(weights) == 0:
        return Counted(everything, None, float(weights[0]))
    return Counted(np.flatnonzero(weights), weights, 1.0)
