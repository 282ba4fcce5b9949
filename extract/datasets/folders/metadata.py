"""Tables beside images, as the imagefolder of Hugging Face's datasets has them: ``metadata.csv`` and the like.

A row says of the file that its column ``file_name`` names, relative to the table's folder, what its other columns hold.
Reference: the library's documentation, "Create an image dataset", ImageFolder.
"""

from __future__ import annotations

import glob
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.splits import canonical_splits
from stackbone.cache.text import counted, typed
from stackbone.extract.datasets.folders.tree import quoted
from stackbone.extract.datasets.further import Further
from stackbone.extract.datasets.kind import Entries, TableColumns
from stackbone.extract.datasets.kinds.table import read_table
from stackbone.extract.datasets.label_sets import as_sets
from stackbone.extract.datasets.tables.disk import Disk

_PATH = "file_name"


@dataclass(frozen=True)
class _Metadata:
    """A table's rows, their paths relative to its folder; `labelled` is whether it has the column of labels.

    `further` is what its other columns say.
    """

    entries: Entries
    labelled: bool
    notes: Sequence[str] = ()
    further: Further = field(default_factory=Further)
    label_form: str = ""


@dataclass(frozen=True)
class Applied:
    """Images with what tables say of them.

    Attributes
    ----------
    entries
        Of every image.
    spoken_for
        Folders, each with a slash at the end, of whose images tables say the labels.
    notes
        What was believed.
    further
        What other columns say.
    label_form
        Of the labels: see `stackbone.extract.datasets.kind.Listing`.
    """

    entries: Entries
    spoken_for: list[str]
    notes: list[str]
    further: Further = field(default_factory=Further)
    label_form: str = ""


def apply_metadata(root: Path, entries: Entries, tables: Sequence[str], columns: TableColumns) -> Applied:
    """Return the images of a folder with what the tables beside them say.

    Below a table that has labels, no folder's name is a label any more: an image that it does not list has none. A
    table's own splits and groups go before those of folders. Of several tables above an image the nearest counts.
    Where labels are not asked for, a table that cannot be read is left out, with a note.

    Parameters
    ----------
    root
        Absolute folder of the dataset.
    entries
        Its images, with what their folders say.
    tables
        Paths of the tables, relative to `root`.
    columns
        The columns' names as the user gave them; the default of ``path`` stands for ``file_name``.

    Raises
    ------
    UsageError
        If a column that the user named is missing.
    DatasetError
        If labels are asked for, and a table is damaged, or two lie in one folder.
    """
    is_needed = columns.label is not None or bool(columns.labels)
    applied = Applied(dict(entries), [], [])
    try:
        _refuse_two(root, tables)
    except DatasetError as exc:
        if is_needed:
            raise
        applied.notes.append(f"Tables beside images are left out, since labels are not asked for. {exc}")
        return applied
    further: list[Further] = []
    labelled: list[str] = []
    ordered = sorted(entries)
    for table in sorted(tables, key=lambda path: (path.count("/"), path)):
        try:
            metadata = _read(root / table, columns)
        except DatasetError as exc:
            if not is_needed:
                applied.notes.append(f"{table!r} is left out, since labels are not asked for and it has a fault. {exc}")
                continue
            msg = f"{exc} Or leave this table out: type --exclude {typed('./' + glob.escape(table))}"
            raise DatasetError(msg) from exc
        if metadata is None:
            applied.notes.append(f"{table!r} has no column {_PATH!r}, so it is not read as a table of images.")
        else:
            below = _below(ordered, table[: table.rfind("/") + 1])
            further.append(_apply(applied, root, table, metadata, columns, below))
            applied = replace(applied, label_form=applied.label_form or metadata.label_form)
            labelled += [table] if metadata.labelled else []
    if labelled:
        applied.notes.insert(0, f"Labels are those of {quoted(labelled)}, not the names of folders.")
    return replace(applied, further=applied.further.joined(*further))


