"""Score every backbone, every baseline and every stack on the same folds.

Features and folds flow in; each base learner is fitted once per outer fold and serves its own row of
the table, the mean and the stack; predictions and scores per fold flow out. All choices a learner makes
(scaling, its regularisation, the meta-learner, its calibration) are made inside the training part of the fold it is
scored on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import check_choice
from stackbone.cache.disk.digest import Digests
from stackbone.cache.progress import Progress
from stackbone.stack.computing.arithmetic import CPU, chosen_arithmetic
from stackbone.stack.evaluation.base_fits import base_fits, run_base
from stackbone.stack.evaluation.options import check_options, stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.stacks import fit_stacks
from stackbone.stack.evaluation.weights import check_class_weight, make_part
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, FitKey
from stackbone.stack.folds.checks import check_blocks, check_folds, check_groups
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, check_per_fold, distinct_blocks
from stackbone.stack.learners.learner import BaseOutcome, BaseScores
from stackbone.stack.learners.member import Member, one_each
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import STACKS, recipe_rows
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.learners.weight_shares import mean_shares
from stackbone.stack.metrics.model_scores import Evaluation, PartScore
from stackbone.stack.solvers.checks import check_weights
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

WITHOUT = "without:"
"""How the name of a stack that lacks one backbone begins."""


def evaluate(
    blocks: Mapping[str, Features],
    y: NDArray[Any] | Truth,
    folds: Sequence[Fold],
    *,
    members: Sequence[Member] | None = None,
    task: str = "classification",
    recipes: Sequence[str] = STACKS,
    baselines: bool = True,
    ablation: bool = True,
    options: StackOptions | None = None,
    groups: NDArray[np.int64] | None = None,
    digests: Digests | None = None,
    times: NDArray[np.float64] | None = None,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score backbones, baselines and stacks on the test part of each fold.

    Parameters
    ----------
    blocks : mapping of str to Features
        Backbone name to its ``(n_images, dim)`` features, or those of each fold or view; the same rows in every block.
    y : NDArray or Truth
        ``(n_images,)`` labels: class names; of a regression numbers, or text that spells them; or what the
        task has read of them.
    folds : sequence of Fold
        Outer folds, of `stratified_folds`, `regression_folds` or `split_folds`.
    members : sequence of Member, optional
        What the base learners see: each one block, by default, or outputs of one network side by side. Where other
        words here say backbone, a member is meant.
    task : str
        What is predicted: ``classification`` or ``regression``.
    recipes : sequence of str
        What to evaluate beside the single backbones, of `stack.learners.recipes.recipe_rows`; those that the task does
        not have are left out. ``mean`` and ``concat`` of several backbones are baselines in any case.
    baselines : bool
        Whether to fit base learners beside the one that is stacked, and ``concat``, too.
    ablation : bool
        Whether to fit the stacks that lack one backbone, beside `baselines`.
    options : StackOptions, optional
        What is fitted; by default the ``oof`` recipe as the task has it.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group of each row; the inner folds keep groups together. The outer folds are the caller's.
    digests : Digests, optional
        ``(n_images, 32)`` uint8, SHA-256 of each image: deals the inner folds by content, see `stratified_folds`.
    times : NDArray[np.float64], optional
        ``(n_images,)`` when each image was made: inner folds train on the past and test on the future.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for, above 0, where models learn and where they are tested. Column names,
        `StackOptions.weight_column`, are read by `run_experiment` alone.
    seed : int
        Seed of the inner folds; the same seed gives the same scores, whatever `n_jobs`.
    n_jobs : int, optional
        Fits at a time, in threads that share the features; all cores by default, negative numbers as in joblib. Each
        holds a copy of its training rows, of a ridge regression up to five float64 matrices of ``min(n_train, dim)``
        rows and columns; of large features, classifiers that see every backbone run one at a time, with all cores.
    cache : ScoreCache, optional
        Where scores of earlier fits are found, and those of new ones kept.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Evaluation
        ``lr:`` and ``svm:`` of each backbone (of a regression ``ridge:``, of several labels ``ovr:``) and the heads
        that `options` name, ``mean`` of several heads or backbones and ``concat`` of several backbones, then
        ``stack:oof`` and ``stack:published`` as asked for.

    Raises
    ------
    StackError
        If features are not finite, shapes disagree, or labels and folds do not allow a fair score.
    UsageError
        If a recipe, a meta-learner or the task is unknown, an option means nothing, or a weight is no number above 0.
    """
    kind = get_task(task)
    options = check_options(task, options or stack_options(task))
    for recipe in recipes:
        check_choice("recipe", recipe, recipe_rows())
    truth = _read(kind, y, blocks, folds, groups)
    check_class_weight(options.class_weight, truth.classes)
    if weights is not None:
        check_weights(weights, len(truth.values), np.arange(len(truth.values)))
    kind.check_metric(truth, folds, options.metric)
    units = Units(groups, digests, times)

    def inner_folds(rows: NDArray[np.int64]) -> list[Fold]:
        return kind.divide_training(truth, rows, units, seed, options.inner_splits)

    parts = [make_part(number, fold, truth, inner_folds, options, weights) for number, fold in enumerate(folds)]
    members = list(members or one_each(blocks))
    names = [each.name for each in members]
    without = kind.unmeasured(options.metric)
    heads = [each.name for each in kind.stacked(options)]
    every = _models(kind, names, heads, recipes, baselines=baselines)
    models = [each for each in every if not each.startswith(without)]
    metas = _meta_backbones(names, ablation=baselines and ablation) if "oof" in recipes else {}
    fits_of_all = base_fits(kind, blocks, members, parts, options, seed, inner_folds)
    base = {key: fit for key, fit in fits_of_all.items() if key[0] in models}
    found_keys: list[str] = []
    runs: dict[FitKey, Callable[[], BaseOutcome]] = {
        key: fit.run if cache is None else fit.kept(cache, truth.values, parts[key[1]], found_keys)
        for key, fit in base.items()
    }
    counter = FitCounter(progress, len(base) + len(parts) * len(metas))
    with recorded() as warned:
        outcomes = run_base(kind, runs, sum(x.nbytes for _, x in distinct_blocks(blocks)), n_jobs, counter)
        if "concat" in models and ("concat", 0) not in base:  # side by side with nothing: the same fit
            outcomes |= {("concat", p.number): outcomes[f"{kind.base}:{names[0]}", p.number] for p in parts}
        fitted = fit_stacks(kind, outcomes, heads, {"mean": names, **metas}, parts, options.meta, n_jobs, counter)
    predictions = {
        model: [fitted.predict(model, p.number) for p in parts] for model in dict.fromkeys([*models, *metas])
    }
    found = {
        model: kind.score(model, truth, each, folds, weights=weights, metric=options.metric)
        for model, each in predictions.items()
    }
    has_weights = META_LEARNERS[options.meta.learner].has_weights and "stack:oof" in metas
    shares = fitted.shares("stack:oof", len(parts)) if has_weights else []
    devices = {chosen_arithmetic().name, *(cache.solved_on if cache else ())}
    return Evaluation(
        results=[found[model] for model in models],
        predictions=predictions,
        without={model.removeprefix(WITHOUT): found[model] for model in metas if model.startswith(WITHOUT)},
        chosen=fitted.chosen(models, len(parts)),
        warnings=warned.by_model(),
        n_from_cache=len(found_keys),
        shares=mean_shares(names, shares),
        parts={
            each.name: _parts(each, [outcomes[f"{kind.base}:{each.name}", p.number] for p in parts])
            for each in members
            if len(each.parts) > 1
        },
        solved_on=[] if devices == {CPU} else sorted(devices),
    )


