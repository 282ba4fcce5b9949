"""Tables of text: CSV, TSV, and what spreadsheets make of them."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from stackbone.cache.errors import DatasetError
from stackbone.cache.hdf5.text_table import MOST_KEPT
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import Cells
from stackbone.extract.datasets.tables.columns import KNOWN_NAMES, Chosen, choose_columns, plain_name
from stackbone.extract.datasets.tables.encodings import (
    UTF_8,
    check_western,
    find_encoding,
    is_clean,
    is_readable,
    mended,
    not_in_encoding,
    open_text,
    western_note,
)
from stackbone.extract.datasets.tables.limits import MOST_CELL, MOST_FURTHER, MOST_ROWS, MOST_TEXT_BYTES, too_large

_LONGEST_LINE = 16 * MOST_CELL
_N_SHOWN = 5
_N_JUDGED = 5  # first lines that tell the delimiter
_STATED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}
"""By extension: spreadsheets write `;` where the comma is the decimal sign."""


def read_text(file: Path, wanted: TableColumns) -> Cells:
    """Return the chosen columns of a table of text.

    Raises
    ------
    UsageError
        A column is missing, or the encoding that was stated is none.
    DatasetError
        It is in no encoding that is known, exceeds a limit of `limits`, or a row is ragged.
    OSError
        If the file cannot be read, or is not a regular one.
    """
    encoding = find_encoding(file, wanted.encoding)
    try:
        return _read(file, wanted, encoding, escape=False)
    except UnicodeError as exc:
        if wanted.encoding or encoding != UTF_8:
            raise not_in_encoding(file, encoding, exc) from exc
    # Judged cell by cell: in a file of another encoding's stray bytes, what is UTF-8 stays what it is.
    return _mended(file, _read(file, wanted, encoding, escape=True), wanted.labels)


def _mended(file: Path, cells: Cells, labels: Sequence[str]) -> Cells:
    """Read as Windows-1252 what is not UTF-8; paths keep their bytes, by which a file may be called.

    A column that nobody asked for, with bytes of neither, is left out: it is no reason to refuse the table.
    """
    unread = [
        name for name, column in cells.further.items() if name not in labels and not all(map(is_readable, column))
    ]
    readable = {name: column for name, column in cells.further.items() if name not in unread}
    marks = {key: column for key, column in cells.columns.items() if key != "path"}
    odd: dict[str, int] = {}
    for column in (*marks.values(), *readable.values()):
        for number, text in zip(cells.numbers, column, strict=True):
            if not is_clean(text):
                odd.setdefault(text, number)
    check_western(file, odd)
    columns = cells.columns | {key: [mended(text) for text in column] for key, column in marks.items()}
    notes = [western_note(file, odd), *cells.notes] if odd else [*cells.notes]
    if unread:
        shown = ", ".join(map(repr, unread[:_N_SHOWN])) + (", ..." if len(unread) > _N_SHOWN else "")
        notes.append(f"Columns of {file.name!r} that are in neither UTF-8 nor Windows-1252 are not kept: {shown}.")
    further = {name: [mended(text) for text in column] for name, column in readable.items()}
    return replace(cells, columns=columns, notes=notes, further=further)


def _read(file: Path, wanted: TableColumns, encoding: str, *, escape: bool) -> Cells:
    with open_text(file, encoding, escape=escape) as stream, _long_cells():
        rows = _records(file, stream, wanted)
        line, header = next(rows, (0, []))
        header = [mended(name.removeprefix("\ufeff").strip()) for name in header]
        second = next(rows, None)
        chosen = choose_columns(file, header, wanted, second[1] if second else None)
        rest = chain([second] if second else [], rows)
        if not chosen.has_header:
            rest = chain([(line, header)], rest)
        return _collected(file, rest, len(header), chosen)


def _collected(file: Path, rows: Iterable[tuple[int, list[str]]], width: int, chosen: Chosen) -> Cells:
    numbers: list[int] = []
    columns: dict[str, list[str]] = {key: [] for key in chosen.at}
    targets = [(columns[key].append, at) for key, at in chosen.at.items()]
    further: dict[str, list[str]] = {name: [] for name in chosen.further}
    kept = [(further[name].append, at) for name, at in chosen.further.items()]
    for line, row in rows:
        # Spreadsheets end a row with the delimiter of a column that was emptied.
        if len(row) < width or (len(row) > width and any(map(str.strip, row[width:]))):
            msg = (
                f"Ragged row in {str(file)!r}, line {line}: found {len(row)} cells, expected "
                f"{width} as in the first line. Correct the line; a cell that holds the delimiter must be "
                "in double quotes."
            )
            raise DatasetError(msg)
        numbers.append(line)
        if len(numbers) > MOST_ROWS:
            raise too_large(file, f"more than {MOST_ROWS:,} rows")
        for append, at in targets:
            append(row[at])
        if len(numbers) * len(kept) > MOST_FURTHER:
            kept, further = [], {}
        for append, at in kept:
            append(row[at][: MOST_KEPT + 1])
    longest = max(map(len, chain.from_iterable(columns.values())), default=0)
    if longest > MOST_CELL:
        raise too_large(file, f"a cell of {longest:,} characters")
    return Cells("line", numbers, columns, chosen.names, chosen.notes, further)


def _records(file: Path, stream: TextIO, wanted: TableColumns) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold anything, each with the line it starts on (a quoted cell may span lines)."""
    lines = bounded_lines(file, stream)
    first = list(islice(lines, 1))
    delimiter = stated_delimiter(first[0].removeprefix("\ufeff")) if first else None
    start = 1
    if delimiter is not None:
        first, start = [], 2
    else:
        first += islice(lines, _N_JUDGED - 1)
        asked = {wanted.path, wanted.label, wanted.split, wanted.group}
        judged = [line.removeprefix("\ufeff") for line in first if line.strip(" ,;\t|\r\n")]
        delimiter = find_delimiter(judged, file.suffix, lambda name: name in asked or plain_name(name) in KNOWN_NAMES)
    rows = csv.reader(chain(first, lines), delimiter=delimiter, strict=True)
    before = start - 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield start, row
            start = before + rows.line_num + 1
    except csv.Error as exc:
        msg = (
            f"Broken quoting in {str(file)!r}, in the row that starts on line {start}: {exc}. Expected "
            "cells that hold a delimiter, a quote or a line break in double quotes, and quotes inside them "
            "doubled. Correct the line, or write the table with a CSV library."
        )
        raise DatasetError(msg) from exc


