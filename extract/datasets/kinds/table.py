"""Datasets listed in CSV, TSV and Parquet tables.

Only the listing is read here. Whether the images exist is found out when they are read, so that one missing
file is an entry in the list of failures and not the end of a run.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from stackbone.cache.choices import nearest
from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request, TableColumns
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.datasets.parquet import read_columns
from stackbone.extract.datasets.table_limits import (
    DECIMAL,
    MOST_CELL,
    MOST_ROWS,
    MOST_TEXT_BYTES,
    ZERO_FRACTION,
    too_large,
)

TEXT_TABLES = (".csv", ".tsv")
PARQUET_TABLES = (".parquet", ".pq")
TABLES = TEXT_TABLES + PARQUET_TABLES

_USUAL_NAMES = {
    "path": ("file", "filename", "file_name", "filepath", "image", "image_path", "img"),
    "label": ("class", "class_name", "category", "species", "target", "y"),
}


_LONGEST_LINE = 16 * MOST_CELL


@dataclass(frozen=True)
class _Cells:
    """The chosen columns as text; `numbers` says on which line (CSV) or row (Parquet) each row starts."""

    numbers: Sequence[int]
    columns: dict[str, list[str]]


def read_table(file: Path, root: Path, wanted: TableColumns) -> Entries:
    """Read a CSV, TSV or Parquet table of images.

    A row that repeats another exactly counts once. Empty lines, and lines of empty cells, are passed over.

    Parameters
    ----------
    file
        The table. CSV and TSV are UTF-8, with or without a byte-order mark, with a header line.
    root
        Absolute folder that the table's paths are relative to.
    wanted
        The columns' names.

    Returns
    -------
    Entries
        Label, split and group of each path, as text: whole numbers lose their ``.0``.

    Raises
    ------
    UsageError
        A column is missing; the message names the nearest one and the option to type.
    DatasetError
        The file cannot be read, exceeds a limit of `table_limits`, a row is ragged or has no path, or two rows
        disagree about one path.
    StackboneError
        A Parquet file, and pyarrow is not installed.
    """
    read = _read_parquet if file.suffix.lower() in PARQUET_TABLES else _read_text
    unit = "row" if read is _read_parquet else "line"
    try:
        cells = read(file, wanted)
    except OSError as exc:
        msg = (
            f"Cannot read the table {str(file)!r}: {exc}. Expected a readable {file.suffix} file. "
            "Check the file and its permissions, or write it again."
        )
        raise DatasetError(msg) from exc
    rows = len(cells.numbers)
    if not rows:
        msg = f"No images: the table {str(file)!r} has no rows. Expected one row per image. Check the file."
        raise DatasetError(msg)
    marks = [cells.columns.get(key, [""] * rows) for key in ("label", "split", "group")]
    suffix = f".{wanted.suffix}" if wanted.suffix.isalnum() else wanted.suffix
    anchor = Anchor(root)
    entries: Entries = {}
    shared: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    for number, path, label, split, group in zip(cells.numbers, cells.columns["path"], *marks, strict=True):
        if not path.strip() or "\0" in path:
            msg = (
                f"No usable path in {str(file)!r}, {unit} {number}: found {path!r} in the column "
                f"{wanted.path!r}, expected the path of an image. Fill it in or delete the {unit}."
            )
            raise DatasetError(msg)
        key = anchor.relative(path if path.lower().endswith(suffix.lower()) else path + suffix)
        entry = (label, split, group)
        entry = shared.setdefault(entry, entry)
        if entries.setdefault(key, entry) != entry:
            msg = (
                f"Two rows of {str(file)!r} disagree about {key!r}: {unit} {number} has (label, split, "
                f"group) {entry}, an earlier one {entries[key]}. Expected one row per image. Delete one."
            )
            raise DatasetError(msg)
    return entries


def _read_text(file: Path, wanted: TableColumns) -> _Cells:
    # Surrogates, as in file names: a path in another encoding must still open its file.
    with (
        io.BufferedReader(cast("io.RawIOBase", open_regular(file))) as content,
        io.TextIOWrapper(content, "utf-8-sig", "surrogateescape", newline="") as stream,
    ):
        records = _records(file, stream)
        _, header = next(records, (0, []))
        chosen = _choose_columns(file, [name.strip() for name in header], wanted)
        numbers: list[int] = []
        columns: dict[str, list[str]] = {key: [] for key in chosen}
        targets = [(columns[key].append, at) for key, at in chosen.items()]
        for line, row in records:
            if len(row) != len(header):
                msg = (
                    f"Ragged row in {str(file)!r}, line {line}: found {len(row)} cells, expected "
                    f"{len(header)} as in the header. Correct the line; a cell that holds the delimiter must be "
                    "in double quotes."
                )
                raise DatasetError(msg)
            numbers.append(line)
            if len(numbers) > MOST_ROWS:
                raise too_large(file, f"more than {MOST_ROWS:,} rows")
            for append, at in targets:
                append(row[at])
    return _Cells(numbers, {k: v if k == "path" else _mark_texts(v) for k, v in columns.items()})


def _records(file: Path, stream: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold anything, each with the line it starts on (a quoted cell may span lines)."""
    first = stream.readline(_LONGEST_LINE)
    stream.seek(0)
    if first.startswith(("\udcff\udcfe", "\udcfe\udcff")):
        msg = f"The table {str(file)!r} is in UTF-16. Expected UTF-8. Save it again as 'CSV UTF-8'."
        raise DatasetError(msg)
    # Spreadsheets write `;` where the comma is the decimal sign.
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ";" if ";" in first and "," not in first else ","
    rows = csv.reader(_lines(file, stream), delimiter=delimiter, strict=True)
    start = 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield start, row
            start = rows.line_num + 1
    except csv.Error as exc:
        msg = (
            f"Broken quoting in {str(file)!r}, in the row that starts on line {start}: {exc}. Expected "
            "cells that hold a delimiter, a quote or a line break in double quotes, and quotes inside them "
            "doubled. Correct the line, or write the table with a CSV library."
        )
        raise DatasetError(msg) from exc


