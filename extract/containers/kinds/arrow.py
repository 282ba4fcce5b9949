"""Arrow files with columns of images: streams, as Hugging Face's datasets keep them on disk, and files with a footer.

A file on this machine is mapped into memory: of a batch that nobody asks for nothing is read.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import Any, BinaryIO

from stackbone.cache.errors import Malformed
from stackbone.extract.containers.container import Container, ContainerKind
from stackbone.extract.containers.pyarrow_errors import need_pyarrow, translated
from stackbone.extract.containers.rows import RowImages
from stackbone.extract.containers.schema import with_names

_FILE_MARK = b"ARROW1\0\0"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class ArrowRows:
    """An Arrow file or stream as a table of `rows.Rows`.

    Parameters
    ----------
    stream
        Seekable; closed with it.

    Raises
    ------
    Malformed
        If it is neither, or ends early.
    StackboneError
        If pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        need_pyarrow(name)
        self._stream = stream
        self._is_file = stream.read(len(_FILE_MARK)) == _FILE_MARK
        if not self._is_file:
            _check_end(stream)
        self._mapped = _mapped(stream)
        with translated():
            self.schema: Any = with_names(self._reader().schema)

    @property
    def n_rows(self) -> int:
        """How many it has, once its batches were gone through."""
        return self._extent[1]

    def start_of(self, row: int) -> int:
        """Return the first row of a row's batch; the first of all where it cannot be gone to directly."""
        starts = self._extent[0]
        return starts[bisect_right(starts, row) - 1] if self._mapped is not None and row < self.n_rows else 0

    def images(self, column: str, row: int) -> Iterator[tuple[int, Any]]:
        """Yield the cells of a column in arrays, each with its first row, from the start of a row's batch on."""
        start = 0
        for batch in self._batches() if self._mapped is None else self._found:
            if start + batch.num_rows > row:
                yield start, _checked(batch.column(column))
            start += batch.num_rows

    def tables(self, columns: list[str]) -> Iterator[Any]:
        """Yield some columns as record batches."""
        for batch in self._batches() if self._mapped is None else self._found:
            some = batch.select(columns)
            for column in some.columns:
                _checked(column)
            yield some

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        self.__dict__.pop("_found", None)
        self._mapped = None
        self._stream.close()

    @cached_property
    def _found(self) -> list[Any]:
        """All batches of a file that is mapped: where they lie, and no content."""
        return list(self._batches())

    @cached_property
    def _extent(self) -> tuple[list[int], int]:
        """The first row of each batch, and the number of rows."""
        starts, n = [], 0
        for batch in self._batches() if self._mapped is None else self._found:
            starts.append(n)
            n += batch.num_rows
        return starts, n

    def _batches(self) -> Iterator[Any]:
        with translated():
            reader = self._reader()
            if self._is_file:
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                yield from reader

    def _reader(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        from pyarrow import BufferReader, ipc

        self._stream.seek(0)
        source = self._stream if self._mapped is None else BufferReader(self._mapped)
        return ipc.open_file(source) if self._is_file else ipc.open_stream(source)


def _mapped(stream: BinaryIO) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the bytes of a file on this machine as a buffer, none of which is read; None of any other."""
    from pyarrow import py_buffer

    try:
        return py_buffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # no descriptor; an empty file
        return None


def _check_end(stream: BinaryIO) -> None:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - len(_END_OF_STREAM)))
    if stream.read() != _END_OF_STREAM:
        message = "it does not end as an Arrow stream does: it is none, or was cut short, or is still being written"
        raise Malformed(message)


def _checked(cells: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return an array that was found to lie within its file: pyarrow believes what a file says of it."""
    with translated():
        cells.validate(full=True)
    return cells


def _open(stream: BinaryIO, name: str) -> Container:
    return RowImages(ArrowRows(stream, name))


KIND = ContainerKind("arrow", (".arrow",), "an Arrow file with a column of images", _open, is_sorted=True)
