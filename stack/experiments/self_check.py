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

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.progress import Progress
from stackbone.stack.divisions.division import DEALT, Division, choose_plan
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.divisions.outer_folds import drop_rare
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.features.fair_folds import fair_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, features_of_folds, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import SAME_PICTURE, join_groups, near_duplicates
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.model_scores import ModelScore

_MOST_COMPARED = 50_000  # images, each with each: a minute on two cores
_DEVIATIONS = 4.0  # one false alarm in 30,000 of a normal distribution, for each model


def run_self_check(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
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
    progress: Progress | None = None,
) -> str:
    """Run the ``oof`` recipe on shuffled labels and the experiment's own folds: nothing may score above chance.

    Whole groups swap their labels, and so do images that look the same to every backbone, whether or not the folds
    keep them together: what the folds tear apart shows. Parameters are those of `run_experiment`; of `options`,
    metric and weights are not used: chance is known of accuracy, of images that count alike. Classes too rare for the
    folds are left out.

    Returns
    -------
    str
        What was found, in one sentence.

    Raises
    ------
    StackError
        If a model scores above what luck explains; else as `run_experiment`.
    UsageError
        If an image of the dataset can have several labels, or has several numbers.
    """
    plan = choose_plan(cv, split, folds, time_column)
    store = store or FeatureStore()
    index = store.dataset(dataset)
    if index.label_form:
        message = (
            f"an image of the dataset {index.name!r} {FORMS[index.label_form]}, and --self-check knows what chance is "
            "of one class of each image: leave --self-check out"
        )
        raise UsageError(message)
    # Chance is known of accuracy, of images and classes that count alike.
    options = replace(options or StackOptions(), metric=None, class_weight=None, weight_column=None)
    split = None if split is None else find_split(index, split)
    division = Division(
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
    learnable = _learnable(joined.labels, divided)
    joined, clusters = joined.take(learnable), clusters[learnable]
    divided = [Fold(_positions(fold.train, learnable), _positions(fold.test, learnable)) for fold in divided]
    divided = [fold for fold in divided if len(fold.test)]
    y = joined.labels
    evaluation = evaluate(
        features_of_folds(joined, divided, division).blocks,
        y,
        divided,
        members=fuse(joined, options.fusion),
        recipes=("oof",),
        options=options,
        groups=joined.groups,
        digests=joined.units(division.dealing).digests,
        times=joined.times,
        seed=seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    found = check_at_chance(evaluation.results, y, divided, clusters)
    if len(y) > _MOST_COMPARED:
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


def check_at_chance(
    results: Sequence[ModelScore],
    y: NDArray[np.str_],
    folds: Sequence[Fold],
    groups: NDArray[np.int64] | None = None,
) -> str:
    """Require that every model scores shuffled labels no better than chance.

    The best that chance allows is the share of the largest class in the test part. A model may lie above it by
    four standard deviations of a share of so many images; of groups, of Kish's effective number of them (Kish 1965,
    Survey Sampling, section 8.2), the square of the images over the sum of the squares of the groups' sizes.

    Parameters
    ----------
    results : sequence of ModelScore
        Accuracies on shuffled labels.
    y : NDArray[np.str_]
        ``(n_images,)`` the shuffled labels.
    folds : sequence of Fold
        Of that evaluation.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups that swapped labels as a whole.

    Returns
    -------
    str
        What was found, in one sentence.

    Raises
    ------
    StackError
        If a model scores above that.
    """
    tested = np.unique(np.concatenate([fold.test for fold in folds]))
    chance = float(np.unique(y[tested], return_counts=True)[1].max() / len(tested))
    sizes = np.ones(len(tested)) if groups is None else np.unique(groups[tested], return_counts=True)[1]
    independent = len(tested) ** 2 / float(np.square(sizes, dtype=np.float64).sum())
    limit = chance + _DEVIATIONS * float(np.sqrt(chance * (1 - chance) / independent))
    if limit >= 1:
        message = (
            f"too few images for a self-check: the {len(tested)} tested, in {len(sizes)} groups of images that belong "
            f"together or look the same, count as {independent:.0f}; chance is {chance:.3f}, and every score could be "
            "luck. Add images that differ"
        )
        raise StackError(message)
    # Folds may be of any size, and chance is that of an image: so is the mean.
    n_tested = [len(fold.test) for fold in folds]
    shares = {each.model: float(np.average(each.folds, weights=n_tested)) for each in results}
    above = {model: share for model, share in shares.items() if share > limit}
    if above:
        scored = ", ".join(f"{model} scores {share:.3f}" for model, share in above.items())
        message = (
            f"self-check failed: with shuffled labels {scored}, "
            f"where chance is {chance:.3f} and {limit:.3f} the most that luck explains. Test images are known to the "
            "training part: look for near copies (--near-duplicates 0.98) and groups (--group-by); do not trust the "
            "scores until this passes"
        )
        raise StackError(message)
    best = max(shares, key=shares.__getitem__)
    return (
        f"self-check passed: with shuffled labels the best of {len(results)} models, {best}, scores "
        f"{shares[best]:.3f}; chance is {chance:.3f}, and up to {limit:.3f} is luck."
    )


def _clusters(joined: Joined) -> NDArray[np.int64]:
    """Return the group of each image by all that is known, whatever the folds were asked to keep together."""
    columns: list[NDArray[Any]] = [np.array([joined.index.group[row] for row in joined.rows], dtype=np.str_)]
    if joined.groups is not None:
        columns.append(joined.groups)
    if joined.blocks and len(joined.rows) <= _MOST_COMPARED:
        columns.append(near_duplicates(joined.blocks, SAME_PICTURE))
    return join_groups(*columns)


def _learnable(y: NDArray[np.str_], folds: Sequence[Fold]) -> NDArray[np.int64]:
    """Return the positions of the classes that no fold tests without having them in its training part.

    The folds are those of the true labels; of a small class the shuffle may put all images into one test part.
    """
    lost = [np.setdiff1d(y[fold.test], y[fold.train]) for fold in folds]
    return np.flatnonzero(~np.isin(y, np.concatenate(lost)))


def _positions(rows: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the rows that are kept stand among all that are."""
    return np.searchsorted(kept, rows[np.isin(rows, kept)])
