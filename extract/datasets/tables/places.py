"""Where the images of a table lie: as it says, or where they obviously are.

A sample is looked for as it is written. Only where that is not all there, all paths are: in another Unicode form or
case; as another system writes them; from the folder of the table, or the one above; and at last by their names, below
the root, where there is one file that fits.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from stackbone.cache.errors import DatasetError
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import counted, typed
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.kind import Entries
from stackbone.extract.datasets.tables.disk import Disk
from stackbone.extract.datasets.tables.elsewhere import MOST_ENTRIES, Elsewhere
from stackbone.extract.datasets.tables.encodings import is_clean
from stackbone.extract.datasets.tables.written import plain_path

_SAMPLE = 256


@dataclass(frozen=True)
class Placed:
    """Images of a table by their true paths.

    Attributes
    ----------
    entries
        As they were listed, those that were found elsewhere under the path of the file.
    missing
        Paths that name no file; those of a table whose sample was all there were not looked for.
    notes
        What was taken for what.
    moved
        The path of the file by the one that is written, of those that differ.
    """

    entries: Entries
    missing: frozenset[str] = frozenset()
    notes: Sequence[str] = ()
    moved: Mapping[str, str] = field(default_factory=dict)


def place(file: Path, root: Path, entries: Entries, options: Sequence[str]) -> Placed:
    """Find the files of a table.

    Parameters
    ----------
    file
        The table.
    root
        Absolute folder that its paths are relative to.
    entries
        By path as it is written, relative to `root` or absolute.
    options
        How the table is read, as it was typed, for the message where no file exists.

    Raises
    ------
    DatasetError
        If none of the files exists, or two rows that disagree turn out to name one file.
    """
    remote = {path: marks for path, marks in entries.items() if is_url(path)}  # reading them will tell
    if remote:
        if len(remote) == len(entries):
            return Placed(entries)
        here = place(file, root, {path: marks for path, marks in entries.items() if path not in remote}, options)
        return replace(here, entries=here.entries | remote)
    disk = Disk(str(root))
    if all(map(disk.has, _sample(entries))):
        return Placed(entries)
    search = _Search(root, disk, [each for each in dict.fromkeys((file.parent, root.parent)) if each != root])
    found = {path: search.as_written(path) for path in entries}
    lost = [path for path, at in found.items() if at is None]
    elsewhere = Elsewhere(root, lost)
    if lost:
        taken = {at for at in found.values() if at is not None}
        found |= _free(entries, taken, {path: elsewhere.find(path, entries[path]) for path in lost})
    missing = frozenset(path for path, at in found.items() if at is None)
    if len(missing) == len(entries):
        raise DatasetError(_nowhere_message(file, root, entries, options, elsewhere))
    placed: Entries = {}
    written: dict[str, str] = {}
    for path, marks in entries.items():
        at = found[path] or path
        if placed.setdefault(at, marks) != marks:
            msg = (
                f"Two rows of {str(file)!r} disagree about one file, {at!r}, which they call {written[at]!r} and "
                f"{path!r}: (label, split, group) {str(placed[at])[:200]} and {str(marks)[:200]}. Expected one row per "
                "image. Delete one."
            )
            raise DatasetError(msg)
        written[at] = path
    moved = {path: at for path, at in found.items() if at is not None and at != path}
    return Placed(placed, missing, [*_moved_notes(file, moved), *_ambiguous_notes(file, elsewhere)], moved)


class _Search:
    """Looks for a path as it is written, and as this system would write it."""

    def __init__(self, root: Path, disk: Disk, others: Iterable[Path]) -> None:
        self._anchor = Anchor(root)
        self._disk = disk
        self._others = [Disk(str(other)) for other in others]

    def as_written(self, path: str) -> str | None:
        """Return where the file lies, relative to the root or absolute; None if it is nowhere."""
        at = self._disk.find(path)
        if at is not None:
            return at
        plain = plain_path(path)
        at = None if plain == path else self._disk.find(self._anchor.relative(plain))
        if at is not None:
            return self._anchor.relative(at)
        for other in self._others:
            at = None if os.path.isabs(plain) else other.find(os.path.normpath(plain))
            if at is not None:
                return self._anchor.relative(os.path.join(other.root, at))
        return None


def _sample(entries: Entries) -> list[str]:
    """Return some paths from all over, and some that are likely to be written in another way than the files' names."""
    paths = list(entries)
    odd = (path for path in paths if not path.isascii() or "\\" in path or path != path.strip())
    return paths[:: max(1, len(paths) // _SAMPLE)] + list(islice(odd, _SAMPLE))


def _free(entries: Entries, taken: set[str], found: dict[str, str | None]) -> dict[str, str | None]:
    """Return what was found, but not where a file is another row's, or that of several rows that disagree."""
    claims: dict[str, set[tuple[str, str, str]]] = {}
    for path, at in found.items():
        if at is not None:
            claims.setdefault(at, set()).add(entries[path])
    return {path: None if at in taken or len(claims.get(at or "", ())) > 1 else at for path, at in found.items()}


def _moved_notes(file: Path, moved: dict[str, str]) -> list[str]:
    if not moved:
        return []
    kinds = Counter(_change(path, at) for path, at in moved.items())
    example = {_change(path, at): _taken(path, at) for path, at in reversed(moved.items())}
    if len(moved) == 1:
        return [f"1 path in {file.name!r} is not exactly that of a file: {next(iter(example.values()))}."]
    shown = ", ".join(example[kind] for kind, _ in kinds.most_common(3))
    return [f"{len(moved):,} paths in {file.name!r} are not exactly those of files: for example, {shown}."]


def _taken(path: str, at: str) -> str:
    """Return which file was taken for a path; two that look the same differ in their Unicode form."""
    are_alike = unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", at)
    return f"{at!r} was taken for {path!r}{', which has another Unicode form' if are_alike else ''}"


def _ambiguous_notes(file: Path, elsewhere: Elsewhere) -> list[str]:
    if not elsewhere.ambiguous:
        return []
    path, places = next(iter(elsewhere.ambiguous.items()))
    n = len(elsewhere.ambiguous)
    return [
        f"{counted(n, 'path')} in {file.name!r} {'fits' if n == 1 else 'fit'} several files, and none was taken: "
        f"{path[:200]!r} may be {' or '.join(map(repr, places[:3]))}."
    ]


def _change(path: str, at: str) -> tuple[str, str]:
    """Return what came before the name, and now does."""
    return path.rpartition("/")[0], at.rpartition("/")[0]


def _nowhere_message(file: Path, root: Path, entries: Entries, options: Sequence[str], elsewhere: Elsewhere) -> str:
    path = next(iter(entries))
    folder = ""
    if elsewhere.ambiguous:
        path, places = next(iter(elsewhere.ambiguous.items()))
        named = ", ".join(map(repr, places[:3]))
        looked = f"{path!r} may be any of {counted(len(places), 'file')} of that name: {named}"
        if places[0].endswith(f"/{path}"):
            folder = os.path.join(root, places[0].removesuffix(f"/{path}"))
    else:
        bound = f" (its first {MOST_ENTRIES:,} files and folders)" if elsewhere.is_bounded else ""
        looked = (
            f"the first is {path[:200]!r}, and there is neither {os.path.join(root, path)[:400]!r} nor, below "
            f"{str(root)!r}{bound}, one file of that name that fits"
        )
    behind = typed("--labels", file, *options)
    advice = (
        f"Type the folder that is meant, and the table behind it: {typed(folder)} {behind}"
        if folder
        else f"Type the folder that they are relative to, and the table behind it: FOLDER {behind}"
    )
    encoding = "" if is_clean(path) else " Or name the table's encoding with --encoding."
    return (
        f"Not one image that {str(file)!r} lists is there ({counted(len(entries), 'path')}): {looked}. Expected paths "
        f"relative to {str(root)!r}, or absolute ones. {advice}. Or name another column with --path-column, or with "
        f"--suffix the extension that the paths lack.{encoding}"
    )
