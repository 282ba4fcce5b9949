"""A model fitted on everything, to be saved and used on new images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np

from stackbone.cache.progress import Progress
from stackbone.stack.divisions.image_weights import image_weights
from stackbone.stack.evaluation.base_fits import BaseFit
from stackbone.stack.evaluation.meta_rows import meta_rows
from stackbone.stack.evaluation.options import check_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.viewed import run_fit, size_settings, spread, view_sets, view_settings
from stackbone.stack.evaluation.weights import check_class_weight, make_part
from stackbone.stack.features.join import Joined
from stackbone.stack.fitting.fits import FitCounter, run_alone, run_fits
from stackbone.stack.folds.checks import check_blocks
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import of_fold
from stackbone.stack.learners.learner import BaseLearner, BaseOutcome, BaseScores, Part
from stackbone.stack.learners.member import Member, one_each
from stackbone.stack.learners.meta_model import NUMBERS, FinalFit, MetaModel
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.learners.registry import BASE_LEARNERS, META_LEARNERS
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, hash_digests, shorten_digests
from stackbone.stack.models.unlike.find_novelty import find_novelty
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

LIBRARIES = ("stackbone", "numpy", "scikit-learn", "scipy")
"""Whose versions a model names."""


def refit(
    joined: Joined,
    task: Task,
    options: StackOptions,
    score: ModelScore,
    *,
    seed: int,
    dealing: str = DEALINGS[0],
    recipe: str = "oof",
    members: Sequence[Member] | None = None,
    keep_features: bool = True,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> StackModel:
    """Fit the model of a recipe on every image of an experiment.

    Parameters
    ----------
    joined : Joined
        Labels and features, one feature set of each backbone: see `stack.features.join.choose_final_features`.
    task : Task
        What is predicted.
    options : StackOptions
        What is fitted.
    score : ModelScore
        What the same model scored on images that it had not seen; kept in the model.
    seed : int
        Of the inner folds.
    dealing : str
        Of the inner folds: one of `stack.folds.dealing.DEALINGS`.
    recipe : str
        One of `stack.learners.recipes.recipe_rows`.
    members : sequence of Member, optional
        What the base learners of the stack see; by default each backbone is a member.
    keep_features : bool
        Keep features of training images, by which the model knows images unlike all of them.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    cache : ScoreCache, optional
        Of these feature sets, where the fits of an earlier run are found, and these kept.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If the labels do not allow it.
    CacheError
        If features of a view, or the record of what a steering saw, are not there or damaged.
    """
    options = check_options(task.name, options)
    truth = joined.truth(task)
    task.check(truth)
    check_blocks(joined.features, len(truth.values))
    rows = np.arange(len(truth.values))
    inner = task.divide_training(truth, rows, joined.units(dealing), seed, options.inner_splits)
    weights = image_weights(joined, options.weight_column)
    check_class_weight(options.class_weight, truth.classes)
    part = make_part(0, Fold(rows, np.empty(0, np.int64)), truth, lambda _: inner, options, weights)
    seen = list(members or one_each(joined.blocks))
    joined = _in_order(joined, seen)
    everything = _Everything(task, joined, seen, truth, part, options, seed, cache, n_jobs, progress)
    if recipe == "oof":
        fitted = _fit_stack(everything, options.meta)
    elif recipe == "mean":
        fitted = _fit_stack(everything, MetaOptions("mean"))
    elif recipe == "concat":
        fitted = _fit_concat(everything)
    else:
        blocks, own = spread([of_fold(each, 0) for each in joined.features.values()], part)
        fitted = BASE_LEARNERS[recipe].fit_final(blocks, own, seed, n_jobs=n_jobs, progress=progress)
    meta = fitted.meta
    return StackModel(
        task=task.name,
        classes=[str(name) for name in truth.classes],
        backbones=[_backbone(joined, name) for name in joined.feature_sets],
        bases=fitted.bases,
        learner=meta.options.learner,
        scores=meta.options.scores,
        combine=meta.options.combine,
        meta_linear=meta.linear,
        scale=meta.scale,
        n_images=len(joined.rows),
        digests_sha256=hash_digests(joined.digests),
        score={score.primary_metric: shown_score(score)},
        versions={name: version(name) for name in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seen=shorten_digests(joined.digests),
        train_views=joined.views.train,
        members=fitted.members,
        thresholds=None if meta.thresholds is None else meta.thresholds.astype(np.float32),
        heads=() if recipe not in ("oof", "mean") else options.heads,
        weights=None if meta.weights is None else meta.weights.tolist(),
        targets=tuple(truth.targets.tolist()),
        novelty=find_novelty(joined, seed) if keep_features else None,
        class_weight=options.class_weight,
        weight_column=options.weight_column,
    )


def _in_order(joined: Joined, members: Sequence[Member]) -> Joined:
    """Return the features with the blocks of each member in a row, as a model holds them."""
    names = [name for each in members for name in each.blocks]
    sets, blocks = joined.feature_sets, joined.blocks
    return replace(
        joined, feature_sets={name: sets[name] for name in names}, blocks={name: blocks[name] for name in names}
    )


def _backbone(joined: Joined, name: str) -> ModelBackbone:
    """Return a backbone with the feature sets of the views that are tested."""
    sets = joined.view_sets.get(name)
    tested = [sets[view] for view in joined.views.test] if sets else [joined.feature_sets[name]]
    (identity, spec), *others = [(each.id, each.header().spec) for each in tested]
    return ModelBackbone(name, identity, spec, tuple(others))


@dataclass(frozen=True, eq=False)
class _Everything:
    """All images, as the recipes need them."""

    task: Task
    joined: Joined
    members: list[Member]
    truth: Truth
    part: Part
    options: StackOptions
    seed: int
    cache: ScoreCache | None
    n_jobs: int | None
    progress: Progress | None

    def score(self, head: BaseLearner, member: Member) -> BaseScores:
        """Fit a base learner on the blocks of a member side by side, or find it kept."""
        learner = head.of_parts(member.widths)
        seen = [of_fold(self.joined.features[name], 0) for name in member.blocks]
        run = partial(run_fit, learner, seen, self.part, self.options, self.seed)
        settings = {
            **learner.settings(self.options, self.seed),
            **view_settings(seen),
            **size_settings(learner, seen, self.part, self.options),
        }
        fit = BaseFit(settings, list(member.blocks), learner.uses_inner_folds, run, view_sets(seen))
        return _scores(run() if self.cache is None else fit.find_or_run(self.cache, self.truth.values, self.part, []))


def _scores(outcome: BaseOutcome) -> BaseScores:
    if not isinstance(outcome, BaseScores):
        message = "a base learner whose scores are stacked gives them out of fold too"
        raise TypeError(message)
    return outcome


def _fit_stack(everything: _Everything, options: MetaOptions) -> FinalFit:
    members, blocks = everything.members, everything.joined.blocks
    heads = everything.task.stacked(everything.options)
    fits = {
        (f"{head.name}:{member.name}", 0): partial(everything.score, head, member)
        for member in members
        for head in heads
    }
    found = run_fits(fits, everything.n_jobs, FitCounter(everything.progress, len(fits)))
    scores = [found[key] for key in fits]
    meta = META_LEARNERS[options.learner].fit(*meta_rows(scores, everything.part), options)
    bases = []
    for member in members:
        whole = _side_by_side([found[f"{head.name}:{member.name}", 0].linear for head in heads])
        first, *others = _by_block(whole, [blocks[name].shape[1] for name in member.blocks])
        bases += [first, *(replace(one, intercept=np.zeros_like(one.intercept)) for one in others)]
    sizes = [len(each.blocks) for each in members]
    return FinalFit(bases, meta, sizes if max(sizes) > 1 else None)


def _side_by_side(maps: Sequence[LinearMap]) -> LinearMap:
    """Return maps of the same features as one, whose outputs are theirs, one after the other."""
    if len(maps) == 1:
        return maps[0]
    mean = maps[0].mean
    near = np.zeros(len(maps[0].coef)) if mean is None else mean.astype(np.float64)
    each = [one.uncentred() for one in maps]
    coef = np.hstack([own for own, _ in each])
    return LinearMap.rounded(coef, np.concatenate([intercept for _, intercept in each]) + near @ coef, near)


def _fit_concat(everything: _Everything) -> FinalFit:
    """Fit the task's base learner on all features: what it says is the sum of what the backbones add."""
    blocks, n_outputs = everything.joined.blocks, len(everything.truth.columns) or 1
    whole = Member("concat", tuple(blocks))
    counter = FitCounter(everything.progress, 1)
    fits = {("concat", 0): partial(everything.score, BASE_LEARNERS[everything.task.base], whole)}
    found = run_alone(fits, everything.n_jobs, counter)
    each = _by_block(found["concat", 0].linear, [block.shape[1] for block in blocks.values()])
    if not everything.truth.n_classes:
        first, *others = each
        bases = [first, *(replace(one, intercept=np.zeros_like(one.intercept)) for one in others)]
        each_alike = np.tile(np.eye(n_outputs, dtype=np.float32), (len(bases), 1))
        added = LinearMap(each_alike, np.zeros(n_outputs, np.float32))
        return FinalFit(bases, MetaModel(NUMBERS, None, added, 1.0))
    # Of classes the mean of the backbones is taken: each says B times what it adds.
    bases = [replace(one, coef=one.coef * np.float32(len(blocks))) for one in each]
    same = LinearMap(np.eye(n_outputs, dtype=np.float32), np.zeros(n_outputs, np.float32))
    return FinalFit(bases, MetaModel(MetaOptions("lr", "decision", "average"), None, same, 1.0))


def _by_block(linear: LinearMap, widths: Sequence[int]) -> list[LinearMap]:
    """Return a map of blocks side by side as one of each block, all with its intercept."""
    ends = np.cumsum(widths)[:-1]
    means = [None] * len(widths) if linear.mean is None else np.split(linear.mean, ends)
    pairs = zip(np.split(linear.coef, ends), means, strict=True)
    return [LinearMap(coef, linear.intercept, mean) for coef, mean in pairs]


def shown_score(score: ModelScore) -> str:
    """Return a score as a model keeps it, such as ``0.905 ± 0.004 (3 folds)``."""
    n = len(score.folds)
    return f"{score.mean:.3f} ± {score.std:.3f} ({n} folds)" if n > 1 else f"{score.mean:.3f} (one split)"
