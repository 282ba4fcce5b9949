"""Suggest which images of a dataset to label next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackbone.cache import FeatureSet, FeatureStore, StackError, UsageError, as_keys
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.cache.upkeep.oddities.looks import Copies, Looks
from stackbone.stack.features.selection import select_backbones
from stackbone.stack.suggesting.choice import choose, reduced
from stackbone.stack.suggesting.result import Suggestion, Suggestions

MOST_COMPARED = 50_000
"""Images without a label that are looked at, at most: of more, a sample of so many."""


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
        Of the clusters, and of the sample where there are more than 50,000 images without a label.
    progress
        See `cache.progress.Progress`.

    Returns
    -------
    Suggestions
        The most useful images first.

    Raises
    ------
    StackError
        If every image has a label, or no plain backbone covers the dataset.
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
    sound = np.flatnonzero(index.ok)
    keys = as_keys(index.image_sha256[sound])
    has_label = np.array([bool(index.label[row]) for row in sound], np.bool_)
    known = np.unique(keys[has_label])
    _, first = np.unique(keys, return_index=True)
    free = np.sort(sound[first[~np.isin(keys[first], known)]])
    if not len(free):
        found = (
            "no image that could be read" if not len(sound) else f"no image without a label ({len(sound):,} have one)"
        )
        message = (
            f"the dataset {index.name!r} has {found}, so there is nothing to label next. `stackbone audit` tells which "
            "labels are doubtful. To go on, extract further images without labels: a table may leave theirs empty"
        )
        raise StackError(message)
    notes = [] if index.corrected is None else index.corrected.notes()
    if len(free) < budget:
        notes.append(f"{counted(len(free), 'image has', 'images have')} no label: all of them are suggested")
    n_free, n_asked = len(free), min(budget, len(free))
    if len(free) > max(MOST_COMPARED, n_asked):
        free = np.sort(np.random.default_rng(seed).choice(free, max(MOST_COMPARED, n_asked), replace=False))
        notes.append(f"{len(free):,} of {n_free:,} images without a label, drawn at random, were looked at")
    labelled_rows = sound[np.flatnonzero(has_label)]
    _, once = np.unique(as_keys(index.image_sha256[labelled_rows]), return_index=True)
    labelled_rows = np.sort(labelled_rows[once])
    rows = np.concatenate([labelled_rows, free])
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
    names = np.array([index.label[row] for row in labelled_rows], dtype=np.str_)
    # A set of labels counts as one class here; numbers tell nothing of classes.
    is_number = index.label_form == NUMBERS or Looks(index, Copies([]), {}).are_quantities
    classes, codes = np.unique(names, return_inverse=True)
    if is_number:
        classes, codes = np.array(["numbers"]), np.zeros(len(names), np.int64)
    of_all = np.concatenate([codes.astype(np.int64), np.full(len(free), -1)])
    chosen = choose(blocks, of_all, n_asked, seed)
    suggestions = [
        Suggestion(
            path=index.path[rows[row]],
            rank=rank,
            score=float(score),
            likely="" if code < 0 or is_number or index.label_form == SETS else str(classes[code]),
            reason=_reason(float(score), chosen.by_doubt, int(agree), len(plain)),
        )
        for rank, (row, score, code, agree) in enumerate(
            zip(chosen.rows, chosen.scores, chosen.likeliest, chosen.agree, strict=True), start=1
        )
    ]
    return Suggestions(
        dataset=index.name,
        n_labelled=len(labelled_rows),
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
