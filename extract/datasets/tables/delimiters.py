"""What separates the cells of a table of text, judged by its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence

_STATED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}
"""By extension: spreadsheets write `;` where the comma is the decimal sign."""


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
