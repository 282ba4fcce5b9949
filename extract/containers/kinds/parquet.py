"""Parquet files with columns of images, read one row group after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from stackbone.extract.containers.container import Container, ContainerKind
from stackbone.extract.containers.pyarrow_errors import need_pyarrow, translated
from stackbone.extract.containers.rows import RowImages
from stackbone.extract.containers.schema import with_names

_READ_AHEAD = 1 << 20  # else pyarrow reads a column of a row group at once, which may be a whole file
_IMAGES_AT_A_TIME = 8  # few: a dictionary of a few bytes can stand for gigabytes in each row
_CELLS_AT_A_TIME = 1 << 14


class ParquetRows:
    """A Parquet file as a table of `rows.Rows`.

    Parameters
    ----------
    stream
        Seekable; closed with it.

    Raises
    ------
    Malformed
        If it is no complete Parquet file.
    StackboneError
        If pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        need_pyarrow(name)
        from pyarrow import parquet

        self._stream = stream
        with translated():
            self._file = parquet.ParquetFile(stream, buffer_size=_READ_AHEAD, pre_buffer=False)
            self.schema: Any = with_names(self._file.schema_arrow)
        about = self._file.metadata
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        self._sizes = [group.num_rows for group in groups]
        self._starts = [sum(self._sizes[:number]) for number in range(len(groups))]
        self.n_rows = sum(self._sizes)

    def start_of(self, row: int) -> int:
        """Return the first row of a row's group."""
        return max((start for start in self._starts if start <= row), default=0)

    def images(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """Yield the cells of a column in arrays, each with its first row, from the start of a row's group on."""
        for number, start in enumerate(self._starts):
            if start + self._sizes[number] <= row:
                continue
            with translated():
                batches = self._file.iter_batches(
                    _IMAGES_AT_A_TIME, row_groups=[number], columns=[column], use_threads=False
                )
                for batch in batches:
                    yield start, batch.column(0)
                    start += batch.num_rows

    def tables(self, columns: list[str]) -> Iterator[Any]:
        """Yield some columns as record batches; no other is read."""
        with translated():
            yield from self._file.iter_batches(_CELLS_AT_A_TIME, columns=columns, use_threads=False)

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        self._file.close(force=True)
        self._stream.close()


def _open(stream: BinaryIO, name: str) -> Container:
    return RowImages(ParquetRows(stream, name))


KIND = ContainerKind("parquet", (".parquet", ".pq"), "a Parquet file with a column of images", _open, is_sorted=True)