def _below(ordered: Sequence[str], prefix: str) -> Sequence[str]:
    """Return those of sorted paths that begin with a folder's, which ends in a slash."""
    if not prefix:
        return ordered
    behind = prefix[:-1] + chr(ord("/") + 1)
    return ordered[bisect_left(ordered, prefix) : bisect_left(ordered, behind)]


def _apply(
    applied: Applied, root: Path, table: str, metadata: _Metadata, columns: TableColumns, below: Sequence[str]
) -> Further:
    """Enter what a table says, and return what its other columns say of the images below it."""
    entries, prefix = applied.entries, table[: table.rfind("/") + 1]
    if metadata.label_form == SETS and applied.label_form != SETS:
        others = {path: marks for path, marks in entries.items() if not path.startswith(prefix)}
        entries.update(as_sets(others, "what folders and other tables say"))
    elif metadata.labelled and applied.label_form == SETS != metadata.label_form:
        metadata = replace(metadata, entries=as_sets(metadata.entries, repr(table)))
    disk, rows, absent, moved = Disk(str(root)), {}, [], {}
    for name, row in metadata.entries.items():
        path = name if os.path.isabs(name) else prefix + name
        found = path if path in entries else disk.find(path)
        if found in entries:
            rows[found], moved[name] = row, found
        else:
            absent.append(path)
    splits = canonical_splits(split for _, split, _ in rows.values())
    for path in below:
        label, split, group = entries[path]
        given = rows.get(path, ("", "", ""))
        label = given[0] if metadata.labelled else label
        entries[path] = (label, splits.get(given[1]) or split, given[2] or group)
    if metadata.labelled:
        applied.spoken_for.append(prefix)
    applied.notes.extend(_say(table, metadata, columns, len(below) - len(rows), absent))
    # A row whose image is not there says nothing of one that has its name elsewhere.
    found_rows = {moved[name]: cells for name, cells in metadata.further.rows.items() if name in moved}
    return Further(metadata.further.names, found_rows)


def _say(table: str, metadata: _Metadata, columns: TableColumns, n_bare: int, absent: list[str]) -> Iterator[str]:
    yield from metadata.notes
    if metadata.labelled:
        if n_bare:
            have = "it has" if n_bare == 1 else "they have"
            yield f"{table!r} does not list {counted(n_bare, 'image')}: {have} no label."
    elif columns.label is not None:
        yield (
            f"{table!r} has no column {columns.label!r}, so labels are the names of folders. If another column holds "
            "the labels, type --label-column NAME."
        )
    if absent:
        names = "names" if len(absent) == 1 else "name"
        yield f"{counted(len(absent), 'row')} of {table!r} {names} no image of this dataset: {quoted(absent)}."


def _refuse_two(root: Path, tables: Sequence[str]) -> None:
    by_folder: dict[str, list[str]] = {}
    for table in tables:
        by_folder.setdefault(table[: table.rfind("/") + 1], []).append(table)
    for folder, found in by_folder.items():
        if len(found) > 1:
            first, *others = sorted(found)
            options = " ".join(f"--exclude {typed('./' + glob.escape(table))}" for table in others)
            msg = (
                f"The folder {str(root / folder)!r} holds {quoted(os.path.basename(table) for table in found)}. "
                f"Expected one table beside images. To keep {os.path.basename(first)!r}, type {options}"
            )
            raise DatasetError(msg)


def _read(file: Path, columns: TableColumns) -> _Metadata | None:
    """Return what a table says; None if it is no table of images and nobody said that it was."""
    wanted = replace(columns, path=_PATH) if columns.path == TableColumns().path else columns
    try:
        table = read_table(file, file.parent, wanted)
        return _Metadata(table.entries, "label" in table.marks, table.notes, table.further, table.label_form)
    except UsageError:
        if columns.label not in (None, TableColumns().label):
            raise
    try:
        table = read_table(file, file.parent, replace(wanted, label=None))
        return _Metadata(table.entries, labelled=False, notes=table.notes, further=table.further)
    except UsageError:
        if replace(columns, label=TableColumns().label) != TableColumns():
            raise
    return None
