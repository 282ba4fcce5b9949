"""Scores with a few training images of each class: the few-shot protocol.

For each number of images, so many of each class are drawn at random from a training part, and the models that learn
from them are tested on the whole test part. The draws of one try are nested: those of 4 images hold those of 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stackbone.cache import StackError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.image_weights import image_weights
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.viewed import run_fit
from stackbone.stack.evaluation.weights import make_part
from stackbone.stack.experiments.shots import C_WITHOUT_FOLDS, TRIES, FewShots, ShotScores
from stackbone.stack.experiments.subsets import nested_order, take_each
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, of_fold
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.model_scores import ModelScore

_SHOWN = 5


def check_drawable(joined: Joined, folds: Sequence[Fold], shots: Sequence[int]) -> None:
    """Require as many images of each class in every training part as are to be drawn, and features that saw no label.

    Raises
    ------
    StackError
        If a class has fewer, which is named; or a backbone is steered.
    """
    if joined.steered:
        plain = [name for name in joined.names if name not in joined.steered]
        message = (
            f"no few-shot scores with the steered {', '.join(joined.steered)}: its features saw the labels of all "
            "training images, also where a classifier learns from few. Leave --shots out, or stack without it"
            + (f": --backbones {typed(','.join(plain))}" if plain else "")
        )
        raise StackError(message)
    names, codes = np.unique(joined.labels, return_inverse=True)
    sizes = np.min([np.bincount(codes[fold.train], minlength=len(names)) for fold in folds], axis=0)
    short = np.flatnonzero(sizes < max(shots))
    if len(short):
        named = ", ".join(f"{str(names[i])!r} ({sizes[i]:,})" for i in short[:_SHOWN])
        more = f" and {len(short) - _SHOWN:,} more" if len(short) > _SHOWN else ""
        left = [each for each in shots if each <= sizes.min()]
        way = f"type --shots {','.join(map(str, left))}, or " if left else ""
        message = (
            f"--shots {max(shots)} draws {counted(max(shots), 'image')} of each class, and "
            f"{counted(len(short), 'class has', 'classes have')} fewer in a training part: {named}{more}. To go on, "
            f"{way}add images of these classes, or leave them out"
        )
        raise StackError(message)


def few_shots(
    joined: Joined,
    folds: Sequence[Fold],
    blocks: Mapping[str, Features],
    division: Division,
    options: StackOptions,
    shots: Sequence[int],
    tries: int = TRIES,
    *,
    cache: ScoreCache | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> FewShots:
    """Score single backbones, their mean and their stack, learnt from a few images of each class.

    Parameters
    ----------
    joined : Joined
        Labels and features, as of `check_drawable`.
    folds : sequence of Fold
        Outer folds; the tries go through them in turn.
    blocks : mapping of str to Features
        Features by backbone.
    division : Division
        Its seed draws the images.
    options : StackOptions
        What is fitted.
    shots : sequence of int
        Images of each class, ascending.
    tries : int
        Draws of each number.
    cache : ScoreCache, optional
        Where scores of earlier fits are found, and those of new ones kept.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        Called with ("few shots", evaluations done, evaluations in all).
    """
    truth = joined.truth(division.kind)
    group = resolve_groups(joined.groups, len(truth.codes))
    found: dict[tuple[str, int], list[ModelScore]] = {}
    without_folds: set[int] = set()
    c = options.c or C_WITHOUT_FOLDS
    for number in range(tries):
        fold = folds[number % len(folds)]
        seed = int(np.random.SeedSequence([division.seed, number]).generate_state(1)[0])
        order = nested_order(fold.train, truth.codes, group, seed)
        for step, n in enumerate(shots):
            if progress is not None:
                progress("few shots", number * len(shots) + step, tries * len(shots))
            drawn = Fold(take_each(order, truth.codes, n), fold.test)
            scores = _score(joined, blocks, drawn, division, options, cache, n_jobs)
            if scores is None:
                without_folds.add(n)
                scores = _score_without_folds(joined, blocks, drawn, division, replace(options, c=c))
            for each in scores:
                found.setdefault((each.model, n), []).append(each)
    if progress is not None:
        progress("few shots", tries * len(shots), tries * len(shots))
    models = dict.fromkeys(model for model, _ in found)
    return FewShots(
        list(shots),
        tries,
        [_of_tries(model, n, found[model, n]) for model in models for n in shots],
        sorted(without_folds),
        c,
    )


def _of_tries(model: str, shots: int, scores: Sequence[ModelScore]) -> ShotScores:
    metrics = {name: [each.metrics[name][0] for each in scores] for name in scores[0].metrics}
    return ShotScores(model, shots, [each.folds[0] for each in scores], metrics)


def _score(
    joined: Joined,
    blocks: Mapping[str, Features],
    drawn: Fold,
    division: Division,
    options: StackOptions,
    cache: ScoreCache | None,
    n_jobs: int | None,
) -> list[ModelScore] | None:
    """Score what a draw teaches; None where it cannot be divided into inner folds."""
    task, truth = division.kind, joined.truth(division.kind)
    units = joined.units(division.dealing)
    try:
        inner = task.divide_training(truth, drawn.train, units, division.seed, options.inner_splits)
    except StackError:
        return None
    own = truth.codes[drawn.train]
    tested = np.bincount(np.concatenate([np.unique(own[fold.test]) for fold in inner]))
    if np.count_nonzero(tested > 1) < 2:
        return None
    return evaluate(
        blocks,
        truth,
        [drawn],
        members=fuse(joined, options.fusion),
        task=division.task,
        recipes=["oof"],
        baselines=False,
        options=options,
        groups=joined.groups,
        digests=units.digests,
        times=joined.times,
        weights=image_weights(joined, options.weight_column),
        seed=division.seed,
        n_jobs=n_jobs,
        cache=cache,
    ).results


def _score_without_folds(
    joined: Joined, blocks: Mapping[str, Features], drawn: Fold, division: Division, options: StackOptions
) -> list[ModelScore]:
    """Score base learners with a C that is given; in the place of the stack, which learns nothing, their mean."""
    task, truth = division.kind, joined.truth(division.kind)
    heads = [each.name for each in task.stacked(options)]
    learners = [each for each in task.learners if each.name in (task.base, *heads)]
    weights = image_weights(joined, options.weight_column)
    part = make_part(0, drawn, truth, lambda _: [], options, weights)
    members = fuse(joined, options.fusion)
    with recorded():
        outcomes = {
            f"{learner.name}:{each.name}": run_fit(
                learner, [of_fold(blocks[name], 0) for name in each.blocks], part, options, division.seed
            )
            for learner in learners
            for each in members
        }
    scores = {name: each for name, each in outcomes.items() if isinstance(each, BaseScores)}
    said = {name: task.predict(each) for name, each in scores.items()}
    stacked = [scores[f"{head}:{each.name}"] for each in members for head in heads]
    mean = task.mean(stacked)
    said |= {"mean": mean, "stack:oof": mean} if len(stacked) > 1 else {"stack:oof": mean}
    return [
        task.score(model, truth, [prediction], [drawn], weights=weights, metric=options.metric)
        for model, prediction in said.items()
    ]
