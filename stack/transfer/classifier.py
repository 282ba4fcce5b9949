"""The classifier that every transfer method ends in: the multinomial logistic regression of ``lr:``.

C is chosen of five values on inner folds: by log-loss here, which is what baselines do, and with source images counted
by their importance in `estimates.validation`, as methods do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.cache.errors import StackError
from stackbone.stack.experiments.shots import C_WITHOUT_FOLDS
from stackbone.stack.folds.class_folds import divide_inner
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.searching.regression_search import regression_path
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.transfer.estimates.leading import leading_rows
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.method import Codes, LinearFitted

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""C tried by baselines and methods alike, in scikit-learn's sense: every other one of those that ``lr:`` tries."""

WITHOUT_FOLDS: Mapping[str, float | str] = {"C": C_WITHOUT_FOLDS, "by": "default: too few images to choose by"}
"""What is used, and said, where a class has too few images for inner folds."""

SPLITS = 3
"""Inner folds of what is chosen: many methods are compared, and three keep a table of all of them quick."""

_NEVER = -50.0  # below every other decision value: of a class that no image teaches

Weights = NDArray[np.float64] | None


def fit_classifier(
    x: Matrix,
    codes: Codes,
    n_classes: int,
    *,
    seed: int,
    groups: Codes | None = None,
    weights: Weights = None,
    c: float | None = None,
) -> LinearFitted:
    """Standardise, choose C and fit a multinomial logistic regression.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, dim)`` features.
    codes : NDArray[np.int64]
        ``(n,)`` class codes, 0 to ``n_classes - 1``; a class without a row is never answered.
    n_classes : int
        Number of classes.
    seed : int
        Of the inner folds.
    groups : NDArray[np.int64], optional
        ``(n,)`` ids of what no inner fold divides.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, above 0 and 1 in the mean; not where C is chosen, see `choose_strength`.
    c : float, optional
        C in scikit-learn's sense, where it is known; else it is chosen.

    Returns
    -------
    LinearFitted
        A map of all classes; what was chosen is ``C``.

    Raises
    ------
    StackError
        If the rows have fewer than two classes.
    """
    present, own = np.unique(codes, return_inverse=True)
    if len(present) < 2:
        message = (
            f"the {len(codes):,} images to learn from have {len(present)} of {n_classes} classes; a classifier needs "
            "2. Add labelled images"
        )
        raise StackError(message)
    own = own.astype(np.int64)
    chosen: dict[str, float | str] = {"C": c} if c is not None else choose_strength(x, codes, seed=seed, groups=groups)
    counted: dict[str, Any] = {} if weights is None else {"weights": weights}
    path = regression_path(x, own, len(present), [np.arange(len(own))], **counted)
    (found,) = path.solve(float(chosen["C"]))
    return LinearFitted(_of_all(found, present, n_classes), chosen)


def choose_strength(x: Matrix, codes: Codes, *, seed: int, groups: Codes | None = None) -> dict[str, float | str]:
    """Return the C of the least log-loss on inner folds and how it was chosen; parameters as `fit_classifier`."""
    folds = inner_folds(codes, seed, groups)
    if folds is None:
        return dict(WITHOUT_FOLDS)
    own = np.unique(codes, return_inverse=True)[1].astype(np.int64)

    def criterion(said: NDArray[np.float32], rows: Codes) -> float:
        return float(log_losses(said, own[rows]).mean())

    c, _ = search_strength(leading_rows(x), own, folds, STRENGTHS, criterion, standardise=False)
    return {"C": c, "by": "log-loss on inner folds"}


def log_losses(decisions: NDArray[np.floating[Any]], codes: Codes) -> NDArray[np.float64]:
    """Return the log-loss in nats of each row of ``(n, n_classes)`` decision values."""
    logs: NDArray[np.float64] = log_softmax(decisions.astype(np.float64), axis=1)
    return -logs[np.arange(len(codes)), codes]


def inner_folds(codes: Codes, seed: int, groups: Codes | None = None) -> list[Fold] | None:
    """Return inner folds of labelled rows; None where these are too few.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    seed : int
        Of the shuffle.
    groups : NDArray[np.int64], optional
        ``(n,)`` ids of what no fold divides.
    """
    present, own = np.unique(codes, return_inverse=True)
    units = Units(groups, None)
    try:
        return divide_inner(own.astype(np.int64), present.astype(np.str_), units, seed, SPLITS, "what is shown")
    except StackError:
        return None


def _of_all(found: LinearMap, present: Codes, n_classes: int) -> LinearMap:
    """Return a map of the classes that were taught as one of all classes."""
    if len(present) == n_classes:
        return found
    coef = np.zeros((len(found.coef), n_classes), np.float32)
    intercept = np.full(n_classes, _NEVER + float(found.intercept.min()), np.float32)
    coef[:, present], intercept[present] = found.coef, found.intercept
    return LinearMap(coef, intercept, found.mean)