def _read(
    kind: Task,
    y: NDArray[Any] | Truth,
    blocks: Mapping[str, Features],
    folds: Sequence[Fold],
    groups: NDArray[np.int64] | None,
) -> Truth:
    """Return what the labels say; refuse features, groups and folds that are not theirs."""
    truth = y if isinstance(y, Truth) else kind.read(y)
    kind.check(truth)
    n = len(truth.values)
    check_blocks(blocks, n)
    check_groups(groups, n)
    check_folds(folds, n)
    check_per_fold(blocks, len(folds))
    kind.check_folds(truth, groups, folds)
    return truth


def _models(
    kind: Task, backbones: list[str], heads: list[str], recipes: Sequence[str], *, baselines: bool
) -> list[str]:
    fitted = {kind.base, *heads, *(each.name for each in kind.learners if baselines and each.by_default)}
    learners = [each.name for each in kind.learners if each.name in fitted and not each.sees_all]
    singles = [f"{learner}:{name}" for learner in learners for name in backbones]
    repeated = {name for name, n in (("mean", len(backbones) * len(heads)), ("concat", len(backbones))) if n == 1}
    plain = ["mean", "concat"] if baselines else ["mean"]
    plain = [each for each in plain if each in recipes or each not in repeated]
    stacks = [row for recipe, row in kind.recipes.items() if recipe in recipes and row not in ("mean", "concat")]
    return [*singles, *plain, *stacks]


def _meta_backbones(backbones: list[str], *, ablation: bool) -> dict[str, list[str]]:
    """Return the stacks to fit, by name, and the backbones of each: all, and all but one."""
    stacks = {"stack:oof": backbones}
    if ablation and len(backbones) > 1:
        stacks |= {f"{WITHOUT}{name}": [each for each in backbones if each != name] for name in backbones}
    return stacks


def _parts(member: Member, folds: Sequence[BaseOutcome]) -> list[PartScore]:
    """Return what each part of a member's columns carries in each fold; nothing where its learner does not tell."""
    told = [each.parts for each in folds if isinstance(each, BaseScores) and each.parts is not None]
    if len(told) < len(folds):
        return []
    numbers = np.stack(told, axis=2).tolist()  # (n_parts, 3, n_folds)
    return [PartScore(name, width, *own) for (name, width), own in zip(member.parts, numbers, strict=True)]
