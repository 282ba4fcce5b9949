"""A table of corrected labels as people, reports and `audit` write it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackbone.cache.csv_text import unguarded
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.kinds.table import TABLES, read_cells
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.datasets.tables.cells import LIST_MARK, Cells
from stackbone.extract.datasets.tables.marks import read_marks
from stackbone.extract.datasets.tables.written import plain_places

FORMER = "was"
"""Name of the column of former labels, which a table of corrections may have."""

_SUGGESTED = "suggested_label"


@dataclass(frozen=True)
class Fix:
    """One row: the path of an image, its label now, and the label that it is said to have; None where nothing says."""

    path: str
    label: str
    was: str | None


def read_fixes(file: Path, wanted: TableColumns) -> tuple[list[Fix], list[str]]:
    """Return the corrections that a table lists, each once, and notes on how it was read.

    Its columns are ``path``, ``label`` and, where it has one, ``was``. Of a table that ``audit --csv`` wrote, the rows
    that suggest a label are taken, with that label.

    Parameters
    ----------
    file
        CSV, TSV or Parquet, as `extract` takes it.
    wanted
        The columns' names, and how cells are read.

    Raises
    ------
    UsageError
        A column is missing, or this is no table.
    DatasetError
        The file cannot be read, or two rows disagree about one path.
    """
    if not file.exists():
        raise DatasetError(missing_message(file))
    if not file.is_file() or file.suffix.lower() not in TABLES:
        msg = f"{str(file)!r} is not a table. Expected a file ending in {' '.join(TABLES)}. Name one."
        raise UsageError(msg)
    cells = read_cells(file, wanted)
    is_audit = _SUGGESTED in cells.further and wanted.label == TableColumns().label
    was = cells.names["label"] if is_audit else FORMER
    if is_audit or FORMER in cells.further:
        # `group` stands for whatever column is to be read in full: a further one is cut where it is long.
        cells = read_cells(file, replace(wanted, label=_SUGGESTED if is_audit else wanted.label, group=was))
    notes = list(cells.notes)
    columns = {}
    for key in ("label", "group"):
        if key in cells.columns and (key == "label" or cells.names[key] == was):
            columns[key], said = read_marks(
                key, cells.names[key], _unguarded(cells.columns[key]), keep_na=wanted.keep_na
            )
            notes += said
    befores: Sequence[str | None] = columns.get("group") or [None] * len(cells.numbers)
    paths = plain_places(cells.columns["path"])
    rows = zip(cells.numbers, paths, columns["label"], befores, strict=True)
    kept = [row for row in rows if row[2] or not is_audit]
    if is_audit:
        notes.append(
            f"{file.name!r} is what `stackbone audit` found: the {len(kept):,} of its {len(cells.numbers):,} rows that "
            "suggest a label are taken, with that label."
        )
    return _distinct(file, cells, kept), notes


def _unguarded(cells: Iterable[str]) -> list[str]:
    return [unguarded(cell) for cell in cells]


def _distinct(file: Path, cells: Cells, rows: Iterable[tuple[int, str, str, str | None]]) -> list[Fix]:
    found: dict[str, Fix] = {}
    for number, path, label, was in rows:
        if not path.strip() or "\0" in path:
            msg = (
                f"No usable path in {str(file)!r}, {cells.unit} {number}: found {path[:80]!r} in the column "
                f"{cells.names['path']!r}, expected the path of an image. Fill it in or delete the {cells.unit}."
            )
            raise DatasetError(msg)
        if LIST_MARK in label:
            label = "|".join(sorted({name for name in label.split(LIST_MARK) if name})) or "|"
        fix = Fix(path, unicodedata.normalize("NFC", label), was)
        if found.setdefault(path, fix).label != label:
            msg = (
                f"Two rows of {str(file)!r} disagree about {path!r}: {cells.unit} {number} has the label {label!r}, an "
                f"earlier one {found[path].label!r}. Expected one row per image. Delete one."
            )
            raise DatasetError(msg)
    return list(found.values())
