"""The learners of regression: ridge on features, and what makes one prediction of several.

`score_targets` is the base learner of every backbone and of ``concat``; `fit_meta` the meta-learner. Both see the
training part of one outer fold only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVR

from stackbone.stack.folds.checks import check_choice
from stackbone.stack.folds.folds import Fold
from stackbone.stack.solvers.design import MODERATION, moderated_scales
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.ridge import ALPHA_GRID, Design, choose_alpha, fit_ridge

META_LEARNERS = ("ridge", "svr", "mean")

SVR_C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths of the support vector meta-learner, ascending."""

SVR_EPSILON = 0.1
"""Errors up to this share of the target's standard deviation cost the support vector meta-learner nothing."""

SVR_MAX_ITER = 10_000
"""A ceiling for liblinear's trust-region Newton, which a handful of columns stops far below."""


@dataclass(frozen=True, eq=False)
class RegressionScores:
    """The predictions of one base learner on one outer fold, in the target's unit.

    Attributes
    ----------
    alpha : float
        The regularisation strength chosen.
    out_of_fold : NDArray[np.float64]
        ``(n_train,)`` predictions; each by a regression that never saw the row.
    test : NDArray[np.float64]
        ``(n_test,)`` predictions by the regression of the whole training part.
    linear : LinearMap
        That regression.
    """

    alpha: float
    out_of_fold: NDArray[np.float64]
    test: NDArray[np.float64]
    linear: LinearMap


def score_targets(
    x_train: NDArray[np.float32],
    y_train: NDArray[np.float64],
    x_test: NDArray[np.float32],
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHA_GRID,
) -> RegressionScores:
    """Score one matrix of features; see `score_design`.

    Parameters
    ----------
    x_train : NDArray[np.float32]
        ``(n_train, dim)`` features.
    y_train : NDArray[np.float64]
        ``(n_train,)`` targets.
    x_test : NDArray[np.float32]
        ``(n_test, dim)`` features.
    folds : sequence of Fold
        Inner folds over the rows of `x_train`; every row is in exactly one test part.
    alphas : sequence of float
        Regularisation strengths, ascending.

    Returns
    -------
    RegressionScores
        The chosen alpha, the predictions and the regression.

    Raises
    ------
    StackError
        If a row is in no inner test part, or in several.
    UsageError
        If there is no alpha, or one is not positive.
    """
    return score_design(Design.whole(x_train), y_train, Design.whole(x_test), folds, alphas)


def score_design(
    train: Design,
    y_train: NDArray[np.float64],
    test: Design,
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHA_GRID,
) -> RegressionScores:
    """Standardise, choose alpha, fit a ridge regression; predict out-of-fold and test rows.

    The alpha of the least squared error on the inner folds wins, and the predictions that it gave there go to the
    meta-learner (stacked regressions: Breiman 1996, Machine Learning 24, 49-64). As in
    `base.score_classes` the target of a row thus helped to choose the one alpha of its own prediction; the
    outer test part had no say.

    Parameters
    ----------
    train : Design
        ``(n_train, dim)`` features.
    y_train : NDArray[np.float64]
        ``(n_train,)`` targets.
    test : Design
        ``(n_test, dim)`` features; there may be no row.
    folds : sequence of Fold
        Inner folds over the rows of `train`; every row is in exactly one test part.
    alphas : sequence of float
        Regularisation strengths, ascending.

    Returns
    -------
    RegressionScores
        The chosen alpha, the predictions and the regression.

    Raises
    ------
    StackError
        If a row is in no inner test part, or in several.
    UsageError
        If there is no alpha, or one is not positive.
    """
    alpha, out_of_fold = choose_alpha(train, y_train, folds, alphas)
    path = fit_ridge(train, y_train, [alpha])
    return RegressionScores(alpha, out_of_fold, path.predict(test)[:, 0], path.linear_map())


def fit_meta(
    out_of_fold: NDArray[np.float64], y: NDArray[np.float64], folds: Sequence[Fold], learner: str = "ridge"
) -> LinearMap:
    """Fit what makes one prediction of the backbones' predictions.

    Parameters
    ----------
    out_of_fold : NDArray[np.float64]
        ``(n_train, n_backbones)`` out-of-fold predictions.
    y : NDArray[np.float64]
        ``(n_train,)`` targets.
    folds : sequence of Fold
        The inner folds that made them, which choose the meta-learner's own strength too.
    learner : str
        ``ridge``; ``svr``, a linear support vector regression (squared epsilon-insensitive loss in the primal,
        columns, as those of every learner, and target standardised: Ho & Lin 2012, JMLR 13, 3323-3348); or ``mean``,
        which learns nothing.

    Returns
    -------
    LinearMap
        From ``(n, n_backbones)`` predictions to ``(n, 1)``, in the target's unit.

    Raises
    ------
    StackError
        If a row is in no inner test part, or in several.
    UsageError
        If the learner is unknown.
    """
    check_choice("meta-learner", learner, META_LEARNERS)
    n_backbones = out_of_fold.shape[1]
    if learner == "mean":
        return LinearMap(np.full((n_backbones, 1), 1 / n_backbones, np.float32), np.zeros(1, np.float32))
    if learner == "svr":
        return _fit_svr(out_of_fold, y, _choose_svr_c(out_of_fold, y, folds))
    design = Design.whole(out_of_fold)
    alpha, _ = choose_alpha(design, y, folds)
    return fit_ridge(design, y, [alpha]).linear_map()


def apply_meta(meta: LinearMap, predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ``(n,)`` values that `meta` makes of ``(n, n_backbones)`` predictions."""
    return meta.decide(predictions.astype(np.float32))[:, 0].astype(np.float64)


def _choose_svr_c(x: NDArray[np.float64], y: NDArray[np.float64], folds: Sequence[Fold]) -> float:
    errors = [
        sum(np.square(apply_meta(_fit_svr(x[f.train], y[f.train], c), x[f.test]) - y[f.test]).sum() for f in folds)
        for c in SVR_C_GRID
    ]
    return SVR_C_GRID[int(np.argmin(errors))]


def _fit_svr(x: NDArray[np.float64], y: NDArray[np.float64], c: float) -> LinearMap:
    mean, variances = x.mean(axis=0), np.where(np.ptp(x, axis=0) > 0, x.var(axis=0), 0.0)
    scale = moderated_scales(variances[None], len(x), MODERATION)[0]
    centre, spread = y.mean(), y.std() if np.ptp(y) > 0 else 1.0
    model = LinearSVR(
        C=c, epsilon=SVR_EPSILON, loss="squared_epsilon_insensitive", dual=False, max_iter=SVR_MAX_ITER
    ).fit((x - mean) / scale, (y - centre) / spread)
    coef = spread * model.coef_ / scale
    return LinearMap.rounded(coef[:, None], np.ravel(centre + spread * model.intercept_), mean)
