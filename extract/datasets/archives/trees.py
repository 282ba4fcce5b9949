"""Archives that hold what folders would: classes, splits, and tables beside the images."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import cast

from stackbone.cache.errors import DatasetError, DoubtError, ImageError, Malformed, UsageError
from stackbone.extract.containers.container import Member
from stackbone.extract.datasets.archives.annotations import has_config, list_annotated
from stackbone.extract.datasets.archives.found import Archives, find_archives
from stackbone.extract.datasets.archives.members import Held, Inventory, Named, go_through
from stackbone.extract.datasets.archives.samples import are_samples, list_samples
from stackbone.extract.datasets.folders.listing import list_found
from stackbone.extract.datasets.folders.walking import METADATA
from stackbone.extract.datasets.kind import Entries, Listing, Request

_MOST_TABLE_BYTES = 1 << 30


def list_trees(request: Request) -> Listing:
    """List the images of archives, with what annotations in a known form say, or else folders and tables.

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
    inventory.skip_beside(archives)
    images: list[tuple[str, str, str]] = []  # archive, folder that it stands for, member
    with tempfile.TemporaryDirectory() as folder, _named(folder, archives):
        tables: list[_Table] = []
        all_named: list[Named] = []
        others: list[tuple[str, str, str]] = []
        for held in go_through(archives, request.exclude, inventory):
            has_table = False
            all_named.append(held.named)
            for member in held.others:
                if member.name.rpartition("/")[2].lower() in METADATA:
                    has_table = True
                    tables.append(_take_table(held, member, Path(folder) / str(len(tables))))
                else:
                    others.append((held.path, held.folder, member.name))
            if not has_table and not has_config(held) and are_samples(held):
                return list_samples(request)
            images += ((held.path, held.folder, name) for name in held.images)
        if (annotated := list_annotated(archives, all_named, inventory, request)) is not None:
            return annotated
        if not tables and any(map(are_samples, all_named)):
            return list_samples(request)
        # Tables in one place of several shards speak of their own shards' images alone.
        is_own = len({each.place for each in tables}) < len(tables)
        for archive, stands_for, name in others:
            inventory.skip(archive, name, _relative(archive, name) if is_own else _joined(stands_for, name))
        if not images:
            inventory.refuse_damaged(archives.root)
        inventory.found.tables = [each.put(Path(folder) / "tables", is_own=is_own) for each in tables]
        path_of, folders = _places(images, is_own=is_own)
        inventory.found.images = sorted(path_of)
        tables_at = Path(folder) / "tables"
        listing = list_found(
            _place(archives), inventory.found, request, tables=tables_at, folders=folders if is_own else None
        )
    entries: Entries = {path_of[path]: marks for path, marks in listing.entries.items()}
    stored = {path: entries[path] for path in path_of.values()}
    return replace(
        listing,
        title=archives.title,
        root=archives.root,
        entries=stored,
        notes=[*inventory.notes(), *filter(None, [archives.note]), *listing.notes],
        further=listing.further.moved(path_of),
    )


@dataclass(frozen=True)
class _Table:
    """A table in an archive, copied to a file; `path` and `place` are its own, and that in the archives' folders."""

    path: str
    place: str
    file: Path

    def put(self, folder: Path, *, is_own: bool) -> str:
        """Move it to where it is read, below a folder, and return its path there."""
        path = self.path if is_own else self.place
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            self.file.rename(folder / path)
        except (OSError, ValueError) as exc:
            message = (
                f"The table {self.path!r} cannot be read: no file here can have such a name ({exc}). Expected a "
                "name that one can have. Rename it in the archive, or unpack that."
            )
            raise DatasetError(message) from exc
        return path


def _places(images: Sequence[tuple[str, str, str]], *, is_own: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return images by where they are listed, and the folders that count for each of these.

    Parameters
    ----------
    images
        Their archives, the folders that these stand for, and their names there.
    is_own
        Whether they are listed in their archives, and not in the folders for which these stand.
    """
    path_of: dict[str, str] = {}
    folders: dict[str, str] = {}
    n_alike: Counter[str] = Counter()  # two shards may hold members of one name
    for archive, folder, name in images:
        path = free = _relative(archive, name) if is_own else _joined(folder, name)
        while free in path_of:
            n_alike[path] += 1
            free = f"{path}#{n_alike[path] + 1}"
        path_of[free] = f"{archive}/{name}"
        folders[free] = intern(_joined(folder, name).rpartition("/")[0])
    return path_of, folders


def _place(archives: Archives) -> Path:
    return archives.root / archives.paths[0] if len(archives.paths) == 1 else archives.root


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _relative(archive: str, name: str) -> str:
    """Return where a member lies, also of an archive that is named from the root of the disk."""
    return f"{archive.lstrip('/')}/{name}"


def _take_table(held: Held, member: Member, file: Path) -> _Table:
    """Copy a table out of an archive."""
    name, size = member.name, member.size or 0
    if size > _MOST_TABLE_BYTES:
        message = (
            f"The table {name!r} in {held.path!r} has {size:,} bytes. Expected at most {_MOST_TABLE_BYTES:,}. Unpack "
            "the archive."
        )
        raise DatasetError(message)
    try:
        file.write_bytes(held.container.read(name))
    except (ImageError, Malformed) as exc:
        message = f"The table {name!r} in {held.path!r} cannot be read: {exc}. Get the archive again, and run again."
        raise DatasetError(message) from exc
    return _Table(_relative(held.path, name), _joined(held.folder, name), file)


@contextmanager
def _named(folder: str, archives: Archives) -> Iterator[None]:
    """Let messages about tables name the archive, in place of the folder that they were copied to."""
    try:
        yield
    except (DatasetError, UsageError) as exc:
        text = str(exc).replace(f"{folder}/tables", str(_place(archives)))
        if text == str(exc) or isinstance(exc, DoubtError):
            raise
        raise type(exc)(text) from exc