def _lines(file: Path, stream: TextIO) -> Iterator[str]:
    """Lines of bounded length, up to a bounded size of all: a file without a line end is not read whole."""
    size = 0
    while line := stream.readline(_LONGEST_LINE):
        size += len(line)
        if len(line) == _LONGEST_LINE:
            raise too_large(file, f"a line of {_LONGEST_LINE:,} characters or more")
        if size > MOST_TEXT_BYTES:
            raise too_large(file, f"more than {MOST_TEXT_BYTES >> 20:,} MiB of text")
        yield line


def _mark_texts(column: list[str]) -> list[str]:
    """Strip the cells; in a column of numbers alone, write 3.0 as 3, as a Parquet column is read."""
    column = [cell.strip() for cell in column]
    if all(not cell or DECIMAL.fullmatch(cell) for cell in column):
        return [ZERO_FRACTION.sub("", cell) for cell in column]
    return column


def _read_parquet(file: Path, wanted: TableColumns) -> _Cells:
    n_rows, columns = read_columns(file, lambda header: _choose_columns(file, header, wanted))
    return _Cells(range(1, n_rows + 1), columns)


def _choose_columns(file: Path, header: list[str], wanted: TableColumns) -> dict[str, int]:
    """Position of each wanted column; a split or group column that nobody asked for by name may be absent."""
    chosen: dict[str, int] = {}
    defaults = TableColumns()
    for key in ("path", "label", "split", "group"):
        name = getattr(wanted, key)
        if name is None or (key in ("split", "group") and name not in header and name == getattr(defaults, key)):
            continue
        if header.count(name) != 1:
            raise UsageError(_column_message(file, header, key, wanted))
        chosen[key] = header.index(name)
    return chosen


def _column_message(file: Path, header: list[str], key: str, wanted: TableColumns) -> str:
    name: str = getattr(wanted, key)
    listed = ", ".join(repr(column[:40]) for column in header[:20]) or "none"
    if name in header:
        return (
            f"The table {str(file)!r} has {header.count(name)} columns named {name!r} (its columns: "
            f"{listed}). Expected one. Rename them, or name another with --{key}-column NAME."
        )
    taken = {wanted.path, wanted.label, wanted.split, wanted.group}
    free = [column for column in header if column not in taken and column.isprintable()]
    by_lower_case = {column.lower(): column for column in reversed(free)}
    usual = [by_lower_case[alias] for alias in _USUAL_NAMES.get(key, ()) if alias in by_lower_case]
    near = nearest(name.lower(), by_lower_case, cutoff=0.5)
    best = ([by_lower_case[near]] if near else []) + usual
    guess = f" The nearest is {best[0]!r}." if best else ""
    option = typed(best[0]) if best else "NAME"
    way_out = ", or `extract --no-labels` to read the images without labels" if key == "label" else ""
    return (
        f"The table {str(file)!r} has no column {name!r}, expected for the {key}; its columns: "
        f"{listed}.{guess} Type --{key}-column {option}{way_out}."
    )


def _recognises(request: Request) -> bool:
    path = request.path
    if path is None:
        return False
    return request.labels is not None or (os.path.isfile(path) and path.suffix.lower() in TABLES)


def _read(request: Request) -> Listing:
    path = Path(request.paths[0])
    if request.labels is None:
        return Listing(path.stem, path.parent, read_table(path, path.parent, request.columns))
    _check_labels(path, request.labels)
    return Listing(path.name, path, read_table(request.labels, path, request.columns))


def _check_labels(folder: Path, table: Path) -> None:
    if not folder.is_dir():
        msg = (
            f"--labels goes with a folder of images, and {str(folder)!r} is a file. Expected the folder that "
            f"the table's paths are relative to. Type: stackbone extract {typed(folder.parent, '--labels', table)}"
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
    place=10,
    takes_columns=True,
)
