"""An experiment: a dataset's labels, joined by digest to the features of its backbones, and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cache import DatasetIndex, FeatureSet, FeatureStore, StackError, UsageError, as_keys
from stack.evaluate import RECIPES, Evaluation, Progress, evaluate
from stack.folds import Fold, split_folds, stratified_folds


@dataclass(frozen=True)
class Experiment:
    """What was asked and what came out.

    Attributes
    ----------
    dataset
        Its name in the cache.
    n_images, n_classes
        Labelled, sound images that took part, and their classes.
    cv
        Number of folds; None if the dataset's own split was used.
    split
        Name of the test split; None under cross-validation.
    seed
        Of the folds and the inner folds.
    backbones
        Backbone (or feature set, where names collide) to feature set id.
    left_out
        Files that take no part: without label, failed, byte-identical to one that does, or byte-identical to one of
        another label.
    caveats
        What a reader of the scores should know, in sentences.
    evaluation
        The scores.
    """

    dataset: str
    n_images: int
    n_classes: int
    cv: int | None
    split: str | None
    seed: int
    backbones: dict[str, str]
    left_out: dict[str, int]
    caveats: list[str]
    evaluation: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; scores are accuracies from 0 to 1."""
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_classes": self.n_classes,
            "cv": self.cv,
            "split": self.split,
            "seed": self.seed,
            "backbones": self.backbones,
            "left_out": self.left_out,
            "caveats": self.caveats,
            "results": [score.to_dict() for score in self.evaluation.results],
        }


def run_experiment(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: Sequence[str] | None = None,
    cv: int = 3,
    split: str | None = None,
    seed: int = 0,
    recipes: Sequence[str] = RECIPES,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Experiment:
    """Score single backbones, their plain combinations and their stacks on cached features.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most lately extracted one.
    backbones
        Names of backbones or feature sets; by default every feature set that covers the dataset.
    cv
        Number of stratified, shuffled folds.
    split
        Test on this split of the dataset instead, and train on its others.
    recipes
        Of ``oof`` and ``published``.
    progress
        See `evaluate`.

    Raises
    ------
    StackError
        If labels or features do not allow the evaluation.
    CacheError
        If the cache lacks the dataset, or features of some of its images.
    UsageError
        If a name is unknown.
    """
    store = store or FeatureStore()
    index = store.dataset(dataset)
    labels = np.array(index.label, dtype=np.str_)
    labelled = np.flatnonzero(index.ok & (labels != ""))
    if not len(labelled):
        message = (
            f"the dataset {index.name!r} has no labelled image ({len(index):,} listed). Stacking learns from labels: "
            "extract a folder of class folders or a table with labels"
        )
        raise StackError(message)
    rows, conflicting = _distinct_rows(index, labelled, split)
    y = labels[rows]
    folds = _folds(index, rows, y, cv=cv, split=split, seed=seed)
    chosen = _choose(store, index, backbones)
    digests = index.image_sha256[rows]
    blocks = {name: feature_set.load(digests) for name, feature_set in chosen.items()}
    return Experiment(
        dataset=index.name,
        n_images=len(rows),
        n_classes=len(np.unique(y)),
        cv=None if split else cv,
        split=split,
        seed=seed,
        backbones={name: feature_set.id for name, feature_set in chosen.items()},
        left_out={
            "unlabelled": int((index.ok & (labels == "")).sum()),
            "failed": int((~index.ok).sum()),
            "doubles": len(labelled) - len(rows) - conflicting,
            "conflicting": conflicting,
        },
        caveats=_caveats(store, index, chosen, asked=backbones is not None),
        evaluation=evaluate(blocks, y, folds, recipes=tuple(recipes), seed=seed, n_jobs=n_jobs, progress=progress),
    )


def _distinct_rows(index: DatasetIndex, rows: NDArray[np.int64], split: str | None) -> tuple[NDArray[np.int64], int]:
    """Return one row of each image, and how many rows were dropped because their image has several labels.

    An image in the training part and again in the test part would be recognised, not classified. Of several
    copies the one in the test split is kept, else the first.
    """
    in_test = np.array([split is not None and index.split[row] == split for row in rows], np.bool_)
    ordered = np.concatenate([rows[in_test], rows[~in_test]])
    _, first, image = np.unique(as_keys(index.image_sha256[ordered]), return_index=True, return_inverse=True)
    labels = np.array(index.label, dtype=np.str_)[ordered]
    disagrees = np.zeros(len(first), np.bool_)
    disagrees[image[labels != labels[first][image]]] = True
    return np.sort(ordered[first[~disagrees]]), int(disagrees[image].sum())


def _caveats(store: FeatureStore, index: DatasetIndex, chosen: dict[str, FeatureSet], *, asked: bool) -> list[str]:
    caveats = []
    if any(index.group):
        caveats.append(
            "the dataset names groups, and this evaluation does not keep them together: "
            "scores may be too high where images of one group resemble each other"
        )
    ids = {each.id for each in chosen.values()}
    for each in store.feature_sets() if not asked else ():
        n = _n_missing(index, each) if each.id not in ids else 0
        if 0 < n < int(index.ok.sum()):
            caveats.append(
                f"{each.id} is left out: it lacks {n:,} images of the dataset. "
                f"Run `stackbone extract {index.root} --backbones {each.backbone}` to complete it"
            )
    return caveats


def _folds(
    index: DatasetIndex,
    rows: NDArray[np.int64],
    y: NDArray[np.str_],
    *,
    cv: int,
    split: str | None,
    seed: int,
) -> list[Fold]:
    if split is None:
        return stratified_folds(y, cv, seed)
    return split_folds(np.array(index.split, dtype=np.str_)[rows], split)


def _choose(store: FeatureStore, index: DatasetIndex, asked: Sequence[str] | None) -> dict[str, FeatureSet]:
    """Return the feature sets to stack, named by backbone, or by id where two share a backbone."""
    present = [each for each in store.feature_sets() if each.shards()]
    if asked is None:
        covering = store.covering(index)
        if not covering:
            raise StackError(_uncovered_message(index, present))
        return _by_name(covering)
    chosen: list[FeatureSet] = []
    for name in asked:
        matches = [each for each in present if name in (each.backbone, each.id)]
        if not matches:
            known = ", ".join(dict.fromkeys(each.backbone for each in present)) or "none"
            message = (
                f"the cache {store.root} has no features of {name!r}; it has {known}. "
                f"Run `stackbone extract` with --backbones {name} to add them"
            )
            raise UsageError(message)
        whole = [each for each in matches if not _n_missing(index, each)]
        if not whole:
            raise StackError(_uncovered_message(index, matches))
        chosen.extend(each for each in whole if each not in chosen)
    return _by_name(chosen)


def _by_name(feature_sets: Sequence[FeatureSet]) -> dict[str, FeatureSet]:
    names = [each.backbone for each in feature_sets]
    return {each.backbone if names.count(each.backbone) == 1 else each.id: each for each in feature_sets}


def _n_missing(index: DatasetIndex, feature_set: FeatureSet) -> int:
    return int(feature_set.missing(index.image_sha256[index.ok]).sum())


def _uncovered_message(index: DatasetIndex, feature_sets: Sequence[FeatureSet]) -> str:
    n = int(index.ok.sum())
    lacks = "; ".join(f"{each.id} lacks {_n_missing(index, each):,}" for each in feature_sets)
    return (
        f"no features of every image of the dataset {index.name!r} ({n:,} images): {lacks or 'the cache has none'}. "
        f"Features of other datasets do not serve. Run `stackbone extract {index.root}` with the backbones you want"
    )
