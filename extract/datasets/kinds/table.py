"""Datasets listed in CSV, TSV and Parquet tables, and folders whose labels a table corrects.

No image is opened. Some files of a table are looked for, so that paths that lead nowhere are one error and not a
thousand; one that is missing among others is an entry in the list of failures, and not the end of a run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.remote.url import holds_secret, shown
from stackbone.cache.text import counted, typed
from stackbone.extract.datasets.columns.meaning import NOTES
from stackbone.extract.datasets.corrections import corrected
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.further import Further, gather
from stackbone.extract.datasets.kind import KINDS, DatasetKind, Entries, Listing, Request, TableColumns, as_words
from stackbone.extract.datasets.label_sets import as_sets, read_sets
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.datasets.tables.cells import LIST_MARK, Cells
from stackbone.extract.datasets.tables.json_lines import read_json_lines
from stackbone.extract.datasets.tables.marks import read_marks
from stackbone.extract.datasets.tables.places import place
from stackbone.extract.datasets.tables.text import read_text
from stackbone.extract.datasets.tables.typed.parquet import read_parquet
from stackbone.extract.datasets.tables.written import plain_places

TEXT_TABLES = (".csv", ".tsv")
PARQUET_TABLES = (".parquet", ".pq")
TABLES = TEXT_TABLES + PARQUET_TABLES
"""Extensions of what a user names as a table; tables beside images may be JSON lines, too."""

_READERS = {**dict.fromkeys(PARQUET_TABLES, read_parquet), ".jsonl": read_json_lines}

_MARKS = ("label", "split", "group")


@dataclass(frozen=True)
class Table:
    """A table of images as it is written.

    Attributes
    ----------
    entries
        Label, split and group of each path, as text.
    marks
        Which of ``label``, ``split`` and ``group`` it has columns for.
    notes
        What was believed where it could be read in another way.
    further
        What its other columns say.
    label_form
        Of its labels: `cache.labels.sets.SETS` where its column of labels holds lists.
    """

    entries: Entries
    marks: frozenset[str]
    notes: Sequence[str] = ()
    further: Further = field(default_factory=Further)
    label_form: str = ""


def read_table(file: Path, root: Path, wanted: TableColumns) -> Table:
    """Read a table of images, CSV, TSV, Parquet or JSON lines; whether they exist is not looked at.

    A row that repeats another exactly counts once. Empty lines, and lines of empty cells, are passed over.

    Parameters
    ----------
    file
        The table. Text is in the encoding that is stated, or in UTF-8, UTF-16 or Windows-1252; commas, semicolons,
        tabs or bars separate its cells.
    root
        Absolute folder that the table's paths are relative to.
    wanted
        The columns' names, and how cells are read.

    Returns
    -------
    Table
        Whole numbers lose their ``.0``, and missing cells are ``''``.

    Raises
    ------
    UsageError
        A column is missing; the message names the nearest one and the option to type. Or the encoding is none.
    DatasetError
        The file cannot be read, exceeds a limit of `tables.limits`, a row is ragged or has no path, two rows
        disagree about one path, or the images are on another machine.
    StackboneError
        A Parquet file, and pyarrow is not installed.
    """
    return gathered(file, root, wanted, read_cells(file, wanted))


def read_cells(file: Path, wanted: TableColumns) -> Cells:
    """Read the chosen columns of a table as they are written; errors as of `read_table`, as far as they can occur."""
    read = _READERS.get(file.suffix.lower(), read_text)
    try:
        return read(file, wanted)
    except OSError as exc:
        msg = (
            f"Cannot read the table {str(file)!r}: {exc}. Expected a readable {file.suffix} file. "
            "Check the file and its permissions, or write it again."
        )
        raise DatasetError(msg) from exc


def gathered(file: Path, root: Path, wanted: TableColumns, cells: Cells) -> Table:
    """Return a table's rows by path, each path once; errors as of `read_table`, as far as they can occur."""
    rows = len(cells.numbers)
    if not rows:
        msg = f"No images: the table {str(file)!r} has no rows. Expected one row per image. Check the file."
        raise DatasetError(msg)
    notes = list(cells.notes)
    marks = dict.fromkeys(_MARKS, [""] * rows)
    for key in _MARKS:
        if key in cells.columns:
            name = cells.names[key]
            marks[key], said = read_marks(key, name, cells.columns[key], keep_na=wanted.keep_na)
            notes += said
    form = SETS if "label" in cells.lists else ""
    if form:
        marks["label"] = read_sets(marks["label"], LIST_MARK, f"the column {cells.names['label']!r} of {str(file)!r}")
    paths = plain_places(cells.columns["path"])
    suffix = f".{wanted.suffix}" if wanted.suffix.isalnum() else wanted.suffix
    anchor = Anchor(root)
    entries: Entries = {}
    shared: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    keys: list[str] = []
    for number, path, label, split, group in zip(cells.numbers, paths, *marks.values(), strict=True):
        if not path.strip() or "\0" in path:
            msg = (
                f"No usable path in {str(file)!r}, {cells.unit} {number}: found {path[:80]!r} in the column "
                f"{cells.names['path']!r}, expected the path of an image. Fill it in or delete the {cells.unit}."
            )
            raise DatasetError(msg)
        if holds_secret(path):
            msg = (
                f"The URL in {str(file)!r}, {cells.unit} {number}, {shown(path)[:200]!r}, holds a password or a "
                "signature, and would be kept in the index. Expected URLs without. Write them so and give credentials "
                "as docs/object-stores.md says, or download the images and list the files."
            )
            raise DatasetError(msg)
        key = anchor.relative(path if path.lower().endswith(suffix.lower()) else path + suffix)
        keys.append(key)
        entry = (label, split, group)
        entry = shared.setdefault(entry, entry)
        if entries.setdefault(key, entry) != entry:
            msg = (
                f"Two rows of {str(file)!r} disagree about {key!r}: {cells.unit} {number} has (label, split, "
                f"group) {str(entry)[:200]}, an earlier one {str(entries[key])[:200]}. Expected one row per image. "
                "Delete one."
            )
            raise DatasetError(msg)
    further, said = gather(file.name, cells.further, keys, keep_na=wanted.keep_na)
    return Table(entries, frozenset(cells.columns) & set(_MARKS), [*notes, *said], further, form)


