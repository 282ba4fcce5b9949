"""Columns of typed tables, Parquet and Arrow, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.tables.cells import cell_text, list_text
from stackbone.extract.datasets.tables.limits import MOST_CELL, MOST_ROWS, MOST_TEXT_BYTES, too_large


def is_short(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Return whether a column holds texts, numbers or times, by itself or as categories."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    plain = (types.is_string, types.is_large_string, types.is_boolean, types.is_integer, types.is_floating)
    return any(is_kind(kind) for is_kind in (*plain, types.is_decimal, types.is_date, types.is_timestamp))


def is_plain_list(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Return whether a column holds lists of text or numbers."""
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return is_list and not types.is_nested(kind.value_type) and not types.is_binary(kind.value_type)


class TypedColumns:
    """The text of some columns, grown batch by batch."""

    def __init__(self, file: Path, names: dict[str, str]) -> None:
        self.texts: dict[str, list[str]] = {key: [] for key in names}
        self.n_rows = 0
        self._file = file
        self._names = names
        self._size = 0
        self._words: dict[str, tuple[Any, list[str]]] = {}  # of each column, its last dictionary

    def add(self, batch: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        """Add the rows of a record batch."""
        self.n_rows += batch.num_rows
        if self.n_rows > MOST_ROWS:
            raise too_large(self._file, f"more than {MOST_ROWS:,} rows")
        for key, name in self._names.items():
            self.texts[key] += self._cells(key, batch.column(name))

    def _cells(self, key: str, column: Any) -> list[str]:  # noqa: ANN401 - pyarrow has no types
        import pyarrow

        if not pyarrow.types.is_dictionary(column.type):
            return self._read(key, column)
        words = self._words.get(key)
        if words is None or not words[0].equals(column.dictionary):
            words = self._words[key] = (column.dictionary, self._read(key, column.dictionary))
        column.validate(full=True)  # a file may name words that its dictionary does not have
        return ["" if at is None else words[1][at] for at in column.indices.to_pylist()]

    def _read(self, key: str, column: Any) -> list[str]:  # noqa: ANN401 - pyarrow has no types
        """Return a plain column as text, once it is found to be of bounded size."""
        import pyarrow

        name = self._names[key]
        self._size += column.nbytes
        if self._size > MOST_TEXT_BYTES:
            raise too_large(self._file, f"more than {MOST_TEXT_BYTES >> 20:,} MiB of text")
        try:
            values = column.to_pylist()
            texts = [list_text(value) if isinstance(value, list) else cell_text(value) for value in values]
        except (pyarrow.ArrowException, ValueError, OverflowError) as exc:
            msg = (
                f"The column {name!r} of {str(self._file)!r} cannot be read as {column.type}: {exc}. Expected text or "
                f"numbers as the {key}. Write it again as text, or name another with --{key}-column."
            )
            raise DatasetError(msg) from exc
        longest = max(map(len, texts), default=0)
        if longest > MOST_CELL:
            raise too_large(self._file, f"a cell of {longest:,} characters")
        return texts
