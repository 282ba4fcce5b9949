"""Suggest which images of a dataset to label next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackbone.cache import FeatureSet, FeatureStore, StackError, UsageError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.features.classes import unclassed
from stackbone.stack.features.distinct import distinct_rows
from stackbone.stack.features.selection import select_backbones
from stackbone.stack.suggesting.choice import choose, reduced
from stackbone.stack.suggesting.result import Suggestion, Suggestions
from stackbone.stack.suggesting.stratified import stratified

MOST_COMPARED = 50_000
"""Images without a label that are looked at, at most, and images with one: of more, a sample of so many."""


def suggest(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    budget: int = 100,
    backbones: str | Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Suggestions:
    """Suggest which images of a dataset to label next, from cached features and the labels that there are.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    budget
        How many images, 1 or more; at most all that have no label.
    backbones
        As of `stack.experiments.run.run_experiment`; plain ones are asked alone.
    seed
        Of the clusters, and of samples where there are more than 50,000 images with a label, or without.
    progress
        See `cache.progress.Progress`.

    Returns
    -------
    Suggestions
        The most useful images first.

    Raises
    ------
    StackError
        If no image could be read, every image has a label, or no plain backbone covers the dataset.
    UsageError
        If the budget is below 1, or a name is unknown.
    CacheError
        If the cache lacks the dataset, or is damaged.
    """
    if budget < 1:
        message = f"--budget is {budget}: expected how many images to label, 1 or more"
        raise UsageError(message)
    store = store or FeatureStore()
    index = store.dataset(dataset)
    distinct = distinct_rows(index)
    has_label = np.array([index.label[row] != "" for row in distinct], np.bool_)
    labelled, free = distinct[has_label], distinct[~has_label]
    if not len(free):
        message = (
            f"the dataset {index.name!r} has no image without a label ({len(labelled):,} have one), so there is "
            "nothing to label next. `stackbone audit` tells which labels are doubtful. To go on, extract further "
            "images without labels: a table may leave theirs empty"
        )
        raise StackError(message)
    notes = [] if index.corrected is None else index.corrected.notes()
    if len(free) < budget:
        notes.append(f"{counted(len(free), 'image has', 'images have')} no label: all of them are suggested")
    n_labelled, n_free, n_asked = len(labelled), len(free), min(budget, len(free))
    if len(free) > max(MOST_COMPARED, n_asked):
        free = np.sort(np.random.default_rng(seed).choice(free, max(MOST_COMPARED, n_asked), replace=False))
        notes.append(f"{len(free):,} of {n_free:,} images without a label, drawn at random, were looked at")
    why_not = unclassed(index)
    names = np.array([index.label[row] for row in labelled], dtype=np.str_)
    classes, codes = np.unique(names, return_inverse=True)
    if why_not:
        codes = np.zeros(n_labelled, np.int64)
    if why_not and n_labelled:
        notes.append(f"{why_not}: typical images are asked for, however many have labels, and no class is told")
    if n_labelled > MOST_COMPARED:
        kept = stratified(codes.astype(np.int64), MOST_COMPARED, seed)
        labelled, codes = labelled[kept], codes[kept]
        of_each = "" if why_not else " of each class in proportion"
        drawn = f"{len(labelled):,} of {n_labelled:,} images with a label, drawn at random{of_each}"
        notes.append(f"{drawn}, were looked at")
    rows = np.concatenate([labelled, free])
    plain = [each for each in select_backbones(store, index, backbones).values() if isinstance(each, FeatureSet)]
    if not plain:
        message = "steered features differ from fold to fold, and no plain backbone covers the dataset: extract one"
        raise StackError(message)
    if progress is not None:
        progress("comparing images", 0, len(plain))
    blocks = []
    for number, each in enumerate(plain, start=1):
        blocks.append(reduced(each.load(index.image_sha256[rows]), seed))
        if progress is not None:
            progress("comparing images", number, len(plain))
    of_all = np.concatenate([codes.astype(np.int64), np.full(len(free), -1)])
    chosen = choose(blocks, of_all, n_asked, seed)
    suggestions = [
        Suggestion(
            path=index.path[rows[row]],
            rank=rank,
            score=float(score),
            likely="" if code < 0 else str(classes[code]),
            reason=_reason(float(score), chosen.by_doubt, int(agree), len(plain)),
        )
        for rank, (row, score, code, agree) in enumerate(
            zip(chosen.rows, chosen.scores, chosen.likeliest, chosen.agree, strict=True), start=1
        )
    ]
    return Suggestions(
        dataset=index.name,
        n_labelled=n_labelled,
        n_unlabelled=n_free,
        backbones=[each.backbone for each in plain],
        by_doubt=chosen.by_doubt,
        rows=suggestions,
        notes=notes,
    )


def _reason(score: float, by_doubt: bool, agree: int, n_backbones: int) -> str:  # noqa: FBT001 - what was done
    if not by_doubt:
        return f"typical of {score:.1%} of the images, alike"
    if n_backbones == 1:
        return "two classes are almost as likely" if score > 0.5 else "not quite sure"
    return f"{agree} of {n_backbones} backbones say so"
