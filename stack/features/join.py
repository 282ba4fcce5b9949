"""A dataset's labels joined by digest to the features of its backbones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSet, FeatureStore, UsageError
from stackbone.cache.disk.scratch import take_rows
from stackbone.cache.progress import Progress
from stackbone.cache.records.parts import Part
from stackbone.stack.divisions.division import ORDERED, Division, options_of_run
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
from stackbone.stack.features.views import SetsOfViews, Views, load_views, unused_note, views_of
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import check_threshold, near_duplicates
from stackbone.stack.folds.per_fold import Features, Nested, PerFold, Viewed


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined(LabelledImages):
    """Labels and features of the images that take part, row by row.

    Attributes
    ----------
    feature_sets : dict of str to FeatureSet
        Of plain backbones, by backbone, or by id where two share a backbone.
    blocks : dict of str to NDArray[np.float32]
        By the same names, ``(n_images, dim)`` features; of several views those that are tested, their mean.
    parts : dict of str to tuple of Part
        Of all backbones, what their columns are: one part, or several such as those of each stage.
    steered : dict of str to SteeredBackbone
        Of steered backbones, by their own names: which features are fair depends on the fold, see `features_of_folds`.
    names : list of str
        Of all backbones, in the order asked for.
    views : Views
        What is learnt from of an image, and what is tested.
    viewed : dict of str to Viewed
        Of plain backbones, where that is anything but the plain one.
    view_sets : dict of str to SetsOfViews
        The feature sets that these are of.
    """

    feature_sets: dict[str, FeatureSet]
    blocks: dict[str, NDArray[np.float32]]
    steered: dict[str, SteeredBackbone] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    views: Views = field(default_factory=Views)
    viewed: dict[str, Viewed] = field(default_factory=dict)
    view_sets: dict[str, SetsOfViews] = field(default_factory=dict)

    @property
    def features(self) -> dict[str, Features]:
        """What plain backbones are fitted on, by name: `viewed` where there is, else `blocks`."""
        return {name: self.viewed.get(name, block) for name, block in self.blocks.items()}

    def take(self, positions: NDArray[np.int64], note: str | None = None) -> Self:
        """Return some of the images, by position, with a note that says why the others are left out."""
        viewed = {name: each.take(positions) for name, each in self.viewed.items()}
        blocks = {
            name: viewed[name].tested if name in viewed else take_rows(x, positions) for name, x in self.blocks.items()
        }
        return replace(super().take(positions, note), blocks=blocks, viewed=viewed)


def join_features(
    store: FeatureStore,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    split: str | None = None,
    group_by: str = "auto",
    near: float | None = None,
    train_views: str | Sequence[str] | None = None,
    test_views: str | Sequence[str] | None = None,
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
    train_views, test_views : str or sequence of str, optional
        Views that each image is learnt from, ``all`` for every one that there is, and views whose mean is tested,
        ``mean`` for every one; the plain view by default.
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
        If a name is unknown, a backbone lacks a view, or `near` has no plain backbone to compare.
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
    views, sets = views_of(store, images.index, entries, train_views, test_views)
    viewed = {} if views == Views() else {name: load_views(each, views, images.digests) for name, each in sets.items()}
    blocks = {
        name: viewed[name].tested if name in viewed else each.load(images.digests) for name, each in plain.items()
    }
    if near is not None:
        images = images.join(near_duplicates(blocks, near, progress=progress))
    incomplete = list_incomplete(store, images.index, entries.values()) if backbones is None else []
    steered = {name: each for name, each in entries.items() if isinstance(each, SteeredBackbone)}
    unknown = [line for each in steered.values() for line in remarks(each, images)]
    if train_views is None and test_views is None:
        told = unused_note(store.covering(images.index), list(plain.values()))
    else:
        told = [] if views == Views() else [views.note()]
    return Joined(
        **{each.name: getattr(images, each.name) for each in fields(images) if each.name != "notes"},
        notes=[*images.notes, *incomplete, *told, *unknown],
        feature_sets=plain,
        blocks=blocks,
        steered=steered,
        names=list(entries),
        parts={name: _parts(each) for name, each in entries.items()},
        views=views,
        viewed=viewed,
        view_sets={name: {view: sets[name][view] for view in views.used} for name in viewed},
    )


def _parts(entry: FeatureSet | SteeredBackbone) -> tuple[Part, ...]:
    """Return what the columns of a backbone's features are; a steered one's are the same in every fold."""
    return (entry if isinstance(entry, FeatureSet) else entry.candidates[0].feature_set).parts()


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
            blocks[name] = joined.features[name]
        else:
            blocks[name] = _load(joined, chosen[name], nested.get(name))
    steered = {name: [each.feature_set.id for each in found] for name, found in chosen.items()}
    plain = {name: each.id for name, each in joined.feature_sets.items()}
    return FoldFeatures(
        blocks=blocks,
        steered=steered,
        feature_sets={name: plain.get(name) or steered[name] for name in joined.names},
        nested=[name for name, found in nested.items() if found],
        notes=[_nested_note(tried[name], division, is_used=bool(found)) for name, found in nested.items()],
    )


def _load(joined: Joined, chosen: Sequence[Candidate], nested: Sequence[Sequence[Candidate]] | None) -> PerFold:
    sets = {each.feature_set.id: each.feature_set for own in (chosen, *(nested or [])) for each in own}
    loaded = {identity: each.load(joined.digests) for identity, each in sets.items()}
    ids = [[each.feature_set.id for each in own] for own in nested or []]
    of_inner = [Nested([loaded[identity] for identity in own], own) for own in ids]
    return PerFold([loaded[each.feature_set.id] for each in chosen], of_inner or None)


def _nested_note(backbone: SteeredBackbone, division: Division, *, is_used: bool) -> str:
    if is_used:
        return (
            f"the out-of-fold scores of {backbone.name} are of steerings that were made for the inner folds, and saw "
            "no label that they are compared with"
        )
    found = (
        f"the steerings of inner folds that {backbone.name} has are not of the inner folds of this experiment, one for "
        "each, so they are not used"
    )
    if not division.kind.can_be_steered:
        return f"{found}: `stackbone steer` learns classes and knows no folds of numbers"
    if division.plan == ORDERED:
        return f"{found}: none can be made for inner folds in the order of time"
    asked = division.options()
    theirs = options_of_run(each.seen.description["division"] for each in backbone.candidates if each.is_of_inner_fold)
    without = {"--repeats": division.repeats > 1, "--near-duplicates": division.near_duplicates is not None}
    left_out = "".join(f", and leave {option} out here" for option, is_given in without.items() if is_given)
    other = f"; or ask for theirs, {theirs}" if theirs != asked and not left_out else ""
    return f"{found}: steer with --nested {asked}{left_out}{other}"


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
