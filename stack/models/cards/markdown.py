"""Markdown of text that comes from files: what is in a name must not become a heading, a link or a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from stackbone.cache.text import printable

# A colon before two slashes and the dot after www make a link of bare text.
_MARKS = re.compile(r"([\\`*_\[\]|~$]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    shown = "".join(_ENTITIES.get(char, char) for char in printable(text))
    return _MARKS.sub(r"\\\1", shown)


def code(text: str) -> str:
    """Return text as code in a line; what is in it stays code."""
    shown = printable(text) or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def code_cell(text: str) -> str:
    """Return text as code in a cell of a table, where a bar would end the cell."""
    return code(text).replace("|", "\\|")


def code_block(lines: Iterable[str]) -> str:
    """Return lines as they are to be typed."""
    shown = [printable(line) for line in lines]
    fence = "`" * max(3, 1 + max((len(run) for line in shown for run in re.findall("`+", line)), default=0))
    return "\n".join([f"{fence}sh", *shown, fence])


def bullets(lines: Iterable[str]) -> str:
    """Return lines of Markdown as a list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Return cells of Markdown as a table; the columns at the places `numbers` stand to the right."""
    right = set(numbers)
    ruler = [("---:" if place in right else "---") for place in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ruler, *rows])
