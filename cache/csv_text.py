"""CSV that a spreadsheet opens without running what is in it."""

from __future__ import annotations

import csv
from collections.abc import Iterable

_LINE_END = "\r\n"
_COMMANDS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four: their full-width forms


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as CSV with Unix line ends.

    Paths and class names are other people's text, and a spreadsheet takes a cell for a formula that begins with ``=``,
    ``+``, ``-``, ``@``, a tab or a line end (OWASP, "CSV Injection"). Such text gets an apostrophe before it, which a
    spreadsheet hides; where the exact text counts, take an apostrophe before one of these away again, or use Parquet or
    JSON, which are exact. Numbers stay as they are, and so does text that is a number, such as the class ``-5``. True
    and false are written as JSON has them; None is an empty cell.
    """
    lines = _Lines()
    csv.writer(lines, lineterminator=_LINE_END).writerows([_written(cell) for cell in row] for row in rows)
    return "".join(lines)


def unguarded(cell: str) -> str:
    """Return the text that `csv_lines` wrote as `cell`: without the apostrophe before what looks like a formula."""
    text = cell.removeprefix("'")
    return text if text != cell and text.startswith(_COMMANDS) and not _is_number(text) else cell


class _Lines(list[str]):
    """Takes rows as `csv` writes them; it quotes a lone carriage return only where that is part of the line end."""

    def write(self, row: str) -> None:
        """Take one row, and end it as Unix does."""
        self.append(row.removesuffix(_LINE_END) + "\n")


def _written(cell: object) -> object:
    if isinstance(cell, bool):
        return str(cell).lower()
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_COMMANDS) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
