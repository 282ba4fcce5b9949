"""The stack fitted on everything, to be saved and used on new images."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np

from stack.base import ClassScores, score_classes
from stack.fits import FitCounter, Progress, run_fits
from stack.folds import Fold, inner_folds
from stack.join import Joined
from stack.linear import LinearMap
from stack.meta import fit_meta
from stack.model import ModelBackbone, StackModel, hash_digests
from stack.options import StackOptions
from stack.regression import fit_regression, inner_target_folds
from stack.score_cache import ScoreCache
from stack.scores import ModelScore
from stack.targets import parse_targets

_LIBRARIES = ("stackbone", "numpy", "scikit-learn", "scipy")


def refit(
    joined: Joined,
    task: str,
    options: StackOptions,
    score: ModelScore,
    *,
    seed: int,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> StackModel:
    """Fit the ``oof`` stack on every image of an experiment.

    Parameters
    ----------
    joined : Joined
        Labels and features, one feature set of each backbone: see `stack.join.settle`.
    task : str
        ``classification`` or ``regression``.
    options : StackOptions
        What is fitted.
    score : ModelScore
        What the same stack scored on images that it had not seen; kept in the model.
    seed : int
        Of the inner folds.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    cache : ScoreCache, optional
        Of these feature sets, where the fits of an earlier run are found, and these kept.
    progress : callable, optional
        See `stack.fits.Progress`.

    Raises
    ------
    StackError
        If the labels do not allow it.
    """
    blocks = joined.blocks
    if task == "regression":
        y = parse_targets(joined.labels)
        folds = inner_target_folds(y, seed, joined.groups, options.inner_splits)
        bases: list[LinearMap]
        meta_linear: LinearMap | None
        bases, meta_linear = fit_regression(
            blocks, y, folds, options.meta.learner, n_jobs=n_jobs, cache=cache, progress=progress
        )
        classes, learner, scale = [], "linear", 1.0
    else:
        names, codes = np.unique(joined.labels, return_inverse=True)
        codes = codes.astype(np.int64)
        inner = inner_folds(codes, names, seed, groups=joined.groups, n_splits=options.inner_splits)
        counter = FitCounter(progress, len(blocks))
        everything = Fold(np.arange(len(codes)), np.empty(0, np.int64))

        def fit(name: str) -> ClassScores:
            x = blocks[name]
            run = partial(score_classes, x, codes, x[:0], len(names), inner, options.c_grid)
            if cache is None:
                return run()
            return cache.find_or_run(cache.key(options.lr_learner, [name], codes, everything, inner, number=0), run)

        found = run_fits({(name, 0): partial(fit, name) for name in blocks}, n_jobs, counter)
        scores = [found[name, 0] for name in blocks]
        meta = fit_meta(scores, codes, len(names), inner, options.meta)
        bases, meta_linear = [each.linear for each in scores], meta.linear
        classes, learner, scale = [str(name) for name in names], options.meta.learner, meta.scale
    return StackModel(
        task=task,
        classes=classes,
        backbones=[ModelBackbone(name, each.id, each.header().spec) for name, each in joined.feature_sets.items()],
        bases=bases,
        learner=learner,
        scores="decision" if task == "regression" else options.meta.scores,
        combine="concat" if task == "regression" else options.meta.combine,
        meta_linear=meta_linear,
        scale=scale,
        n_images=len(joined.rows),
        digests_sha256=hash_digests(joined.digests),
        score={score.chief: _shown(score)},
        versions={name: version(name) for name in _LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _shown(score: ModelScore) -> str:
    n = len(score.folds)
    return f"{score.mean:.3f} ± {score.std:.3f} ({n} folds)" if n > 1 else f"{score.mean:.3f} (one split)"
