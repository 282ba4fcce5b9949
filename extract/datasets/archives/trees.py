"""Archives that hold what folders would: classes, splits, and tables beside the images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from stackbone.cache.errors import DatasetError, DoubtError, ImageError, Malformed, UsageError
from stackbone.extract.containers.container import Member
from stackbone.extract.datasets.archives.found import Archives, find_archives
from stackbone.extract.datasets.archives.members import Held, Inventory, go_through
from stackbone.extract.datasets.folders.listing import list_found
from stackbone.extract.datasets.folders.walking import METADATA
from stackbone.extract.datasets.kind import Entries, Listing, Request

_MOST_TABLE_BYTES = 1 << 30


def list_trees(request: Request) -> Listing:
    """List the images of archives, with splits and classes from the folders in them and from tables beside the images.

    The name of an archive counts as a folder's, but for the number of a shard.

    Raises
    ------
    DatasetError
        As of `list_folder`; or an archive cannot be read.
    UsageError
        As of `list_folder`.
    """
    archives = cast(Archives, request.once("archives", find_archives))
    inventory = Inventory()
    path_of: dict[str, str] = {}  # by where the image would lie in a folder
    with tempfile.TemporaryDirectory() as folder, _named(folder, archives):
        tables = Path(folder)
        for held in go_through(archives, request.exclude, inventory):
            for name in held.images:
                path_of[_free(path_of, _joined(held.folder, name))] = f"{held.path}/{name}"
            for member in held.others:
                if member.name.rpartition("/")[2].lower() in METADATA:
                    _take_table(held, member, tables, inventory)
                else:
                    inventory.skip(held.path, member.name)
        if not path_of:
            inventory.refuse_damaged(archives.root)
        inventory.found.images = sorted(path_of)
        listing = list_found(_place(archives), inventory.found, request, tables=tables)
    entries: Entries = {path_of[path]: marks for path, marks in listing.entries.items()}
    stored = {path: entries[path] for path in path_of.values()}
    return replace(
        listing,
        title=archives.title,
        root=archives.root,
        entries=stored,
        notes=[*inventory.notes(), *listing.notes],
        further=listing.further.moved(path_of),
    )


def _place(archives: Archives) -> Path:
    return archives.root / archives.paths[0] if len(archives.paths) == 1 else archives.root


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _free(taken: dict[str, str], path: str) -> str:
    """Return a path that is not taken, in the same folder: two shards may hold members of one name."""
    free, number = path, 1
    while free in taken:
        number += 1
        free = f"{path}#{number}"
    return free


def _take_table(held: Held, member: Member, tables: Path, inventory: Inventory) -> None:
    """Copy a table out of an archive to where tables are read."""
    name, size = member.name, member.size or 0
    path = _joined(held.folder, name)
    if path in inventory.found.tables:
        inventory.found.skip("table", "a table of another shard has its place", f"{held.path}/{name}")
        return
    if size > _MOST_TABLE_BYTES:
        message = (
            f"The table {name!r} in {held.path!r} has {size:,} bytes. Expected at most {_MOST_TABLE_BYTES:,}. Unpack "
            "the archive."
        )
        raise DatasetError(message)
    try:
        content = held.container.read(name)
    except (ImageError, Malformed) as exc:
        message = f"The table {name!r} in {held.path!r} cannot be read: {exc}. Get the archive again, and run again."
        raise DatasetError(message) from exc
    file = tables / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    inventory.found.tables.append(path)


@contextmanager
def _named(folder: str, archives: Archives) -> Iterator[None]:
    """Let messages about tables name the archive, in place of the folder that they were copied to."""
    try:
        yield
    except (DatasetError, UsageError) as exc:
        text = str(exc).replace(folder, str(_place(archives)))
        if text == str(exc) or isinstance(exc, DoubtError):
            raise
        raise type(exc)(text) from exc
