"""Regression: score every backbone, every baseline and the stack on a number, as honestly as on classes.

Per backbone standardise → ridge; on the out-of-fold predictions of all backbones a linear meta-learner. All
choices (scaling, alpha, the meta-learner and its C) are made inside the training part of the fold that is scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.scores import Scoreboard
from stackbone.stack.folds.checks import check_blocks, check_choice, check_folds
from stackbone.stack.folds.folds import Fold, regression_folds
from stackbone.stack.folds.labels import resolve_groups
from stackbone.stack.folds.per_fold import Features, check_per_fold, of_fold
from stackbone.stack.folds.target_folds import check_target_folds
from stackbone.stack.learners.regressors import (
    META_LEARNERS,
    RegressionScores,
    apply_meta,
    fit_meta,
    score_design,
    score_targets,
)
from stackbone.stack.solvers.design import MODERATION
from stackbone.stack.solvers.fits import FitCounter, FitKey, Progress, run_fits
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.ridge import ALPHA_GRID, Design
from stackbone.stack.tasks.targets import TargetPrediction, check_targets, measure_targets, parse_targets

__all__ = [
    "INNER_FOLDS",
    "META_LEARNERS",
    "RegressionEvaluation",
    "RegressionScores",
    "TargetPrediction",
    "evaluate_regression",
    "fit_regression",
    "inner_target_folds",
    "parse_targets",
    "score_targets",
]

INNER_FOLDS = 5
"""Inner folds of an outer training part, where it has as many rows (or groups)."""


@dataclass(frozen=True, eq=False)
class RegressionEvaluation(Scoreboard):
    """What `evaluate_regression` found; the chief score is R².

    Attributes
    ----------
    predictions : dict of str to list of TargetPrediction
        By model, one per fold.
    """

    predictions: dict[str, list[TargetPrediction]]


@dataclass(frozen=True, eq=False)
class _Part:
    """One outer fold as the learners need it."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    y_train: NDArray[np.float64]
    inner: list[Fold]


