"""The C of least loss out of fold, searched no more exactly than a choice among a handful of values needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.rows import Matrix, some_rows
from stackbone.stack.solvers.scales import MODERATION
from stackbone.stack.transfer.method import Codes

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

SEARCH_TOL = 1e-4
"""Share of the objective by which a fit that is only compared may exceed its minimum: half of the steps, and losses
that differ from those of exact fits in the third digit."""


def search_strength(
    x: Matrix,
    codes: Codes,
    folds: Sequence[Fold],
    strengths: Sequence[float],
    criterion: Callable[[Floats, Codes], float],
    weights: Doubles | None = None,
    *,
    standardise: bool = True,
) -> tuple[float, Floats]:
    """Return the C of least loss, and what classifiers with it say of each row out of fold.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, k)``.
    codes : NDArray[np.int64]
        ``(n,)`` class codes; each class is in every training part.
    folds : sequence of Fold
        Inner folds over the rows.
    strengths : sequence of float
        C to try, ascending. The search ends after the first that is worse than the one before: the loss has one valley
        along C, and the values beyond cost most.
    criterion : callable
        Of ``(n_tested, n_classes)`` decision values and the rows that they are of: the less, the better.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for in fits, above 0 and 1 in the mean.
    standardise : bool
        Whether each training part is standardised by itself; not where rows are in their `leading_rows`.

    Returns
    -------
    c : float
        The best of them.
    out_of_fold : NDArray[np.float32]
        ``(n, n_classes)`` decision values; NaN in rows that no fold tests.
    """
    path = folds_path(x, codes, folds, weights, standardise=standardise)
    tested = np.concatenate([fold.test for fold in folds])
    best, least = (strengths[0], np.empty((0, 0), np.float32)), np.inf
    for c in strengths:
        said = np.full((len(codes), int(codes.max()) + 1), np.nan, np.float32)
        for fold, linear in zip(folds, path.solve(c), strict=True):
            said[fold.test] = linear.decide(some_rows(x, fold.test))
        loss = criterion(said[tested], tested)
        if loss >= least:
            break
        best, least = (c, said), loss
    return best


def folds_path(
    x: Matrix, codes: Codes, folds: Sequence[Fold], weights: Doubles | None = None, *, standardise: bool
) -> LinearPath:
    """Return the logistic regressions of the training part of each fold; parameters as `search_strength`."""
    return LinearPath(
        x,
        codes,
        int(codes.max()) + 1,
        [fold.train for fold in folds],
        loss="log",
        standardise=standardise,
        moderation=MODERATION if standardise else 0.0,
        weights=weights,
        tol=SEARCH_TOL,
    )
