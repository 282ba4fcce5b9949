"""Which rows of a shard are of images whose files are cut short, as its provenance tells (see FORMAT.md)."""

from __future__ import annotations

from collections.abc import Iterable

from stackbone.cache.text import counted

CUT = "truncated"
"""The key of the provenance."""

_DIGITS = 16  # hex digits of each digest
_MOST = 2000  # named: an attribute of a shard has at most 60,000 bytes
_MORE = "..."


def named_cut(digests: Iterable[str]) -> dict[str, str]:
    """Return the entry of the provenance that names images by their digests in hex; none where there are none."""
    return _named({digest[:_DIGITS] for digest in digests})


def merged_cut(texts: Iterable[str]) -> dict[str, str]:
    """Return the entry that names all images that the entries of merged shards name."""
    return _named({name for text in texts for name in text.split()})


def names_cut(texts: Iterable[str], digests: Iterable[str]) -> list[bool]:
    """Return which of some images, by their digests in hex, any of these entries names."""
    names = {name for text in texts for name in text.split()}
    return [digest[:_DIGITS] in names for digest in digests]


def count_cut(text: str) -> str:
    """Return how many images an entry names, in words for people."""
    names = set(text.split())
    return counted(len(names - {_MORE}), "image") + (" and more" if _MORE in names else "")


def _named(names: set[str]) -> dict[str, str]:
    named = sorted(names - {_MORE})
    more = [_MORE] if _MORE in names or len(named) > _MOST else []
    return {CUT: " ".join([*named[:_MOST], *more])} if names else {}
