"""Fits that count some rows more than others, by scikit-learn's own solvers.

`stack.solvers.linear` and `stack.solvers.ridge` solve many problems at once and count every row as one; a weighted
fit is one problem. The objectives are the same.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from sklearn.utils.validation import _check_sample_weight

from stackbone.cache.errors import UsageError
from stackbone.stack.solvers.design import moments
from stackbone.stack.solvers.scales import moderated_scales

Doubles = NDArray[np.float64]

TOL = 1e-7
"""Where scikit-learn's solvers stop: their own defaults stop far above the minimum."""

MAX_ITER = 10_000


def read_weights(sample_weight: ArrayLike | None, x: NDArray[np.floating]) -> Doubles | None:
    """Return ``(n,)`` weights, or None where there are none; a ValueError says what is wrong with them."""
    if sample_weight is None:
        return None
    weights: Doubles = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
    return weights


def fit_weighted(
    loss: Literal["log", "squared_hinge", "squared"],
    x: NDArray[np.floating],
    y: NDArray[np.int64] | Doubles,
    weights: Doubles,
    strength: float,
    moderation: float | None,
) -> tuple[Doubles, Doubles, int]:
    """Fit a linear model of weighted rows.

    Parameters
    ----------
    loss : {"log", "squared_hinge", "squared"}
        Logistic regression, linear SVM, ridge regression.
    x : NDArray[np.floating]
        ``(n, dim)`` features.
    y : NDArray
        ``(n,)`` class codes, or numbers.
    weights : NDArray[np.float64]
        ``(n,)`` weights, 0 or more; what a row of weight 2 says counts as if it were there twice.
    strength : float
        C; of a ridge regression alpha; more than 0.
    moderation : float, optional
        How many rows the columns' common variance counts for where they are standardised, by the weighted moments:
        see `stack.solvers.scales.moderated_scales`. None does not standardise.

    Returns
    -------
    coef : NDArray[np.float64]
        ``(n_outputs, dim)`` for raw features; of two classes, and of numbers, one output.
    intercept : NDArray[np.float64]
        ``(n_outputs,)``.
    n_iter : int
        Steps that the solver took, 1 for a closed form.

    Raises
    ------
    UsageError
        If the strength is not a positive number.

    Warns
    -----
    ConvergenceWarning
        If the solver stopped before the minimum.
    """
    if not (np.isfinite(strength) and strength > 0):
        name = "alpha" if loss == "squared" else "C"
        msg = f"{name} is {strength}; expected a number above 0: choose a larger one"
        raise UsageError(msg)
    wide = x.astype(np.float64)
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if moderation is not None:
        counted = np.flatnonzero(weights)
        middle = wide[counted[0]]
        means, variances = moments(wide, counted, weights[None, counted], middle)
        mean, scale = middle + means[0], moderated_scales(variances, weights.sum(), moderation)[0]
    model = {
        "log": LogisticRegression(C=strength, tol=TOL, max_iter=MAX_ITER),
        "squared_hinge": LinearSVC(C=strength, dual=False, tol=TOL, max_iter=MAX_ITER),
        "squared": Ridge(alpha=strength, solver="cholesky"),
    }[loss].fit((wide - mean) / scale, y, sample_weight=weights)
    coef: Doubles = np.atleast_2d(model.coef_) / scale
    steps = 1 if model.n_iter_ is None else int(np.max(model.n_iter_))
    return coef, np.ravel(model.intercept_) - coef @ mean, steps
