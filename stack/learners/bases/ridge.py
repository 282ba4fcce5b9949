"""Ridge regression on standardised features: the base learner of every backbone, and of ``concat``, for numbers.

It sees the training part of one outer fold only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.checks import check_folds
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.part_weights import ROUNDS, Choice, choose_parts, describe_parts
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge
from stackbone.stack.solvers.rows import Rows
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

Doubles = NDArray[np.float64]
Criterion = Callable[[Doubles, NDArray[np.int64]], float]

ALPHA_GRID = tuple(float(10.0 ** (k / 2)) for k in range(-2, 15))
"""Regularisation strengths tried, ascending, 0.1 to 10,000,000; in scikit-learn's sense, for standardised features.

With uncorrelated standardised features the best alpha is about the number of features times the noise variance by the
squared length of the coefficients (Hoerl & Kennard 1970, Technometrics 12, 55-67): tens where a few features know the
target, millions where 10,000 know next to nothing."""


class RidgeBase(BaseLearner):
    """Standardise, choose alpha, fit; see `score_numbers`.

    Parameters
    ----------
    widths : tuple of int
        Columns of each part of the features that counts by itself; of fewer than two parts, none.
    """

    name = "ridge"
    task = "regression"
    what = "ridge regression on {name}"
    copies_rows = False
    can_be_stacked = True
    can_be_saved = True
    place = 10

    def __init__(self, widths: tuple[int, ...] = ()) -> None:
        self._parts = ColumnParts.alike(*widths) if len(widths) > 1 else None

    def of_parts(self, widths: tuple[int, ...]) -> RidgeBase:
        """Return the learner that weighs parts of so many columns against each other."""
        return RidgeBase(widths)

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        plain = {"name": "ridge", "alphas": ALPHA_GRID, "moderation": MODERATION}
        return plain if self._parts is None else {**plain, "parts": self._parts.widths, "rounds": ROUNDS}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseScores:
        """Fit on the training part, out of fold and as a whole, and predict the test part."""
        train, test = SideBySide(features, part.fold.train), SideBySide(features, part.fold.test)

        def by_metric(said: Doubles, rows: NDArray[np.int64]) -> float:
            return part.loss(said, rows, probability=False)

        return score_numbers(
            train,
            part.y_train,
            test,
            part.inner,
            ALPHA_GRID,
            part.fitted,
            part.weight,
            parts=self._parts,
            tested=part.tested,
            row_weights=part.row_weights,
            criterion=None if part.metric is None else by_metric,
        )


def score_numbers(
    train: SideBySide,
    y_train: NDArray[np.float64],
    test: SideBySide,
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHA_GRID,
    fitted: NDArray[np.int64] | None = None,
    weight: float = 1.0,
    parts: ColumnParts | None = None,
    tested: NDArray[np.int64] | None = None,
    row_weights: Weights = None,
    criterion: Criterion | None = None,
) -> BaseScores:
    """Standardise, choose alpha, fit a ridge regression; predict out-of-fold and test rows.

    The alpha of the least squared error on the inner folds wins, and the predictions that it gave there go to the
    meta-learner (stacked regressions: Breiman 1996, Machine Learning 24, 49-64). As in
    `stack.learners.bases.lr.score_classes` the target of a row thus helped to choose the one alpha of its own
    prediction; the outer test part had no say.

    Parameters
    ----------
    train : SideBySide
        ``(n_train, dim)`` features.
    y_train : NDArray[np.float64]
        ``(n_train,)`` targets.
    test : SideBySide
        ``(n_test, dim)`` features; there may be no row.
    folds : sequence of Fold
        Inner folds over the rows of `train`; every row is in exactly one test part, but for those `fitted` on.
    alphas : sequence of float
        Regularisation strengths, ascending.
    fitted : NDArray[np.int64], optional
        Rows of `train` that the regression is fitted on and no inner fold tests; by default all are both.
    weight : float
        What each row counts for in the sum of squares.
    parts : ColumnParts, optional
        Parts of the columns, whose penalties are chosen too: see `stack.learners.part_weights`.
    tested : NDArray[np.int64], optional
        Rows of `train` that inner folds test; by default all that are not `fitted`, or all.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row counts for beside `weight`, in the fits and in the squared error; above 0.
    criterion : callable, optional
        Of ``(n,)`` predictions and the rows that they are of: the less, the better. By default the squared error, which
        the penalties of parts are chosen by all the same.

    Returns
    -------
    BaseScores
        The chosen alpha, the predictions and the regression.

    Raises
    ------
    StackError
        If a row is in no inner test part, or in several.
    UsageError
        If there is no alpha, or one is not positive.
    """
    if tested is None and fitted is not None:
        tested = np.delete(np.arange(train.n), fitted)
    counted: dict[str, Any] = {"tested": tested, "weight": weight, "weights": row_weights, "criterion": criterion}
    if parts is None:
        found = _search(train, y_train, folds, alphas, **counted)
        carried = None
    else:

        def search(weighed: ColumnParts, grid: Sequence[float]) -> Choice:
            return _search(train, y_train, folds, grid, parts=weighed, **counted)

        def loss(predicted: Doubles, rows: NDArray[np.int64]) -> tuple[float, Doubles]:
            own = None if row_weights is None else row_weights[rows, None]
            return _loss(predicted, y_train[rows, None], y_train.var(), own)

        x = Rows(train.blocks, train.rows)
        found, terms = choose_parts(search, search(parts, alphas), x, folds, loss)
        carried = describe_parts(found, terms, loss)
    learnt, y_learnt = (train, y_train) if fitted is None else (train.take(fitted), y_train[fitted])
    counts = row_weights if fitted is None or row_weights is None else row_weights[fitted]
    path = fit_ridge(learnt, y_learnt, [found.strength / weight], MODERATION / weight, found.parts, counts)
    return BaseScores(found.strength, found.out_of_fold, path.predict(test)[:, 0], path.linear_map(), carried)


def choose_alpha(
    design: SideBySide,
    y: NDArray[np.float64],
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHA_GRID,
    *,
    tested: NDArray[np.int64] | None = None,
    weight: float = 1.0,
    row_weights: Weights = None,
    criterion: Criterion | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """Find the alpha of the least out-of-fold squared error, with the predictions that it gave.

    Parameters
    ----------
    design : SideBySide
        ``(n, dim)`` features.
    y : NDArray[np.float64]
        ``(n,)`` targets.
    folds : sequence of Fold
        Inner folds over the rows of `design`; every row is in exactly one test part.
    alphas : sequence of float
        Regularisation strengths, ascending; of equals the largest wins.
    tested : NDArray[np.int64], optional
        The rows that are in one; all by default.
    weight, row_weights, criterion
        As of `score_numbers`.

    Returns
    -------
    alpha : float
        The chosen strength.
    out_of_fold : NDArray[np.float64]
        ``(n,)`` predictions, each by a regression that never saw the row; NaN in rows that are not tested.

    Raises
    ------
    StackError
        If a row is in no test part, or in several.
    UsageError
        If there is no alpha, or one is not positive.
    """
    found = _search(design, y, folds, alphas, tested=tested, weight=weight, weights=row_weights, criterion=criterion)
    return found.strength, found.out_of_fold


def _search(
    design: SideBySide,
    y: NDArray[np.float64],
    folds: Sequence[Fold],
    alphas: Sequence[float],
    *,
    tested: NDArray[np.int64] | None = None,
    weight: float = 1.0,
    parts: ColumnParts | None = None,
    weights: Weights = None,
    criterion: Criterion | None = None,
) -> Choice:
    """Return the best of what `choose_alpha` tries."""
    tested = np.arange(design.n) if tested is None else tested
    _check_partition(folds, design.n, tested)
    out_of_fold = np.full((design.n, len(alphas)), np.nan)
    paths, weighed = [], [alpha / weight for alpha in alphas]
    for fold in folds:
        counts = None if weights is None else weights[fold.train]
        path = fit_ridge(design.take(fold.train), y[fold.train], weighed, MODERATION / weight, parts, counts)
        out_of_fold[fold.test] = path.predict(design.take(fold.test))
        paths.append(path)
    best = least_error(out_of_fold, y, tested, weights, criterion)
    own = None if weights is None else weights[tested]
    loss, _ = _loss(out_of_fold[tested, best], y[tested], y.var(), own)
    maps = [path.linear_map(best) for path in paths]
    return Choice(alphas[best], loss, out_of_fold[:, best], maps, parts)


def least_error(
    tried: Doubles, y: Doubles, tested: NDArray[np.int64], weights: Weights = None, criterion: Criterion | None = None
) -> int:
    """Return which column of ``(n, n_alphas)`` predictions is best in the rows that are tested; of equals the last.

    Parameters
    ----------
    tried : NDArray[np.float64]
        ``(n, n_alphas)`` out-of-fold predictions, one column for each of several ascending alphas.
    y : NDArray[np.float64]
        ``(n,)`` targets.
    tested : NDArray[np.int64]
        The rows that count.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each counts for.
    criterion : callable, optional
        As of `score_numbers`.
    """
    if criterion is None:
        squares = np.square(tried[tested] - y[tested, None])
        errors = (squares if weights is None else squares * weights[tested, None]).sum(axis=0)
    else:
        errors = np.array([criterion(each, tested) for each in tried[tested].T])
    return int(tried.shape[1]) - 1 - int(errors[::-1].argmin())


def _loss(predicted: Doubles, y: Doubles, variance: float, weights: Weights = None) -> tuple[float, Doubles]:
    """Return the mean squared error as a share of a variance, and its gradient."""
    scale = max(float(variance), np.finfo(np.float64).tiny)
    if weights is None:
        return float(np.square(predicted - y).mean() / scale), 2 * (predicted - y) / (scale * len(y))
    shares = weights / (scale * weights.sum())
    return float((shares * np.square(predicted - y)).sum()), 2 * shares * (predicted - y)


def _check_partition(folds: Sequence[Fold], n_rows: int, tested: NDArray[np.int64]) -> None:
    check_folds(folds, n_rows)
    times = np.bincount(np.concatenate([fold.test for fold in folds]), minlength=n_rows)
    wrong = tested[times[tested] != 1]
    if len(wrong):
        msg = (
            f"{len(wrong)} of {len(tested)} rows are not in exactly one test part of the {len(folds)} inner folds (row "
            f"{wrong[0]}, in {times[wrong[0]]}, first); out-of-fold predictions need one of each row: "
            "make the folds with regression_folds, without repeats"
        )
        raise StackError(msg)


LEARNER = RidgeBase()
