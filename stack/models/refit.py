"""A model fitted on everything, to be saved and used on new images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.options import StackOptions
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.scores import ModelScore
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.folds import Fold, inner_folds
from stackbone.stack.learners.base import ClassScores, score_classes
from stackbone.stack.learners.meta import MetaModel, MetaOptions, fit_meta
from stackbone.stack.learners.published import fit_published, predict_published
from stackbone.stack.metrics.calibrate import fit_scale
from stackbone.stack.models.model import ModelBackbone, StackModel, hash_digests
from stackbone.stack.solvers.fits import FitCounter, Progress, run_alone, run_fits
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.rows import Rows
from stackbone.stack.tasks.regression import fit_regression, inner_target_folds
from stackbone.stack.tasks.targets import parse_targets

_LIBRARIES = ("stackbone", "numpy", "scikit-learn", "scipy")


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What a recipe gives, as `StackModel` holds it."""

    bases: list[LinearMap]
    meta: MetaModel


def refit(
    joined: Joined,
    task: str,
    options: StackOptions,
    score: ModelScore,
    *,
    seed: int,
    recipe: str = "oof",
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> StackModel:
    """Fit the model of a recipe on every image of an experiment.

    Parameters
    ----------
    joined : Joined
        Labels and features, one feature set of each backbone: see `stack.features.join.settle`.
    task : str
        ``classification`` or ``regression``.
    options : StackOptions
        What is fitted.
    score : ModelScore
        What the same model scored on images that it had not seen; kept in the model.
    seed : int
        Of the inner folds.
    recipe : str
        One of `stack.learners.recipes.ROWS`.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    cache : ScoreCache, optional
        Of these feature sets, where the fits of an earlier run are found, and these kept.
    progress : callable, optional
        See `stack.solvers.fits.Progress`.

    Raises
    ------
    StackError
        If the labels do not allow it.
    """
    if task == "regression":
        y = parse_targets(joined.labels)
        folds = inner_target_folds(y, seed, joined.groups, options.inner_splits)
        bases, meta_linear = fit_regression(
            joined.blocks, y, folds, options.meta.learner, n_jobs=n_jobs, cache=cache, progress=progress
        )
        classes: list[str] = []
        fitted = _Fitted(bases, MetaModel(MetaOptions("linear", "decision", "concat"), None, meta_linear, 1.0))
    else:
        names, codes = np.unique(joined.labels, return_inverse=True)
        classes = [str(name) for name in names]
        codes = codes.astype(np.int64)
        inner = inner_folds(codes, names, seed, groups=joined.groups, n_splits=options.inner_splits)
        part = _Part(joined.blocks, codes, len(names), inner, options, cache, n_jobs, progress)
        if recipe == "published":
            fitted = _fit_published(part, seed)
        elif recipe == "concat":
            fitted = _fit_concat(part)
        else:
            fitted = _fit_stack(part, MetaOptions("mean") if recipe == "mean" else options.meta)
    meta = fitted.meta
    return StackModel(
        task=task,
        classes=classes,
        backbones=[ModelBackbone(name, each.id, each.header().spec) for name, each in joined.feature_sets.items()],
        bases=fitted.bases,
        learner=meta.options.learner,
        scores=meta.options.scores,
        combine=meta.options.combine,
        meta_linear=meta.linear,
        scale=meta.scale,
        n_images=len(joined.rows),
        digests_sha256=hash_digests(joined.digests),
        score={score.chief: _shown(score)},
        versions={name: version(name) for name in _LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """All images as the recipes of a classification need them."""

    blocks: Mapping[str, NDArray[np.float32]]
    codes: NDArray[np.int64]
    n_classes: int
    inner: list[Fold]
    options: StackOptions
    cache: ScoreCache | None
    n_jobs: int | None
    progress: Progress | None

    def score_classes(self, names: Sequence[str]) -> ClassScores:
        """Fit the logistic regression of some backbones side by side, or find it kept."""
        everything = Fold(np.arange(len(self.codes)), np.empty(0, np.int64))
        x = Rows([self.blocks[name] for name in names], everything.train)
        none = Rows([self.blocks[name] for name in names], everything.test)
        run = partial(score_classes, x, self.codes, none, self.n_classes, self.inner, self.options.c_grid)
        if self.cache is None:
            return run()
        key = self.cache.key(self.options.lr_learner, list(names), self.codes, everything, self.inner, number=0)
        return self.cache.find_or_run(key, run)


def _fit_stack(part: _Part, options: MetaOptions) -> _Fitted:
    fits = {(f"lr:{name}", 0): partial(part.score_classes, [name]) for name in part.blocks}
    found = run_fits(fits, part.n_jobs, FitCounter(part.progress, len(fits)))
    scores = [found[f"lr:{name}", 0] for name in part.blocks]
    meta = fit_meta(scores, part.codes, part.n_classes, part.inner, options)
    return _Fitted([each.linear for each in scores], meta)


def _fit_concat(part: _Part) -> _Fitted:
    """Fit one logistic regression on all features: its logits are B times the mean of what B backbones add."""
    names = list(part.blocks)
    counter = FitCounter(part.progress, 1)
    found = run_alone({("concat", 0): partial(part.score_classes, names)}, part.n_jobs, counter)
    linear = found["concat", 0].linear
    ends = np.cumsum([part.blocks[name].shape[1] for name in names])[:-1]
    centres = [None] * len(names) if linear.mean is None else np.split(linear.mean, ends)
    bases = [
        LinearMap(coef * np.float32(len(names)), linear.intercept, mean)
        for coef, mean in zip(np.split(linear.coef, ends), centres, strict=True)
    ]
    same = LinearMap(np.eye(part.n_classes, dtype=np.float32), np.zeros(part.n_classes, np.float32))
    return _Fitted(bases, MetaModel(MetaOptions("lr", "decision", "average"), None, same, 1.0))


def _fit_published(part: _Part, seed: int) -> _Fitted:
    """Fit the published recipe, and calibrate it by what it decides on inner folds that it did not see."""
    blocks = list(part.blocks.values())

    def decide(fold: Fold) -> NDArray[np.float32]:
        train, test = [x[fold.train] for x in blocks], [x[fold.test] for x in blocks]
        return predict_published(train, part.codes[fold.train], test, seed)

    fits = {("stack:published", number): partial(decide, fold) for number, fold in enumerate(part.inner)}
    found = run_fits(fits, part.n_jobs, FitCounter(part.progress, len(fits)))
    decisions = np.concatenate([found["stack:published", number] for number in range(len(part.inner))])
    tested = np.concatenate([fold.test for fold in part.inner])
    bases, meta = fit_published(blocks, part.codes, seed)
    options = MetaOptions("svm", "probability", "average")
    return _Fitted(bases, MetaModel(options, None, meta, fit_scale(decisions, part.codes[tested])))


def _shown(score: ModelScore) -> str:
    n = len(score.folds)
    return f"{score.mean:.3f} ± {score.std:.3f} ({n} folds)" if n > 1 else f"{score.mean:.3f} (one split)"
