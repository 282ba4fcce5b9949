"""Tables for people, which lose no answer however narrow the terminal is.

A column that may be shortened, such as that of the paths, gives way first, in the middle of its cells. Then go the
words that explain; and what is left too wide is continued below, under the first column again. In a pipe or a file a
table is as wide as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len

from stackbone.cache.text import printable
from stackbone.commands.shared.console import out

_GAP = 2  # between two columns
_LEAST = 20  # of what a shortened cell keeps


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    bold: int | None = None,
    *,
    shorten: Collection[str] = (),
    spare: Collection[str] = (),
) -> None:
    """Print columns, numbers to the right.

    Parameters
    ----------
    header
        Titles; columns whose titles differ in a number at their end alone, such as ``fold 1``, stay together.
    rows
        A cell each for every title.
    bold
        The row to stress.
    shorten
        Titles of columns that may lose the middle of their cells, marked by an ellipsis.
    spare
        Titles of columns that a narrow terminal may do without.
    """
    table = [[printable(cell) for cell in row] for row in [header, *rows]]
    whole = [list(cells) for cells in zip(*table, strict=True)]
    numeric = [all(cell == "-" or cell.lstrip("+-")[:1].isdigit() for cell in cells[1:]) for cells in whole]
    kept = list(range(len(header)))
    columns = _shortened_columns(whole, kept, header, shorten)
    if _excess(columns, kept) > 0:
        kept = [i for i in kept if header[i] not in spare]
    for number, block in enumerate(_blocks(columns, kept, header)):
        if number:
            out.print()
        shown = _shortened_columns(whole, block, header, shorten)  # a part has more room for its own
        _print_block([shown[i] for i in block], [numeric[i] for i in block], bold)


def shortened(text: str, width: int) -> str:
    """Return text of at most so many terminal cells, without its middle; more of the end stays, where names differ."""
    if cell_len(text) <= width:
        return text
    mark = "…" if out.encoding.startswith("utf") else "..."
    room = max(0, width - len(mark))
    head, tail = room // 3, room - room // 3
    return f"{_fitting(text, head)}{mark}{_fitting(text[::-1], tail)[::-1]}"


def _fitting(text: str, width: int) -> str:
    """Return the beginning of text that takes at most so many cells of a terminal."""
    taken = 0
    for i, char in enumerate(text):
        taken += cell_len(char)
        if taken > width:
            return text[:i]
    return text


def _width(cells: Sequence[str]) -> int:
    return max(map(cell_len, cells))


def _excess(columns: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    """Return by how much some columns, side by side, are wider than the terminal."""
    return sum(_width(columns[i]) for i in kept) + _GAP * (len(kept) - 1) - out.width


def _shortened_columns(
    whole: Sequence[list[str]], kept: Sequence[int], header: Sequence[str], shorten: Collection[str]
) -> list[list[str]]:
    """Return columns, some cut as far as it takes for those kept to fit: the widest first, none below `_LEAST`."""
    columns = list(whole)
    those = [i for i in kept if header[i] in shorten]
    while (excess := _excess(columns, kept)) > 0:
        widths = {i: _width(columns[i]) for i in those}
        widest = max(widths, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= _LEAST:
            break
        others = [width for i, width in widths.items() if i != widest]
        width = max(_LEAST, widths[widest] - excess, min(max(others, default=0), widths[widest] - 1))
        columns[widest] = [columns[widest][0], *(shortened(cell, width) for cell in columns[widest][1:])]
        if _width(columns[widest]) >= widths[widest]:  # its title is as wide
            break
    return columns


def _blocks(columns: Sequence[Sequence[str]], kept: Sequence[int], header: Sequence[str]) -> Iterator[list[int]]:
    """Yield the columns of each part of the table that fits, the first column in each."""
    first, *others = kept
    block = [first]
    for together in _stems(others, header):
        if len(block) > 1 and _excess(columns, [*block, *together]) > 0:
            yield block
            block = [first]
        for i in together:
            if len(block) > 1 and _excess(columns, [*block, i]) > 0:
                yield block
                block = [first]
            block.append(i)
    yield block


def _stems(those: Sequence[int], header: Sequence[str]) -> list[list[int]]:
    """Return columns in groups of those that stay together: some folds without the others mislead."""
    groups: list[list[int]] = []
    for i in those:
        stem, found = re.subn(r" \d+$", "", header[i])
        if found and groups and re.sub(r" \d+$", "", header[groups[-1][0]]) == stem:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _print_block(columns: Sequence[Sequence[str]], numeric: Sequence[bool], bold: int | None) -> None:
    widths = [_width(cells) for cells in columns]
    for number, row in enumerate(zip(*columns, strict=True)):
        cells = [_padded(*each) for each in zip(row, widths, numeric, strict=True)]
        is_bold = number == 0 or number - 1 == bold
        out.print((" " * _GAP).join(cells).rstrip(), style="bold" if is_bold else None)


def _padded(cell: str, width: int, is_number: bool) -> str:  # noqa: FBT001 - a cell of a row
    blank = " " * (width - cell_len(cell))
    return f"{blank}{cell}" if is_number else f"{cell}{blank}"
