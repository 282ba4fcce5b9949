"""Learners called by hand, on matrices alone, as an evaluation or a refit calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests
from stackbone.stack import Evaluation, MetaOptions, evaluate, stack_options
from stackbone.stack.evaluation.options import check_meta
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.ridge import ALPHA_GRID, score_numbers
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.tasks.registry import TASKS
from stackbone.stack.tasks.truth import Truth

Floats = NDArray[np.float64]
_NONE = np.empty(0, np.int64)


def whole(y: NDArray[Any], n_classes: int, folds: Sequence[Fold]) -> Part:
    """Return all rows as one training part."""
    return Part(0, Fold(np.arange(len(y)), _NONE), y, n_classes, list(folds))


def fit_meta(
    scores: Sequence[BaseScores],
    y: NDArray[np.int64],
    n_classes: int,
    folds: Sequence[Fold],
    options: MetaOptions | None = None,
) -> MetaModel:
    """Fit the meta-learner of classes that the options name."""
    options = options or MetaOptions()
    check_meta("classification", options)
    return META_LEARNERS[options.learner].fit(scores, whole(y, n_classes, folds), options)


def fit_number_meta(out_of_fold: Floats, y: Floats, folds: Sequence[Fold], learner: str = "ridge") -> MetaModel:
    """Fit a meta-learner of numbers on ``(n, n_backbones)`` predictions."""
    options = MetaOptions(learner)
    check_meta("regression", options)
    nothing = LinearMap(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    scores = [BaseScores(1.0, each, each[:0], nothing) for each in out_of_fold.T]
    return META_LEARNERS[learner].fit(scores, whole(y, 0, folds), options)


def score_matrix(
    x: NDArray[np.float32],
    y: Floats,
    x_test: NDArray[np.float32],
    folds: Sequence[Fold],
    alphas: Sequence[float] = ALPHA_GRID,
) -> BaseScores:
    """Fit the base learner of numbers on one matrix, and predict another."""
    return score_numbers(SideBySide.whole(x), y, SideBySide.whole(x_test), folds, alphas)


def evaluate_numbers(
    blocks: Mapping[str, Any],
    y: Floats,
    folds: Sequence[Fold],
    *,
    meta: str = "ridge",
    inner_splits: int = 5,
    **others: Any,  # noqa: ANN401 - passed on
) -> Evaluation:
    """Evaluate a regression."""
    options = stack_options("regression", meta=meta, inner_splits=inner_splits)
    return evaluate(blocks, y, folds, task="regression", options=options, **others)


def inner_number_folds(
    y: Floats, seed: int, groups: NDArray[np.int64] | None = None, most: int = 5, digests: Digests | None = None
) -> list[Fold]:
    """Divide all rows as a training part of a regression is divided."""
    units = Units(groups, digests)
    return TASKS["regression"].inner_folds(Truth(y, np.empty(0, np.str_)), np.arange(len(y)), units, seed, most)


def fit_numbers(
    blocks: Mapping[str, NDArray[np.float32]], y: Floats, folds: Sequence[Fold], meta: str = "ridge"
) -> tuple[list[LinearMap], MetaModel]:
    """Fit a stack of numbers on every row: the base learners, and the meta-learner on what they said out of fold."""
    bases = [score_matrix(x, y, x[:0], folds) for x in blocks.values()]
    stacked = fit_number_meta(np.column_stack([each.out_of_fold for each in bases]), y, folds, meta)
    return [each.linear for each in bases], stacked
