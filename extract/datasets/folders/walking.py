"""What lies below a folder: images, tables beside them, and what is not taken, counted.

To list a million files must cost little more than to read their names, so a file with an image's extension is neither
opened nor asked for its status.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.folders.extensions import is_image_name, why_not, why_not_beside
from stackbone.extract.datasets.folders.first_bytes import look_into
from stackbone.extract.datasets.folders.pruning import (
    Exclusion,
    is_cache,
    is_figures,
    is_system_file,
    is_system_folder,
)
from stackbone.extract.datasets.kind import Skipped
from stackbone.extract.images.formats import decodable_extensions

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Tables beside images, as the imagefolder of Hugging Face's datasets has them."""

_NO_FILE = "not a file: a pipe, a socket or a device"
_SYSTEM = "made by an operating system or a file server"
_OURS = "written by Stackbone"
_EXCLUDED = "excluded"
_HIDDEN = "a name that begins with a dot"
_MOST_SORTS = 50


@dataclass
class Found:
    """What lies below a folder; paths are posix-style, relative to it, folders with a slash at the end.

    Bytes of a name that are not UTF-8 are kept as lone surrogates (``os.fsencode`` gives them back).

    Attributes
    ----------
    images
        Sorted by code point.
    tables
        Files named as in `METADATA`.
    unreadable
        Folders that could not be listed, with the reason.
    sorts
        For each folder that was entered, what was not taken of the files in it, by `Skipped.sort`.
    """

    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    sorts: dict[str, Counter[str]] = field(default_factory=dict)
    _skipped: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    @property
    def skipped(self) -> list[Skipped]:
        """What was not taken, the most frequent sorts first, rare ones together: each file may have one of its own."""
        ordered = sorted(self._skipped.items(), key=lambda item: (-item[1][0], item[0]))
        rare: dict[str, list[tuple[int, str]]] = {}
        for (_, reason), counted in ordered[_MOST_SORTS:]:
            rare.setdefault(reason, []).append(counted)
        return [
            *(Skipped(sort, reason, *counted) for (sort, reason), counted in ordered[:_MOST_SORTS]),
            *(Skipped("others", why, sum(n for n, _ in each), min(p for _, p in each)) for why, each in rare.items()),
        ]

    def skip(self, sort: str, reason: str, path: str) -> None:
        """Count a file or folder that is not taken."""
        count, example = self._skipped.get((sort, reason), (0, path))
        self._skipped[sort, reason] = (count + 1, min(example, path))

    def skip_file(self, reason: str, path: str, place: str = "") -> None:
        """Count a file that is not taken by its extension, and in its folder, or that of where it is listed."""
        sort = os.path.splitext(path)[1].lower() or "no extension"
        listed = place or path
        self.sorts[listed[: listed.rfind("/") + 1]][sort] += 1
        self.skip(sort, reason, path)


class _Names(NamedTuple):
    """Names in one folder."""

    folders: list[str]
    images: list[str]
    others: list[str]
    specials: list[str]


def walk(root: Path, exclusion: Exclusion) -> Found:
    """List what lies below a folder.

    Links to files and folders are followed; a folder that is met again below itself is not entered a second time. A
    folder that cannot be listed is counted, and the others are listed.

    Raises
    ------
    DatasetError
        If `root` itself cannot be listed.
    """
    found = Found()
    unknown: list[str] = []
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        prefix, above = pending.pop()
        folder = os.path.join(root, prefix)
        try:
            status = os.stat(folder)
            chain = above | {(status.st_dev, status.st_ino)}
            # A link loop: all that is below has been listed through the folder's first appearance.
            if chain == above:
                continue
            names = _scan(folder)
        except OSError as exc:
            if not prefix:
                raise _unreadable_root(folder, exc) from exc
            reason = exc.strerror or str(exc)
            found.skip(prefix.split("/")[-2], f"a folder that cannot be read: {reason}", prefix)
            found.unreadable[prefix] = reason
            continue
        if prefix and (is_cache(names.folders) or is_figures(names.images, names.others)):
            found.skip(prefix.split("/")[-2], _OURS, prefix)
            continue
        found.sorts[prefix] = Counter()
        pending.extend(
            (f"{prefix}{name}/", chain) for name in names.folders if _is_entered(found, exclusion, prefix, name)
        )
        unknown += _sort_files(found, exclusion, prefix, names)
    for path, reason in look_into(root, unknown):
        if reason:
            found.skip_file(reason, path)
        else:
            found.images.append(path)
    found.images.sort()
    return found