def stated_delimiter(line: str) -> str | None:
    """Return the delimiter that a first line ``sep=;`` states, as Excel reads and writes it; None if it is no such."""
    found = _STATED.fullmatch(line.strip(" \r\n"))
    return found[1] if found else None


def find_delimiter(lines: Sequence[str], extension: str, is_known: Callable[[str], bool]) -> str:
    """Return what separates the cells of a table.

    Parameters
    ----------
    lines
        The first ones, that with the header before all others; not empty ones.
    extension
        Of the file, such as ``.tsv``, which decides where nothing else does.
    is_known
        Whether a text is the name of a column; the delimiter that lets the header hold most such names is the right
        one. Next best is one that cuts every line into the same number of cells, the more the better.
    """
    if not lines:
        return ","

    def fitness(delimiter: str) -> tuple[int, bool, int]:
        cells = [_cells(line, delimiter) for line in lines]
        widths = {len(row) for row in cells}
        n_known = sum(is_known(cell.strip()) for cell in cells[0])
        return n_known, len(widths) == 1 and widths != {1}, len(cells[0])

    return max(_DELIMITERS.get(extension.lower(), ",;\t|"), key=fitness)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def bounded_lines(file: Path, stream: TextIO) -> Iterator[str]:
    """Lines of bounded length, up to a bounded size of all: a file without a line end is not read whole."""
    size = 0
    while line := stream.readline(_LONGEST_LINE):
        size += len(line)
        if len(line) == _LONGEST_LINE:
            raise too_large(file, f"a line of {_LONGEST_LINE:,} characters or more")
        if size > MOST_TEXT_BYTES:
            raise too_large(file, f"more than {MOST_TEXT_BYTES >> 20:,} MiB of text")
        yield line


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as lines: the limit of `csv` holds for a whole process, so it is put back."""
    before = csv.field_size_limit(_LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(before)
