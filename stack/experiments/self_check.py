"""A check on the evaluation itself: labels that mean nothing must score nothing.

If shuffled labels can be predicted better than by chance, something of the test part reached the training: a copy,
a group, a fold that is not what it seems. Features that have seen the true labels are not found in this way: they know
nothing of shuffled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.progress import Progress
from stackbone.stack.computing.arithmetic import CPU, computing_with
from stackbone.stack.computing.devices import choose_arithmetic
from stackbone.stack.divisions.division import DEALT, Division, choose_plan
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.divisions.outer_folds import drop_rare
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.features.fair_folds import fair_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, features_of_folds, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import SAME_PICTURE, join_groups, near_duplicates
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.tasks.registry import TASKS, get_task

_MOST_COMPARED = 50_000  # images, each with each: a minute on two cores


def run_self_check(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    task: str = "classification",
    cv: int | str | None = None,
    split: str | None = None,
    folds: str | Path | None = None,
    time_column: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    train_views: str | Sequence[str] | None = None,
    test_views: str | Sequence[str] | None = None,
    seed: int = 0,
    dealing: str | None = None,
    options: StackOptions | None = None,
    n_jobs: int | None = None,
    device: str = CPU,
    progress: Progress | None = None,
) -> str:
    """Run the ``oof`` recipe on shuffled labels and the experiment's own folds: nothing may score above chance.

    Whole groups swap their labels, and so do images that look the same to every backbone, whether or not the folds
    keep them together: what the folds tear apart shows. Parameters are those of `run_experiment`; of `options`,
    metric and weights are not used: chance is known of images that count alike, of accuracy or, of images that can have
    several labels, of the ranking by each label. Classes and labels too rare for the folds are left out.

    Returns
    -------
    str
        What was found, in one sentence.

    Raises
    ------
    StackError
        If a model scores above what luck explains; else as `run_experiment`.
    UsageError
        If the task predicts numbers, or the labels of the dataset are of a form that it does not read.
    """
    plan = choose_plan(cv, split, folds, time_column)
    arithmetic = choose_arithmetic(device)
    store = store or FeatureStore()
    index = store.dataset(dataset)
    kind = get_task(task)
    if not any(each.knows_chance for each in TASKS.values() if each.label_form == index.label_form):
        message = (
            f"an image of the dataset {index.name!r} {FORMS[index.label_form]}, and --self-check knows what chance is "
            "of classes and labels: leave --self-check out"
        )
        raise UsageError(message)
    kind.check_index(index)
    if not kind.knows_chance:
        message = (
            f"--self-check knows what chance is of classes and labels, not of --task {task}: leave one of the two out"
        )
        raise UsageError(message)
    # Chance is known of images and classes that count alike.
    options = replace(options or stack_options(task), metric=None, class_weight=None, weight_column=None)
    split = None if split is None else find_split(index, split)
    division = Division(
        task=task,
        **plan,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        seed=seed,
        rare="drop" if plan.get("plan", DEALT) != DEALT else "refuse",  # of folds that are drawn see below
        inner_splits=options.inner_splits,
    )
    joined = join_features(
        store,
        dataset=dataset,
        backbones=backbones,
        split=split,
        group_by=group_by,
        near=near_duplicates,
        train_views=train_views,
        test_views=test_views,
    )
    if split is None and division.plan == DEALT:
        joined = drop_rare(joined, division)
    joined, divided, division = fair_folds(joined, division, dealing)
    clusters = _clusters(joined)
    joined = replace(joined, labels=shuffle_labels(joined.labels, clusters, seed))
    kept = kind.learnable(joined.labels, joined.groups, divided)
    learnable = kept.rows
    joined, clusters = replace(joined.take(learnable), labels=kept.labels), clusters[learnable]
    divided = [Fold(_positions(fold.train, learnable), _positions(fold.test, learnable)) for fold in divided]
    divided = [fold for fold in divided if len(fold.test)]
    truth = joined.truth(kind)
    with computing_with(arithmetic):
        evaluation = evaluate(
            features_of_folds(joined, divided, division).blocks,
            truth,
            divided,
            members=fuse(joined, options.fusion),
            task=task,
            recipes=("oof",),
            options=options,
            groups=joined.groups,
            digests=joined.units(division.dealing).digests,
            times=joined.times,
            seed=seed,
            n_jobs=n_jobs,
            progress=progress,
        )
    found = kind.check_at_chance(evaluation, truth, divided, clusters)
    if len(joined.labels) > _MOST_COMPARED:
        return f"{found} Near copies were not looked for among more than {_MOST_COMPARED:,} images."
    if not joined.blocks:
        return f"{found} Near copies were not looked for: steered backbones cannot tell them."
    return found


def shuffle_labels(y: NDArray[np.str_], groups: NDArray[np.int64] | None, seed: int) -> NDArray[np.str_]:
    """Return the labels in random order.

    Groups of one label swap theirs as a whole, so that what the images of a group have in common could still give a
    label away; images of a group with several labels are shuffled one by one.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` labels.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups, 0 to G - 1.
    seed : int
        Of the order.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.permutation(y)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    mixed = np.isin(group, group[y[first][group] != y])
    unit = np.where(mixed, len(first) + np.arange(len(y)), group)
    _, first, unit = np.unique(unit, return_index=True, return_inverse=True)
    return rng.permutation(y[first])[unit]


def _clusters(joined: Joined) -> NDArray[np.int64]:
    """Return the group of each image by all that is known, whatever the folds were asked to keep together."""
    columns: list[NDArray[Any]] = [np.array([joined.index.group[row] for row in joined.rows], dtype=np.str_)]
    if joined.groups is not None:
        columns.append(joined.groups)
    if joined.blocks and len(joined.rows) <= _MOST_COMPARED:
        columns.append(near_duplicates(joined.blocks, SAME_PICTURE))
    return join_groups(*columns)


def _positions(rows: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the rows that are kept stand among all that are."""
    return np.searchsorted(kept, rows[np.isin(rows, kept)])
