"""Tables of JSON lines: an object for each image, as ``metadata.jsonl`` beside images holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError
from stackbone.cache.hdf5.text_table import MOST_KEPT
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import Cells, cell_text, list_text
from stackbone.extract.datasets.tables.columns import choose_columns
from stackbone.extract.datasets.tables.encodings import find_encoding, open_text
from stackbone.extract.datasets.tables.limits import MOST_CELL, MOST_FURTHER, MOST_ROWS, too_large
from stackbone.extract.datasets.tables.text import bounded_lines

_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # of a surrogate pair; the others stand for bytes


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
    columns = {
        key: [_text(file, number, name, row, may_be_list=key == "label") for number, row in rows]
        for key, name in chosen.names.items()
    }
    lists = {key for key, name in chosen.names.items() if any(isinstance(row.get(name), list) for _, row in rows)}
    free = chosen.further if len(rows) * len(chosen.further) <= MOST_FURTHER else {}
    further = {name: _kept([row.get(name) for _, row in rows]) for name in free}
    plain = {name: cells for name, cells in further.items() if cells is not None}
    numbers = [number for number, _ in rows]
    return Cells("line", numbers, columns, chosen.names, chosen.notes, plain, frozenset(lists))


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


def _text(file: Path, number: int, name: str, row: dict[str, Any], *, may_be_list: bool) -> str:
    """Return a value as a cell of a table."""
    value = row.get(name)
    is_plain_list = isinstance(value, list) and not any(isinstance(each, list | dict) for each in value)
    if isinstance(value, list | dict) and not (may_be_list and is_plain_list):
        found = f"{name!r} holds {'a list' if isinstance(value, list) else 'an object'}, expected text or a number"
        raise _at(file, number, f"{found}. Name another column, such as --label-column NAME.")
    text = list_text(value) if isinstance(value, list) else cell_text(value)
    if len(text) > MOST_CELL:
        raise too_large(file, f"a cell of {len(text):,} characters")
    return text


def _kept(values: list[Any]) -> list[str] | None:
    """Return values as cells, cut where long; None of a column that holds lists, objects or half characters."""
    if any(isinstance(value, list | dict) for value in values):
        return None
    cells = [cell_text(value)[: MOST_KEPT + 1] for value in values]
    return None if any(map(_HALF.search, cells)) else cells


def _at(file: Path, number: int, what: str) -> DatasetError:
    return DatasetError(f"{str(file)!r}, line {number}: {what}")
