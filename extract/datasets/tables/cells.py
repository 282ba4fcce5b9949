"""What is read of a table, whatever its form."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackbone.extract.datasets.tables.limits import DECIMAL, ZERO_FRACTION

LIST_MARK = "\0"
"""Ends each item of a list in a cell: no table of text can hold it in a name."""


@dataclass(frozen=True)
class Cells:
    """The chosen columns of a table as text.

    Attributes
    ----------
    unit
        What a row is in this form of table: ``line`` or ``row``.
    numbers
        The number of the line or row that each row starts on.
    columns
        Their cells, by key: ``path``, and ``label``, ``split`` and ``group`` where the table has them.
    names
        What they are called in the table, by key.
    notes
        What was believed where it could be read in another way.
    further
        Cells of the other columns, by their names; a long cell is cut behind the last character that may be kept.
    lists
        Keys of columns that hold lists, each cell of which is their items with `LIST_MARK` behind each.
    """

    unit: str
    numbers: Sequence[int]
    columns: dict[str, list[str]]
    names: dict[str, str]
    notes: Sequence[str] = ()
    further: Mapping[str, list[str]] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()


def list_text(items: Sequence[object]) -> str:
    """Return a list as a cell of text has it."""
    return "".join(f"{cell_text(item)}{LIST_MARK}" for item in items) or LIST_MARK


def cell_text(value: object) -> str:
    """Return a typed value as a cell of text has it: whole numbers lose their ``.0``, None and NaN are empty."""
    if value is None or value != value:  # NaN, with which data frames write an empty cell
        return ""
    if isinstance(value, str | bytes):
        return os.fsdecode(value)
    text = str(value)
    return ZERO_FRACTION.sub("", text) if DECIMAL.fullmatch(text) else text
