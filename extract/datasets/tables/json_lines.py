"""Tables of JSON lines: an object for each image, as ``metadata.jsonl`` beside images holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError
from stackbone.cache.records.index import MOST_KEPT
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import Cells, cell_text
from stackbone.extract.datasets.tables.columns import choose_columns
from stackbone.extract.datasets.tables.encodings import find_encoding, open_text
from stackbone.extract.datasets.tables.limits import MOST_CELL, MOST_FURTHER, MOST_ROWS, too_large
from stackbone.extract.datasets.tables.text import bounded_lines


def read_json_lines(file: Path, wanted: TableColumns) -> Cells:
    """Return the chosen columns of a table of JSON lines; a key that an object lacks, or null, is an empty cell.

    Raises
    ------
    UsageError
        If a column is missing, or the encoding that was stated is none.
    DatasetError
        If a line is no JSON object or holds a list or an object in a chosen column, or the file exceeds a limit of
        `limits`.
    OSError
        If the file cannot be read, or is not a regular one.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    names: dict[str, None] = {}  # in their order
    for number, row in _objects(file, wanted):
        rows.append((number, row))
        names |= dict.fromkeys(row)
        if len(rows) > MOST_ROWS:
            raise too_large(file, f"more than {MOST_ROWS:,} rows")
    chosen = choose_columns(file, list(names), wanted, has_names=True)
    columns = {key: [_text(file, number, name, row) for number, row in rows] for key, name in chosen.names.items()}
    free = chosen.further if len(rows) * len(chosen.further) <= MOST_FURTHER else {}
    further = {name: _kept([row.get(name) for _, row in rows]) for name in free}
    plain = {name: cells for name, cells in further.items() if cells is not None}
    return Cells("line", [number for number, _ in rows], columns, chosen.names, chosen.notes, plain)


def _objects(file: Path, wanted: TableColumns) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        with open_text(file, find_encoding(file, wanted.encoding), escape=wanted.encoding == "") as stream:
            for number, line in enumerate(bounded_lines(file, stream), start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise _at(file, number, f"found {line.strip()[:60]!r}, expected an object in braces. Correct it.")
                yield number, row
    except (ValueError, RecursionError) as exc:
        raise _at(file, number, f"it is not JSON ({exc}). Expected an object in braces. Correct the line.") from exc


def _text(file: Path, number: int, name: str, row: dict[str, Any]) -> str:
    """Return a value as a cell of a table."""
    value = row.get(name)
    if isinstance(value, list | dict):
        found = f"{name!r} holds {'a list' if isinstance(value, list) else 'an object'}, expected text or a number"
        raise _at(file, number, f"{found}. Name another column, such as --label-column NAME.")
    text = cell_text(value)
    if len(text) > MOST_CELL:
        raise too_large(file, f"a cell of {len(text):,} characters")
    return text


def _kept(values: list[Any]) -> list[str] | None:
    """Return values as cells, cut where they are long; None of a column that holds lists or objects."""
    if any(isinstance(value, list | dict) for value in values):
        return None
    return [cell_text(value)[: MOST_KEPT + 1] for value in values]


def _at(file: Path, number: int, what: str) -> DatasetError:
    return DatasetError(f"{str(file)!r}, line {number}: {what}")