def evaluate_regression(
    blocks: Mapping[str, Features],
    y: NDArray[np.float64],
    folds: Sequence[Fold],
    *,
    groups: NDArray[np.int64] | None = None,
    meta: str = "ridge",
    inner_splits: int = INNER_FOLDS,
    seed: int = 0,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> RegressionEvaluation:
    """Score backbones, baselines and the stack on the test part of each fold.

    Parameters
    ----------
    blocks : mapping of str to Features
        Backbone name to its ``(n_images, dim)`` features, or those of each fold; the same rows in every block.
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    folds : sequence of Fold
        Outer folds, of `regression_folds` or `split_folds`.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids, negative for none; the inner folds keep groups together, and the outer ones must.
    meta : str
        Meta-learner of ``stack:oof``: ``ridge``, ``svr`` or ``mean``; see `fit_meta`.
    inner_splits : int
        Inner folds of each training part; see `inner_target_folds`.
    seed : int
        Seed of the inner folds; the same seed gives the same scores, whatever `n_jobs`.
    n_jobs : int, optional
        Fits at a time, in threads that share the features; all cores by default, negative numbers as in joblib.
        Each running fit holds up to five float64 matrices of ``min(n_train, dim)`` rows and columns.
    cache : ScoreCache, optional
        Where scores of earlier fits are found, and those of new ones kept.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    RegressionEvaluation
        ``ridge:`` of each backbone, ``mean``, ``concat``, ``stack:oof``.

    Raises
    ------
    StackError
        If features or targets are not finite, shapes disagree, or targets and folds do not allow a fair score.
    UsageError
        If the meta-learner is unknown.
    """
    check_choice("meta-learner", meta, META_LEARNERS)
    check_targets(y)
    check_blocks(blocks, len(y))
    group = resolve_groups(groups, len(y))
    _check_outer(folds, group)
    check_per_fold(blocks, len(folds))
    parts = [
        _Part(n, f.train, f.test, y[f.train], inner_target_folds(y[f.train], seed, group[f.train], inner_splits))
        for n, f in enumerate(folds)
    ]

    models = {"concat": list(blocks)} if len(blocks) > 1 else {}  # the longest first: no core ends with one alone
    models |= {f"ridge:{name}": [name] for name in blocks}
    fits = _base_fits(blocks, models, parts, y, cache)
    counter = FitCounter(progress, len(fits) + len(parts))
    scores = run_fits(fits, n_jobs, counter)
    singles = [f"ridge:{name}" for name in blocks]
    if len(blocks) == 1:  # side by side with nothing: the same fit
        scores |= {("concat", p.number): scores[singles[0], p.number] for p in parts}
    values = {key: each.test for key, each in scores.items()}
    for p in parts:
        values |= _combine(p, {name: scores[f"ridge:{name}", p.number] for name in blocks}, meta)
        counter.step()

    def predictions(model: str) -> list[TargetPrediction]:
        return [TargetPrediction(p.test, values[model, p.number]) for p in parts]

    rows = [*singles, "mean", "concat", "stack:oof"]
    fewer = {name: f"without:{name}" for name in blocks} if len(blocks) > 1 else {}
    return RegressionEvaluation(
        results=[measure_targets(model, predictions(model), y) for model in rows],
        predictions={model: predictions(model) for model in rows},
        without={name: measure_targets(model, predictions(model), y) for name, model in fewer.items()},
        chosen={m: [scores[m, p.number].alpha for p in parts] for m in (*singles, "concat")},
    )


def fit_regression(
    blocks: Mapping[str, NDArray[np.float32]],
    y: NDArray[np.float64],
    folds: Sequence[Fold],
    meta: str = "ridge",
    *,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> tuple[list[LinearMap], LinearMap]:
    """Fit the stack on every row, to be saved and used on new images.

    Parameters
    ----------
    blocks : mapping of str to NDArray[np.float32]
        Backbone name to its ``(n_images, dim)`` features.
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    folds : sequence of Fold
        Folds over all rows, each row in exactly one test part: they choose every alpha and make the out-of-fold
        predictions that the meta-learner is fitted on.
    meta : str
        Meta-learner: ``ridge``, ``svr`` or ``mean``; see `fit_meta`.
    n_jobs, cache, progress
        See `evaluate_regression`.

    Returns
    -------
    bases : list of LinearMap
        ``(dim, 1)`` of each backbone, in the order of `blocks`.
    meta : LinearMap
        ``(n_backbones, 1)``.

    Raises
    ------
    StackError
        If features or targets are not finite, shapes disagree, or a row is not in exactly one test part.
    UsageError
        If the meta-learner is unknown.
    """
    check_choice("meta-learner", meta, META_LEARNERS)
    check_targets(y)
    check_blocks(blocks, len(y))
    everything = _Part(0, np.arange(len(y)), np.empty(0, np.int64), y, list(folds))
    models = {f"ridge:{name}": [name] for name in blocks}
    fits = _base_fits(blocks, models, [everything], y, cache)
    counter = FitCounter(progress, len(fits) + 1)
    scores = run_fits(fits, n_jobs, counter)
    bases = [scores[model, 0] for model in models]
    stacked = fit_meta(np.column_stack([s.out_of_fold for s in bases]), y, folds, meta)
    counter.step()
    return [s.linear for s in bases], stacked


def inner_target_folds(
    y: NDArray[np.float64], seed: int, groups: NDArray[np.int64] | None = None, n_splits: int = INNER_FOLDS
) -> list[Fold]:
    """Divide a training part into the folds that serve alpha, out-of-fold predictions and the meta-learner.

    Parameters
    ----------
    y : NDArray[np.float64]
        ``(n_train,)`` targets.
    seed : int
        Seed of the shuffle.
    groups : NDArray[np.int64], optional
        ``(n_train,)`` group ids, negative for none; groups are kept whole.
    n_splits : int
        Number of folds, where there are as many rows (or groups), else as many as there are.

    Returns
    -------
    list of Fold
        See `regression_folds`.

    Raises
    ------
    StackError
        If there is one row (or group) only.
    """
    n_groups = len(np.unique(resolve_groups(groups, len(y))))
    # A row each: so a message speaks of images and not of groups.
    return regression_folds(y, max(2, min(n_splits, n_groups)), seed, groups=None if n_groups == len(y) else groups)


def _base_fits(
    blocks: Mapping[str, Features],
    models: Mapping[str, list[str]],
    parts: Sequence[_Part],
    y: NDArray[np.float64],
    cache: ScoreCache | None,
) -> dict[FitKey, Callable[[], RegressionScores]]:
    """List what is fitted on features, by the blocks that each model sees."""
    fits: dict[FitKey, Callable[[], RegressionScores]] = {}
    for model, names in models.items():
        for p in parts:
            run = partial(_fit, [of_fold(blocks[name], p.number) for name in names], p)
            fits[model, p.number] = run
            if cache is not None:
                learner: dict[str, object] = {"name": "ridge", "alphas": ALPHA_GRID, "moderation": MODERATION}
                key = cache.key(learner, names, y, Fold(p.train, p.test), p.inner, number=p.number)
                fits[model, p.number] = partial(cache.find_or_run, key, run)
    return fits


def _fit(features: list[NDArray[np.float32]], part: _Part) -> RegressionScores:
    return score_design(Design(features, part.train), part.y_train, Design(features, part.test), part.inner)


def _combine(part: _Part, bases: Mapping[str, RegressionScores], meta: str) -> dict[FitKey, NDArray[np.float64]]:
    """Return what the mean, the stack, and the stacks that lack one backbone make of the backbones' predictions."""

    def stack(names: list[str]) -> NDArray[np.float64]:
        out_of_fold = np.column_stack([bases[name].out_of_fold for name in names])
        fitted = fit_meta(out_of_fold, part.y_train, part.inner, meta)
        return apply_meta(fitted, np.column_stack([bases[name].test for name in names]))

    found = {
        ("mean", part.number): np.mean([each.test for each in bases.values()], axis=0),
        ("stack:oof", part.number): stack(list(bases)),
    }
    if len(bases) > 1:
        for dropped in bases:
            found[f"without:{dropped}", part.number] = stack([name for name in bases if name != dropped])
    return found


def _check_outer(folds: Sequence[Fold], group: NDArray[np.int64]) -> None:
    check_folds(folds, len(group))
    check_target_folds(folds, group, len(group))
    for number, fold in enumerate(folds, start=1):
        shared = np.intersect1d(group[fold.train], group[fold.test])
        if len(shared):
            in_train, in_test = (rows[group[rows] == shared[0]][0] for rows in (fold.train, fold.test))
            msg = (
                f"{len(shared)} group(s) of fold {number} of {len(folds)} are both in its training and its test part "
                f"(rows {in_train} and {in_test} share one); scores on them would be too high: "
                "make the folds with these groups"
            )
            raise StackError(msg)
