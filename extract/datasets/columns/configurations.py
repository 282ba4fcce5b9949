"""Configurations of a dataset of Hugging Face's hub: folders that each have the same splits, of which one is meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from stackbone.cache.errors import UsageError
from stackbone.cache.splits import SPLITS, role_of
from stackbone.cache.text import typed
from stackbone.extract.datasets.columns.layout import Layout
from stackbone.extract.datasets.folders.tree import quoted


def refuse_configurations(layout: Layout, files: Iterable[tuple[str, str]]) -> None:
    """Raise `UsageError` if tables in several folders are of one split, and these folders are of none.

    Parameters
    ----------
    layout
        Of a folder.
    files
        Path and split of each table that is taken.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for file, split in files:
        if split in SPLITS:
            folders[_above_split(file)].add(split)
    holders: dict[str, list[str]] = defaultdict(list)
    for folder, splits in sorted(folders.items()):
        for split in sorted(splits):
            holders[split].append(folder)
    split, several = max(holders.items(), key=lambda item: len(item[1]), default=("", []))
    if len(several) <= 1:
        return
    msg = (
        f"{quoted(name or '.' for name in several)} in {str(layout.root)!r} each hold the split {split!r}, as "
        f"configurations of one dataset do. Expected one of them. Type its folder, such as "
        f"{typed(layout.root / several[-1])}, or leave the others out with --exclude; to join them, name their files."
    )
    raise UsageError(msg)


def _above_split(file: str) -> str:
    """Return the folders of a file that come before one of a split."""
    above: list[str] = []
    for name in file.split("/")[:-1]:
        role = role_of(name)
        if role and role.plain:
            break
        above.append(name)
    return "/".join(above)