def files_below(root: Path, exclusion: Exclusion, is_wanted: Callable[[str], bool]) -> list[str]:
    """Return the paths of files whose names are wanted, sorted; none where images are met: the folder is one of those.

    As of `all_files`.
    """
    found: list[str] = []
    for path in all_files(root, exclusion):
        name = path[path.rfind("/") + 1 :]
        if is_image_name(name):
            return []
        if is_wanted(name):
            found.append(path)
    return sorted(found)


def all_files(root: Path, exclusion: Exclusion) -> Iterator[str]:
    """Yield the paths of all files below a folder, posix-style and relative to it.

    What is hidden, excluded or a system's is passed over, and so is what cannot be listed.
    """
    pending, linked = [""], set()
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(os.path.join(root, prefix)) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith(".") or (exclusion and exclusion.covers(prefix, name)):
                        continue
                    if is_folder(entry):
                        target = os.path.realpath(entry.path) if entry.is_symlink() else ""
                        if not is_system_folder(name) and target not in linked:
                            pending.append(f"{prefix}{name}/")
                        linked |= {target} - {""}
                    elif not is_system_file(name):
                        yield prefix + name
        except OSError:  # the listing of folders says so
            continue


def skipped_beside(paths: Iterable[str], taken: Container[str]) -> list[Skipped]:
    """Return what lies beside a dataset that is archives, tables or videos, and is not taken.

    Parameters
    ----------
    paths
        Of all files below a folder.
    taken
        Those that the dataset consists of.
    """
    found = Found(sorts=defaultdict(Counter))
    for path in paths:
        if path not in taken:
            found.skip_file(why_not_beside(path), path)
    return found.skipped


def folders_in_wrappers(root: Path) -> Iterator[Path]:
    """Yield a folder, the only folder in it if no images lie beside that, the only one in that, and so on."""
    folder, seen = root, set()
    while (real := os.path.realpath(folder)) not in seen:
        seen.add(real)
        yield folder
        inner: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    is_inner = is_folder(entry) and not (entry.name.startswith(".") or is_system_folder(entry.name))
                    inner += [entry.name] if is_inner else []
                    if len(inner) > 1 or (not is_inner and is_image_name(entry.name)):
                        return
        except OSError:
            return
        folder = folder.joinpath(*inner)


def _scan(folder: str) -> _Names:
    names = _Names([], [], [], [])
    endings = decodable_extensions()
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            is_plain = entry.is_file(follow_symlinks=False)  # as nearly all are, and this asks the system nothing
            if not is_plain and is_folder(entry):
                names.folders.append(name)
            # A broken link stays in the list, to be reported when it is read; a pipe or a device with an
            # image's name would block the reader for ever.
            elif not is_plain and not entry.is_symlink():
                names.specials.append(name)
            elif name.lower().endswith(endings) and name[0] != ".":
                names.images.append(name)
            else:
                names.others.append(name)
    return names


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a place that may not be looked at
        return False


def _is_entered(found: Found, exclusion: Exclusion, prefix: str, name: str) -> bool:
    """Return whether a folder is looked into; count it if not."""
    if name.startswith("."):
        found.skip("hidden", _HIDDEN, f"{prefix}{name}/")
    elif is_system_folder(name):
        found.skip(name, _SYSTEM, f"{prefix}{name}/")
    elif exclusion and exclusion.covers(prefix, name):
        found.skip(name, _EXCLUDED, f"{prefix}{name}/")
    else:
        return True
    return False


def _sort_files(found: Found, exclusion: Exclusion, prefix: str, names: _Names) -> list[str]:
    """Take a folder's images and tables, count what is nothing, and return the files whose names do not say."""
    images, others = names.images, names.others
    if exclusion:
        for name in (*images, *others):
            if exclusion.covers(prefix, name):
                found.skip(os.path.splitext(name)[1].lower() or "no extension", _EXCLUDED, prefix + name)
        images, others = ([n for n in each if not exclusion.covers(prefix, n)] for each in (images, others))
    found.images.extend(prefix + name for name in images)
    for name in names.specials:
        found.skip_file(_NO_FILE, prefix + name)
    unknown = []
    for name in others:
        if name.startswith("."):
            found.skip("hidden", _HIDDEN, prefix + name)
        elif is_system_file(name):
            found.skip(name, _SYSTEM, prefix + name)
        elif name.lower() in METADATA:
            found.tables.append(prefix + name)
        elif reason := why_not(os.path.splitext(name)[1].lower()):
            found.skip_file(reason, prefix + name)
        else:
            unknown.append(prefix + name)
    return unknown


def _unreadable_root(folder: str, exc: OSError) -> DatasetError:
    return DatasetError(
        f"Cannot list the folder {folder!r}: {exc.strerror or exc}. A dataset's folder must be readable. Give yourself "
        "read and execute permission on it, or name another."
    )
