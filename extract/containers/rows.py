"""Images in a column of a table, such as Parquet and Arrow files have: a member for each row.

A member's name is its row, ``000000123``, and where the schema does not tell which one column holds images, the column
before it: ``left/000000123``.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from stackbone.cache.disk.reading import MOST_IMAGE_BYTES
from stackbone.cache.errors import ImageError
from stackbone.extract.containers.container import Member
from stackbone.extract.containers.pyarrow_errors import translated
from stackbone.extract.containers.schema import holds_bytes, image_columns

_DIGITS = 9
_KEPT, _KEPT_BYTES = 64, 64 << 20  # batches that were read last: threads that decode are a few rows apart


def member_name(row: int, column: str = "") -> str:
    """Return the name of a row's image; with its column where that has to be said."""
    return f"{column}/{row:0{_DIGITS}}" if column else f"{row:0{_DIGITS}}"


def plain_column(schema: Any) -> str:  # noqa: ANN401 - pyarrow has no types
    """Return the column whose images are named by their rows alone; '' where the schema tells of none or several."""
    columns = image_columns(schema)
    return columns[0] if len(columns) == 1 else ""


class Rows(Protocol):
    """A table that is read column by column, some rows at a time; methods raise `Malformed` where it is damaged."""

    @property
    def schema(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Its `pyarrow.Schema`."""
        ...

    @property
    def n_rows(self) -> int:
        """How many it has."""
        ...

    def start_of(self, row: int) -> int:
        """Return the row at which reading has to begin to get at another one: the first of its group."""
        ...

    def images(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """Yield the cells of a column in arrays, each with its first row, from the start of a row's group on."""
        ...

    def tables(self, columns: list[str]) -> Iterator[Any]:
        """Yield some other columns as record batches, without reading the images where the format allows."""
        ...

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        ...


class RowImages:
    """The images of a table, as a container.

    Parameters
    ----------
    rows
        The table.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._plain = plain_column(rows.schema)
        self._batches: dict[tuple[str, int], Any] = {}
        self._n_bytes = 0
        self._ahead: tuple[str, int, Iterator[tuple[int, Any]]] | None = None

    def members(self) -> Iterator[Member]:
        """Yield the images of each column that may hold some; no content is read, and no size known."""
        for column in image_columns(self._rows.schema):
            for row in range(self._rows.n_rows):
                yield Member(member_name(row, "" if self._plain else column), None)

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and bytes of the images that are wanted, row by row; empty cells are passed over."""
        for column, names in self._wanted(wanted).items():
            rows, at = sorted(names), 0
            while at < len(rows):
                first = at
                for start, cells in self._rows.images(column, rows[at]):
                    end = start + len(cells)
                    while at < len(rows) and rows[at] < end:
                        content = _content(cells[rows[at] - start])
                        if isinstance(content, bytes):
                            yield names[rows[at]], content
                        at += 1
                    # Groups between are not read.
                    if at == len(rows) or self._rows.start_of(rows[at]) > end:
                        break
                if at == first:
                    return

    def read(self, name: str) -> bytes:
        """Return the bytes of one image; `ImageError` if there is no such cell, or it is empty."""
        column, row = self._place(name)
        if not column:
            message = "its file has no such row, or no such column of images"
            raise ImageError(message)
        start, cells = self._batch(column, row)
        content = _content(cells[row - start])
        if isinstance(content, str):
            raise ImageError(content)
        return content

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        self._batches.clear()
        self._ahead = None
        self._rows.close()

    def _wanted(self, wanted: AbstractSet[str] | None) -> dict[str, dict[int, str]]:
        """Return by column which rows are wanted, and under which name each."""
        found: dict[str, dict[int, str]] = {}
        for name in (each.name for each in self.members()) if wanted is None else wanted:
            column, row = self._place(name)
            if column:
                found.setdefault(column, {})[row] = name
        return dict(sorted(found.items()))

    def _place(self, name: str) -> tuple[str, int]:
        """Return the column and the row of a member; no column where there is none of that name."""
        column, slash, row = name.rpartition("/")
        column = column if slash else self._plain
        schema = self._rows.schema
        if schema.names.count(column) != 1 or not holds_bytes(schema.field(column).type):
            return "", 0
        is_row = row.isascii() and row.isdecimal() and member_name(int(row)) == row and int(row) < self._rows.n_rows
        return (column, int(row)) if is_row else ("", 0)

    def _batch(self, column: str, row: int) -> tuple[int, Any]:
        """Return the cells among which a row's is, and which row the first of them is."""
        for (kept, start), cells in self._batches.items():
            if kept == column and start <= row < start + len(cells):
                return start, cells
        ahead, self._ahead = self._ahead, None  # what fails half-way is not gone on with
        if ahead is None or ahead[0] != column or not self._rows.start_of(row) <= ahead[1] <= row:
            ahead = (column, 0, self._rows.images(column, row))
        for start, cells in ahead[2]:
            if (column, start) in self._batches:
                self._n_bytes -= self._batches.pop((column, start)).nbytes
            self._batches[column, start] = cells
            self._n_bytes += cells.nbytes
            while len(self._batches) > _KEPT or (self._n_bytes > _KEPT_BYTES and len(self._batches) > 1):
                self._n_bytes -= self._batches.pop(next(iter(self._batches))).nbytes
            if row < start + len(cells):
                self._ahead = (column, start + len(cells), ahead[2])
                return start, cells
        message = "its file ends before its row"
        raise ImageError(message)


def _content(cell: Any) -> bytes | str:  # noqa: ANN401 - pyarrow has no types
    """Return the image in a cell; or why there is none, after "it"."""
    is_structure = hasattr(cell, "keys") and cell.is_valid
    value = (cell["bytes"] if is_structure else cell).as_py()
    if value is None:
        with translated():
            path = cell["path"].as_py() if is_structure and "path" in cell else None
        return f"is not in the table, which says that it is {path[:200]!r}" if path else "is an empty cell"
    if len(value) > MOST_IMAGE_BYTES:
        return f"has {len(value):,} bytes, over the limit of {MOST_IMAGE_BYTES:,}"
    return bytes(value)
