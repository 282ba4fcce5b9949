"""Ridge regressions of several numbers on standardised features: the base learner of each backbone, and of ``concat``.

All numbers are fitted at once, by one decomposition for every number and every alpha, and each has an alpha of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.ridge import ALPHA_GRID, least_error
from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.targets.each_target import part_of_target
from stackbone.stack.solvers.ridge import RidgePath, SideBySide, fit_ridge
from stackbone.stack.solvers.scales import MODERATION

Doubles = NDArray[np.float64]

_MOST_TRIED = 2**25  # predictions of all alphas that are held at a time: 256 MiB; more numbers go in pieces


class RidgesBase(BaseLearner):
    """Standardise, choose each number's alpha, fit; see `score_targets`."""

    name = "ridges"
    task = "multitarget"
    what = "ridge regressions on {name}"
    copies_rows = False
    can_be_stacked = True
    can_be_saved = True
    place = 12

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "ridges", "alphas": ALPHA_GRID, "moderation": MODERATION}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseScores:
        """Fit on the training part, out of fold and as a whole, and predict the test part."""
        return score_targets(SideBySide(features, part.fold.train), part, SideBySide(features, part.fold.test))


def score_targets(train: SideBySide, part: Part, test: SideBySide, alphas: Sequence[float] = ALPHA_GRID) -> BaseScores:
    """Standardise, choose alpha of each number, fit ridge regressions; predict out-of-fold and test rows.

    Each number is treated as `stack.learners.bases.ridge.score_numbers` treats it.

    Parameters
    ----------
    train, test : SideBySide
        ``(n_train, dim)`` and ``(n_test, dim)`` features.
    part : Part
        Whose ``y_train`` is ``(n_train, n_targets)``; inner folds test a row once at most.
    alphas : sequence of float
        Regularisation strengths, ascending; of equals the largest wins.

    Returns
    -------
    BaseScores
        The geometric mean of the chosen alphas, ``(n, n_targets)`` predictions, and the regressions.
    """
    y, weights, grid = part.y_train, part.row_weights, np.asarray(alphas) / part.weight
    moderation, n_targets = MODERATION / part.weight, part.y_train.shape[1]

    def fit(fold: Fold) -> RidgePath:
        counts = None if weights is None else weights[fold.train]
        return fit_ridge(train.take(fold.train), y[fold.train], grid, moderation, weights=counts)

    n_pieces = min(n_targets, -(-train.n * len(grid) * n_targets // _MOST_TRIED))
    pieces = np.array_split(np.arange(n_targets), max(n_pieces, 1))
    fits: Iterable[RidgePath] = map(fit, part.inner)
    fits = fits if len(pieces) == 1 else list(fits)  # each serves every piece
    chosen, out_of_fold = np.empty(n_targets, np.int64), np.empty((train.n, n_targets))
    for numbers in pieces:
        tried = np.full((train.n, len(grid) * len(numbers)), np.nan)
        for fold, path in zip(part.inner, fits, strict=True):
            tried[fold.test] = path.of_targets(numbers, n_targets).predict(train.take(fold.test))
        each = tried.reshape(train.n, len(grid), len(numbers))
        chosen[numbers] = [_choose(each[:, :, i], part_of_target(part, number)) for i, number in enumerate(numbers)]
        out_of_fold[:, numbers] = each[:, chosen[numbers], np.arange(len(numbers))]
    fitted = np.arange(train.n) if part.fitted is None else part.fitted
    path = fit_ridge(train.take(fitted), part.y_fitted, grid[chosen][None], moderation, weights=part.fitted_weights)
    strength = float(np.exp(np.log(np.asarray(alphas)[chosen]).mean()))
    return BaseScores(strength, out_of_fold, path.predict(test), path.linear_map())


def _choose(tried: Doubles, part: Part) -> int:
    """Return the best column of one number's ``(n_train, n_alphas)`` predictions."""

    def by_metric(said: Doubles, rows: NDArray[np.int64]) -> float:
        return part.loss(said, rows, probability=False)

    criterion = None if part.metric is None else by_metric
    return least_error(tried, part.y_train, part.tested, part.row_weights, criterion)


LEARNER = RidgesBase()
