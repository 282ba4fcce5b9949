"""Names by which people call the parts of a dataset: those that mean the same get one name."""

from __future__ import annotations

from collections.abc import Iterable

from stackbone.extract.datasets.kinds.folder import SPLIT_FOLDERS

SPLITS = ("train", "validation", "test")
"""Canonical names, as an index holds them."""


def canonical_splits(names: Iterable[str]) -> dict[str, str]:
    """Return the canonical name of each of some names that stand side by side; one that is no split's is its own."""
    return {name: SPLIT_FOLDERS.get(name.lower(), name) for name in names}


def canonical_split(name: str) -> str:
    """Return ``train``, ``validation`` or ``test`` for a well-known name of one, in any case; else the name itself."""
    return canonical_splits([name])[name]