def _recognises(request: Request) -> bool:
    path = request.path
    if path is None:
        return False
    return request.labels is not None or (os.path.isfile(path) and path.suffix.lower() in TABLES)


def _read(request: Request) -> Listing:
    path = Path(request.paths[0])
    if request.labels is None:
        listing = _listed(path, path.parent, path.stem, request.columns)
        return replace(listing, notes=[*request.known.get(NOTES, ()), *listing.notes])
    _check_labels(path, request.labels, request.columns)
    if request.only_listed:
        return _listed(request.labels, path, path.name, request.columns)
    table = read_table(request.labels, path, replace(request.columns, may_lack_label=True))
    placed = place(request.labels, path, table.entries, as_words(request.columns.given))
    notes = [*table.notes]
    if request.columns.label is not None and "label" not in table.marks:
        what = " and ".join(f"{key}s" for key in _MARKS if key in table.marks)
        notes.append(
            f"{request.labels.name!r} has no column of labels, so it corrects {what} alone. If another column holds "
            "the labels, type --label-column NAME."
        )
    if request.exclude:  # or the table would bring back what its user leaves out
        kept = {path: said for path, said in placed.entries.items() if not request.exclude.covers_path(path)}
        if n := len(placed.entries) - len(kept):
            images = f"all {n:,} images" if n > 1 and not kept else counted(n, "image")
            notes.append(f"--exclude leaves out {images} that {request.labels.name!r} lists.")
        placed = replace(placed, entries=kept)
    base = _list_folder(request)
    form = table.label_form or base.label_form
    if form != base.label_form:
        base = replace(base, entries=as_sets(base.entries, f"what the folder {path.name!r} says"))
    if form != table.label_form:
        placed = replace(placed, entries=as_sets(placed.entries, repr(request.labels.name)))
    listing = corrected(base, request.labels, placed, table.marks)
    further = listing.further.joined(table.further.moved(placed.moved))
    return replace(listing, notes=[*listing.notes, *notes], further=further, label_form=form)


def _list_folder(request: Request) -> Listing:
    """Return what a folder lists by itself."""
    base = replace(request, labels=None, columns=TableColumns())
    kind = next(kind for kind in KINDS.values() if kind.recognises(base))
    try:
        return kind.read(base)
    except DatasetError as exc:
        msg = f"{exc} Or add --only-listed, to take no images but those that the table of --labels lists."
        raise DatasetError(msg) from exc


def _listed(file: Path, root: Path, title: str, columns: TableColumns) -> Listing:
    table = read_table(file, root, columns)
    placed = place(file, root, table.entries, ["--only-listed", *as_words(columns.given)])
    notes = [*table.notes, *placed.notes]
    if placed.missing:
        n = len(placed.missing)
        notes.append(
            f"{n:,} of {counted(len(table.entries), 'image')} of {file.name!r} {'is' if n == 1 else 'are'} not there, "
            f"such as {min(placed.missing)[:200]!r}."
        )
    further = table.further.moved(placed.moved)
    return Listing(title, root, placed.entries, notes=notes, further=further, label_form=table.label_form)


def _check_labels(folder: Path, table: Path, columns: TableColumns) -> None:
    if not folder.is_dir():
        words = [folder.parent, "--labels", table, *as_words(columns.given)]
        msg = (
            f"--labels goes with a folder of images, and {str(folder)!r} is a file. Expected the folder that "
            f"the table's paths are relative to. Type: stackbone extract {typed(*words)}"
        )
        raise UsageError(msg)
    if not os.path.exists(table):
        raise DatasetError(missing_message(table))
    if not table.is_file() or table.suffix.lower() not in TABLES:
        msg = f"--labels {typed(table)} is not a table. Expected a file ending in {' '.join(TABLES)}. Name one."
        raise UsageError(msg)


KIND = DatasetKind(
    name="table",
    what="a CSV or Parquet table, or a folder of images with one",
    recognises=_recognises,
    read=_read,
    place=11,
    takes_columns=True,
)
