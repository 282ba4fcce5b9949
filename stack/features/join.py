"""A dataset's labels joined by digest to the features of its backbones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSet, FeatureStore, UsageError
from stackbone.cache.progress import Progress
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images
from stackbone.stack.divisions.outer_folds import inner_of_folds
from stackbone.stack.features.selection import list_incomplete, select_backbones
from stackbone.stack.features.steered import (
    Candidate,
    SteeredBackbone,
    choose_for_all,
    choose_for_folds,
    choose_for_inner,
    remarks,
)
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import check_threshold, near_duplicates
from stackbone.stack.folds.per_fold import Features, Nested, PerFold


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined(LabelledImages):
    """Labels and features of the images that take part, row by row.

    Attributes
    ----------
    feature_sets : dict of str to FeatureSet
        Of plain backbones, by backbone, or by id where two share a backbone.
    blocks : dict of str to NDArray[np.float32]
        By the same names, ``(n_images, dim)`` features.
    steered : dict of str to SteeredBackbone
        Of steered backbones, by their own names: which features are fair depends on the fold, see `features_of_folds`.
    names : list of str
        Of all backbones, in the order asked for.
    """

    feature_sets: dict[str, FeatureSet]
    blocks: dict[str, NDArray[np.float32]]
    steered: dict[str, SteeredBackbone] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def take(self, positions: NDArray[np.int64], note: str | None = None) -> Self:
        """Return some of the images, by position, with a note that says why the others are left out."""
        blocks = {name: x[positions] for name, x in self.blocks.items()}
        return replace(super().take(positions, note), blocks=blocks)


def join_features(
    store: FeatureStore,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    split: str | None = None,
    group_by: str = "auto",
    near: float | None = None,
    progress: Progress | None = None,
) -> Joined:
    """Read a dataset's labels and features; of steered backbones, what there is to choose from.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    dataset : str, optional
        Its name; by default the most recently extracted one.
    backbones : str or sequence of str, optional
        Names of backbones, groups of them or feature sets, as a list or separated by commas; by default every feature
        set that covers the dataset. The name of a steered backbone stands for all its feature sets.
    split : str, optional
        The split to test on: of byte-identical images the one in this split is kept.
    group_by : str
        See `stack.divisions.labelled_images.label_images`.
    near : float, optional
        Images whose features have at least this cosine in every plain backbone are one group too.
    progress : callable, optional
        See `cache.progress.Progress`; for that comparison.

    Raises
    ------
    StackError
        If no image has a label, nothing covers the dataset, the group column is empty, or it is not known what a
        steering saw.
    CacheError
        If the cache lacks the dataset or is damaged.
    UsageError
        If a name is unknown, or `near` has no plain backbone to compare.
    """
    if near is not None:
        check_threshold(near)
    images = label_images(store.dataset(dataset), split=split, group_by=group_by)
    entries = select_backbones(store, images.index, backbones)
    plain = {name: each for name, each in entries.items() if isinstance(each, FeatureSet)}
    if near is not None and not plain:
        message = (
            f"--near-duplicates compares the features of plain backbones, and there is none: {', '.join(entries)} "
            "differ from fold to fold. Add a plain backbone to --backbones, or leave the option out"
        )
        raise UsageError(message)
    blocks = {name: each.load(images.digests) for name, each in plain.items()}
    if near is not None:
        images = images.join(near_duplicates(blocks, near, progress=progress))
    incomplete = list_incomplete(store, images.index, entries.values()) if backbones is None else []
    steered = {name: each for name, each in entries.items() if isinstance(each, SteeredBackbone)}
    unknown = [line for each in steered.values() for line in remarks(each, images)]
    return Joined(
        **{each.name: getattr(images, each.name) for each in fields(images) if each.name != "notes"},
        notes=[*images.notes, *incomplete, *unknown],
        feature_sets=plain,
        blocks=blocks,
        steered=steered,
        names=list(entries),
    )


@dataclass(frozen=True, eq=False)
class FoldFeatures:
    """What each outer fold may use.

    Attributes
    ----------
    blocks : dict of str to Features
        Features by backbone, in the order asked for.
    steered : dict of str to list of str
        Steered backbones' feature set ids, one per fold.
    feature_sets : dict of str to (str or list of str)
        Every backbone's feature set id; of a steered one, one per fold.
    nested : list of str
        The steered backbones that have features of their own for every inner fold.
    notes : list of str
        What a reader of the scores should know of them, in sentences.
    """

    blocks: dict[str, Features]
    steered: dict[str, list[str]]
    feature_sets: dict[str, str | list[str]]
    nested: list[str]
    notes: list[str]


def choose_features(joined: Joined, folds: Sequence[Fold], division: Division) -> dict[str, list[Candidate]]:
    """Return for each steered backbone the features that each fold may use; parameters as `features_of_folds`.

    Raises
    ------
    StackError
        If a fold has none of a backbone.
    """
    return {
        name: choose_for_folds(each, joined, folds, division, [other for other in joined.names if other != name])
        for name, each in joined.steered.items()
    }


def features_of_folds(joined: Joined, folds: Sequence[Fold], division: Division) -> FoldFeatures:
    """Return the features that each fold may use; those of a steered backbone never saw the fold's test part.

    Each feature set is read once, whatever the number of folds that take it.

    Parameters
    ----------
    joined : Joined
        Labels and features.
    folds : sequence of Fold
        Outer folds of its images.
    division : Division
        How they were asked for.

    Raises
    ------
    StackError
        If a fold has no fair features of a steered backbone.
    CacheError
        If features are damaged.
    """
    chosen = choose_features(joined, folds, division)
    tried = {name: each for name, each in joined.steered.items() if any(c.is_of_inner_fold for c in each.candidates)}
    inner = inner_of_folds(joined, folds, division) if tried else []
    nested = {name: choose_for_inner(each, joined, folds, inner) for name, each in tried.items()}
    blocks: dict[str, Features] = {}
    for name in joined.names:
        if name in joined.blocks:
            blocks[name] = joined.blocks[name]
        else:
            blocks[name] = _load(joined, chosen[name], nested.get(name))
    steered = {name: [each.feature_set.id for each in found] for name, found in chosen.items()}
    plain = {name: each.id for name, each in joined.feature_sets.items()}
    return FoldFeatures(
        blocks=blocks,
        steered=steered,
        feature_sets={name: plain.get(name) or steered[name] for name in joined.names},
        nested=[name for name, found in nested.items() if found],
        notes=[_nested_note(name, found) for name, found in nested.items()],
    )


def _load(joined: Joined, chosen: Sequence[Candidate], nested: Sequence[Sequence[Candidate]] | None) -> PerFold:
    sets = {each.feature_set.id: each.feature_set for own in (chosen, *(nested or [])) for each in own}
    loaded = {identity: each.load(joined.digests) for identity, each in sets.items()}
    ids = [[each.feature_set.id for each in own] for own in nested or []]
    of_inner = [Nested([loaded[identity] for identity in own], own) for own in ids]
    return PerFold([loaded[each.feature_set.id] for each in chosen], of_inner or None)


def _nested_note(name: str, found: object) -> str:
    if found:
        return (
            f"the out-of-fold scores of {name} are of steerings that were made for the inner folds, and saw no label "
            "that they are compared with"
        )
    return (
        f"the steerings of inner folds that {name} has are not of the inner folds of this experiment, one for each, so "
        "they are not used: steer with --nested and the same folds, seed and groups, and leave --inner-cv out"
    )


def choose_final_features(joined: Joined) -> Joined:
    """Return the same images with one feature set of each backbone, for a model that is fitted on all of them.

    Of a steered backbone it is the one that saw most of them, with a note that says which; no score may be taken of
    these features.
    """
    feature_sets, blocks, notes = dict(joined.feature_sets), dict(joined.blocks), list(joined.notes)
    for name, each in joined.steered.items():
        candidate, note = choose_for_all(each, joined.digests)
        feature_sets[name] = candidate.feature_set
        blocks[name] = candidate.feature_set.load(joined.digests)
        notes.append(note)
    return replace(
        joined,
        feature_sets={name: feature_sets[name] for name in joined.names},
        blocks={name: blocks[name] for name in joined.names},
        steered={},
        notes=notes,
    )
