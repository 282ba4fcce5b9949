"""The command that embeds a dataset's images again, as far as the cache knows where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from stackbone.cache import CacheError, DatasetIndex, FeatureSet, FeatureStore
from stackbone.cache.records.provenance import merge_provenance
from stackbone.cache.store import default_cache
from stackbone.cache.text import typed


def is_folder(index: DatasetIndex) -> bool:
    """Return whether the labels are the names of the images' folders, so that the root is what was named."""
    if index.in_memory:
        return False
    listed = zip(index.path, index.label, strict=True)
    return all(path.split("/")[-2:-1] == [label] for path, label in listed if label)


def data_words(index: DatasetIndex) -> list[str]:
    """Return what to type for a dataset: what was typed, else its folder, or TABLE where labels came from one."""
    return list(index.listed.asked) or [index.root if is_folder(index) else "TABLE"]


def limit_words(feature_sets: Iterable[FeatureSet]) -> list[str]:
    """Return the options that let in every image of some feature sets again; none where the usual limits do."""
    made = merge_provenance([each.provenance() for each in feature_sets])
    return made.let_in


def known_limits(store: FeatureStore, index: DatasetIndex) -> list[str]:
    """Return the options that let in every image of a dataset that any feature set of a cache has.

    What is damaged counts for nothing: these are words of advice.
    """
    found = []
    for each in store.feature_sets():
        with suppress(CacheError):
            if not each.missing(index.image_sha256[index.ok]).all():
                found.append(each.provenance())
    return merge_provenance(found).let_in


def extract_words(store: FeatureStore, index: DatasetIndex, *options: str, limits: Sequence[str] | None = None) -> str:
    """Return what embeds a dataset of a cache again, after "Run": a command in backticks, or what to call in Python.

    `limits` is what `known_limits` returns, where that was asked before: it reads every feature set of the cache.
    """
    if index.in_memory:
        return "`extract` in Python on the same arrays"
    let_in = known_limits(store, index) if limits is None else limits
    words = ["stackbone", "extract", *data_words(index), *options, *let_in]
    if index.name != Path(index.root).name:
        words += ["--dataset", index.name]
    if store.root != default_cache():
        words += ["--cache", str(store.root)]
    return f"`{typed(*words)}`"
