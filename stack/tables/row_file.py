"""Rows as a file that other programs read, CSV or Parquet: the one place that writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stackbone.cache import UsageError
from stackbone.cache.csv_text import csv_lines
from stackbone.cache.disk.output_file import check_ending, check_output, write_output

ENDINGS = (".csv", ".parquet")
_PARQUET_ADVICE = (
    "writing Parquet needs pyarrow, which is not installed. Run `pip install 'stackbone[parquet]'`, or name a .csv file"
)


def check_row_file(option: str, file: Path, endings: Sequence[str] = ENDINGS) -> None:
    """Raise `UsageError` unless rows can be written to such a file here: asked before the work, not after it.

    Parameters
    ----------
    option
        That names the file, such as ``--predictions``.
    endings
        That it may have.
    """
    check_ending(option, file, endings)
    check_output(file)
    if file.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - asked before the work, not after it
        except ImportError as exc:
            raise UsageError(_PARQUET_ADVICE) from exc


def write_rows(
    file: Path, chunks: Iterable[Mapping[str, Sequence[Any]]], types: Mapping[str, type] | None = None
) -> None:
    """Write rows, whole or not at all, as the ending of the file says.

    Text in CSV is guarded against spreadsheets, see `cache.csv_text`; in Parquet it is exact, and columns are typed.

    Parameters
    ----------
    file
        Checked by `check_row_file`.
    chunks
        Parts of the table, one below the other, each by column: the same columns in each, in the same order. None is no
        value, in CSV an empty cell.
    types
        ``bool``, ``float`` or ``str`` by column, for Parquet: what columns hold that may be None in every row.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    write_output(file, _parquet(chunks, types or {}) if file.suffix == ".parquet" else _csv(chunks))


def _csv(chunks: Iterable[Mapping[str, Sequence[Any]]]) -> memoryview:
    parts = []
    for number, chunk in enumerate(chunks):
        rows = zip(*chunk.values(), strict=True)
        parts.append(csv_lines(rows if number else [tuple(chunk), *rows]).encode(errors="backslashreplace"))
    return memoryview(b"".join(parts))


def _parquet(chunks: Iterable[Mapping[str, Sequence[Any]]], types: Mapping[str, type]) -> memoryview:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    arrow = {bool: pyarrow.bool_(), float: pyarrow.float64(), str: pyarrow.string()}
    told = {name: arrow[each] for name, each in types.items()}
    sink = pyarrow.BufferOutputStream()
    writer = None
    for chunk in chunks:
        columns = {
            _utf8(name): pyarrow.array([_utf8(each) for each in values], told.get(name))
            for name, values in chunk.items()
        }
        table = pyarrow.table(columns)
        writer = writer or ParquetWriter(sink, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return memoryview(sink.getvalue())


def _utf8(value: Any) -> Any:  # noqa: ANN401 - text, or what stays as it is
    """Return a value with the bytes of a name that are not UTF-8 written as escapes."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
