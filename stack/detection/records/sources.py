"""The backbones of a detection experiment: feature sets of pyramids that cover the annotated images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from stackbone.cache import DatasetIndex, Digests, FeatureSet, FeatureStore, StackError, UsageError
from stackbone.cache.backbone_groups import ALL, expand_groups
from stackbone.cache.maps.reader import MapReader
from stackbone.cache.records.feature_name import PLAIN, PYRAMID, parse_feature_name
from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.cache.records.views import MIRROR
from stackbone.cache.text import counted, typed
from stackbone.stack.features.source import extract_words


@dataclass(frozen=True)
class MapBackbone:
    """One backbone: its maps, and those of the mirrored images where there are any.

    Attributes
    ----------
    name : str
        As it is typed, such as ``efficientnet_lite0``; its feature set's id where two share that name.
    feature_set : FeatureSet
        Of the plain view.
    mirrored : FeatureSet or None
        Of the view ``hflip``, made in the same way otherwise.
    """

    name: str
    feature_set: FeatureSet
    mirrored: FeatureSet | None = None

    @cached_property
    def maps(self) -> MapReader:
        """Reads its maps, proven once."""
        return self.feature_set.maps()

    @cached_property
    def mirrored_maps(self) -> MapReader | None:
        """Reads the maps of the mirrored images."""
        return None if self.mirrored is None else self.mirrored.maps()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of its feature sets."""
        return tuple(each.id for each in (self.feature_set, self.mirrored) if each is not None)


def choose_backbones(
    store: FeatureStore, index: DatasetIndex, digests: Digests, asked: str | Sequence[str] | None = None
) -> tuple[list[MapBackbone], list[str]]:
    """Return the backbones whose pyramids hold every annotated image, and notes on those that are left out.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    index : DatasetIndex
        The dataset, for advice.
    digests : Digests
        ``(n, 32)`` of the annotated images.
    asked : str or sequence of str, optional
        Names of backbones, groups of them or feature sets, as a list or separated by commas; by default every one
        that covers the images, by name.

    Raises
    ------
    StackError
        If there is none, or one that was named lacks images.
    UsageError
        If a name is unknown.
    """
    there = [each for each in store.feature_sets() if each.name.output == PYRAMID and each.shards()]
    plain = [each for each in there if each.name.view == PLAIN]
    lacking = {each.id: int(each.missing(digests).sum()) for each in there}
    steered = {each.id for each in plain if each.header().spec.steering is not None}
    notes = []
    if asked is None:
        chosen = [each for each in plain if not lacking[each.id] and each.id not in steered]
        notes = [_incomplete(store, index, each, lacking[each.id]) for each in plain if lacking[each.id]]
        notes += [f"{each.id} is left out: its steering saw labels of images" for each in plain if each.id in steered]
        if not chosen:
            raise StackError(_none_message(store, index, plain, lacking))
    else:
        chosen = _named(store, index, plain, asked)
        for each in chosen:
            if lacking[each.id]:
                raise StackError(_incomplete(store, index, each, lacking[each.id]))
            if each.id in steered:
                message = (
                    f"{each.id} is of a steered backbone, which saw labels of images, and a detection experiment does "
                    "not know which folds that is fair in. Name plain backbones with --backbones"
                )
                raise StackError(message)
    views = {each.header().spec: each for each in there if each.name.view == MIRROR and not lacking[each.id]}
    names = [each.name.backbone for each in chosen]
    found = []
    for each in chosen:
        name = each.name.backbone if names.count(each.name.backbone) == 1 else each.id
        found.append(MapBackbone(name, each, views.get(replace(each.header().spec, view=MIRROR))))
    if len({each.maps.side for each in found}) > 1:
        sides = ", ".join(f"{each.name} {each.maps.side}" for each in found)
        notes.append(f"the backbones saw images of different sizes, in pixels of the frame: {sides}")
    without = [each.name for each in found if each.mirrored is None]
    if without and len(without) < len(found):
        them = "it learns" if len(without) == 1 else "they learn"
        again = extract_words(store, index, "--backbones", ",".join(without), "--outputs", PYRAMID, "--views", MIRROR)
        notes.append(f"{', '.join(without)} has no mirrored maps, so that {them} from plain images: {again} adds them")
    return found, notes


def recorded_backbones(
    store: FeatureStore, digests: Digests, recorded: Mapping[str, Sequence[str]]
) -> list[MapBackbone]:
    """Return backbones of exactly the feature sets that a result records: whatever joined the cache since is left.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    digests : Digests
        ``(n, 32)`` of the annotated images.
    recorded : mapping of str to sequence of str
        By the backbone's name its ids: `MapBackbone.ids`.

    Raises
    ------
    StackError
        If one is not in the cache, or lacks images.
    """
    there = {each.id: each for each in store.feature_sets() if each.name.output == PYRAMID and each.shards()}
    lost = sorted({identity for ids in recorded.values() for identity in ids} - there.keys())
    lost += [each for ids in recorded.values() for each in ids if each in there and there[each].missing(digests).any()]
    if lost:
        message = (
            f"the cache {store.root} has no maps of every image in {', '.join(map(repr, lost))}, which the result is "
            "of. Run the `stackbone extract` that made them again"
        )
        raise StackError(message)
    return [MapBackbone(name, *(there[identity] for identity in ids)) for name, ids in recorded.items()]


def _named(
    store: FeatureStore, index: DatasetIndex, plain: Sequence[FeatureSet], asked: str | Sequence[str]
) -> list[FeatureSet]:
    names = expand_groups(asked, lambda _: [each.id for each in plain])
    chosen: list[FeatureSet] = []
    for name in names:
        wanted = name if parse_feature_set_id(name) else parse_feature_name(name).backbone
        matches = [each for each in plain if wanted in (each.id, each.name.backbone)]
        if not matches:
            has = ", ".join(dict.fromkeys(each.name.backbone for each in plain)) or "none"
            add = extract_words(store, index, "--backbones", wanted, "--outputs", PYRAMID)
            message = f"the cache {store.root} has no pyramids of {wanted!r}; it has {has}. Run {add} to add them"
            raise UsageError(message)
        chosen += [each for each in matches if each not in chosen]
    if not chosen:
        message = f"--backbones names none; name some, or leave it out for {typed('--backbones', ALL)}"
        raise UsageError(message)
    return chosen


def _incomplete(store: FeatureStore, index: DatasetIndex, lacking: FeatureSet, n: int) -> str:
    again = extract_words(store, index, "--backbones", lacking.name.backbone, "--outputs", PYRAMID)
    return f"{lacking.id} is left out: it lacks {counted(n, 'annotated image')}. Run {again} to complete it"


def _none_message(
    store: FeatureStore, index: DatasetIndex, plain: Sequence[FeatureSet], lacking: dict[str, int]
) -> str:
    lacks = "; ".join(f"{each.id} lacks {lacking[each.id]:,}" for each in plain if lacking[each.id])
    found = f"no pyramids of every annotated image of the dataset {index.name!r}: {lacks or 'the cache has none'}"
    return (
        f"{found}. Detection learns from maps at several strides. Run "
        f"{extract_words(store, index, '--outputs', PYRAMID)} to make them"
    )
