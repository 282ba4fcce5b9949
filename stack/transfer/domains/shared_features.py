"""The feature sets that both domains have: what is learnt of one kind of features says nothing of another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError, UsageError
from stackbone.cache.text import typed
from stackbone.stack.features.selection import select_backbones
from stackbone.stack.features.source import extract_words
from stackbone.stack.features.steered import SteeredBackbone

_SHOWN = 3


def shared_feature_sets(
    store: FeatureStore, indexes: Sequence[DatasetIndex], asked: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the ids of the feature sets that cover every dataset, in the order asked for, and notes on the others.

    Parameters
    ----------
    store
        The cache.
    indexes
        The datasets, the target's last.
    asked
        Backbones, as of `stack.features.selection.select_backbones`; by default every feature set that covers all.

    Raises
    ------
    StackError
        If there is none, or the one that a name stands for is another in each dataset.
    UsageError
        If a name is unknown, or a backbone is steered.
    """
    found = [_plain(store, index, asked) for index in indexes]
    common = [identity for identity in found[-1] if all(identity in each for each in found)]
    own = {index.name: [each for each in one if each not in common] for index, one in zip(indexes, found, strict=True)}
    lacking = [name for name in _backbones(found) if name not in {found[-1][each].backbone for each in common}]
    if not common or (asked is not None and lacking):
        raise StackError(_unlike_message(store, indexes, found, lacking or _backbones(found)))
    notes = [
        f"{', '.join(ids[:_SHOWN])}{', ...' if len(ids) > _SHOWN else ''} left out: of {name} alone, and both domains "
        "need the same features"
        for name, ids in own.items()
        if ids
    ]
    return common, notes


def _plain(store: FeatureStore, index: DatasetIndex, asked: str | Sequence[str] | None) -> dict[str, FeatureSet]:
    chosen = select_backbones(store, index, asked)
    steered = [name for name, each in chosen.items() if isinstance(each, SteeredBackbone)]
    if steered:
        plain = [name for name in chosen if name not in steered]
        way = f"Name plain backbones alone: {typed('--backbones', ','.join(plain))}" if plain else "Extract a plain one"
        message = (
            f"{', '.join(steered)} was steered by labels, and its features differ from fold to fold; a transfer takes "
            f"features that saw no label. {way}"
        )
        raise UsageError(message)
    return {each.id: each for each in chosen.values() if isinstance(each, FeatureSet)}


def _backbones(found: Sequence[Mapping[str, FeatureSet]]) -> list[str]:
    return list(dict.fromkeys(each.backbone for one in found for each in one.values()))


def _unlike_message(
    store: FeatureStore,
    indexes: Sequence[DatasetIndex],
    found: Sequence[Mapping[str, FeatureSet]],
    names: Sequence[str],
) -> str:
    has = "; ".join(
        f"{index.name} has {', '.join(list(one)[:_SHOWN])}" for index, one in zip(indexes, found, strict=True)
    )
    differ = next((words for name in names if (words := _differences(found, name))), "")
    first = names[0]
    without = [
        i for i, one in zip(indexes, found, strict=True) if first not in {each.backbone for each in one.values()}
    ]
    # Where every dataset has features of that name, they differ: all are to be extracted alike.
    ways = " and ".join(extract_words(store, index, "--backbones", first) for index in without or indexes)
    return (
        f"no feature set of {', '.join(names[:_SHOWN])} covers all domains: {has}{differ}. What was learnt on one "
        f"says nothing of the other. Run {ways} with the same options, and transfer again"
    )


def _differences(found: Sequence[Mapping[str, FeatureSet]], name: str) -> str:
    """Return in which fields the specs of a backbone differ between the datasets."""
    specs = [
        next((json.loads(each.header().spec.to_json()) for each in one.values() if each.backbone == name), None)
        for one in found
    ]
    known = [spec for spec in specs if spec is not None]
    if len(known) < len(specs):
        return ""
    fields = [key for key in sorted(set().union(*known)) if any(one.get(key) != known[0].get(key) for one in known)]
    return f". Of {name} they differ in {', '.join(fields)}" if fields else ""
