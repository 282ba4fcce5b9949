"""A dataset of a cache file: what it declares, held against what is stored, and its values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.chunks import (
    DEFLATE,
    FLETCHER32,
    SHUFFLE,
    Chunk,
    list_chunks,
    parse_chunk_index,
    parse_filters,
    read_chunk,
)
from stackbone.cache.hdf5.source import Cursor, Source
from stackbone.cache.hdf5.structure import UNDEFINED, Message, read_messages

_CONTIGUOUS, _CHUNKED = 1, 2  # kinds of layout
_MAX_CHUNK_BYTES = 64 << 20
_MAX_INFLATION = 1100  # deflate cannot shrink data by more than 1032:1
_TYPES: dict[bytes, np.dtype[Any]] = {
    bytes.fromhex("100000000100000000000800"): np.dtype("u1"),
    bytes.fromhex("100800000800000000004000"): np.dtype("<i8"),
    bytes.fromhex("11200f0002000000000010000a05000a0f000000"): np.dtype("<f2"),
    bytes.fromhex("11201f000400000000002000170800177f000000"): np.dtype("<f4"),
}
_UTF8_STRING = bytes.fromhex("13110000")  # padded with zeros; its length follows


@dataclass(frozen=True)
class Column:
    """A dataset whose declaration is plausible; nothing of its content was read.

    Attributes
    ----------
    shape
        (n,) or (n, width).
    dtype
        Of its values, ``S`` and a length for text.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _source: Source
    _address: int
    _chunks: list[Chunk] | None
    _chunk_rows: int
    _filters: tuple[int, ...]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def place(self) -> tuple[int, int] | None:
        """Where in the file its values lie, and their bytes, if they are in one piece."""
        return None if self._chunks is not None else (self._source.base + self._address, len(self) * self._row_bytes)

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def read(self) -> NDArray[Any]:
        """Return all values."""
        pieces = list(self.pieces()) if self._chunks is None or len(self._chunks) == 1 else None
        if pieces is not None:
            return pieces[0]
        values = np.empty(self.shape, self.dtype)
        start = 0
        for piece in self.pieces():
            values[start : start + len(piece)] = piece
            start += len(piece)
        return values

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Yield the values chunk by chunk: what is compressed may be far longer than the file."""
        if self._chunks is None:
            length = len(self) * self._row_bytes
            content = self._source.read(self._address, length) if length else memoryview(b"")
            yield np.frombuffer(content, self.dtype).reshape(self.shape)
            return
        for i, chunk in enumerate(self._chunks):
            n_bytes = self._chunk_rows * self._row_bytes
            content = read_chunk(self._source, chunk, self._filters, n_bytes, self.dtype.itemsize)
            rows = np.frombuffer(content, self.dtype).reshape(self._chunk_rows, *self.shape[1:])
            yield rows[: len(self) - i * self._chunk_rows]


def read_column(source: Source, address: int, *, may_inflate: bool) -> Column:
    """Return the dataset whose object header lies at an address.

    Parameters
    ----------
    may_inflate
        Whether it may be compressed, so that reading may take far more memory than the file's size.

    Raises
    ------
    Malformed
        If it is not a dataset, or not laid out as Stackbone's.
    """
    messages: dict[Message, memoryview] = {}
    for kind, content in read_messages(source, address):
        if kind in messages and kind not in (Message.NOTHING, Message.ATTRIBUTE):
            message = f"it tells its {kind.name} twice"
            raise Malformed(message)
        messages[kind] = content
    if not {Message.DATASPACE, Message.DATATYPE, Message.LAYOUT} <= messages.keys():
        message = "it is not a dataset"
        raise Malformed(message)
    shape = parse_shape(Cursor(messages[Message.DATASPACE]))
    dtype = parse_type(bytes(messages[Message.DATATYPE]))
    filters = parse_filters(Cursor(messages[Message.FILTERS])) if Message.FILTERS in messages else ()
    layout = Cursor(messages[Message.LAYOUT])
    version, storage = layout.number(1), layout.number(1)
    if version in (3, 4) and storage == _CONTIGUOUS:  # HDF5 1.14 writes the same bytes as version 4
        return _contiguous(source, shape, dtype, layout, filters)
    if version == 4 and storage == _CHUNKED:
        return _chunked(source, shape, dtype, layout, filters, may_inflate=may_inflate)
    message = f"the kind of its layout is {storage}, in version {version}"
    raise Malformed(message)


def parse_shape(dataspace: Cursor) -> tuple[int, ...]:
    """Return the dimensions of a dataspace message (version 2)."""
    dataspace.expect(b"\x02", "the version of its shape")
    rank, flags, kind = (dataspace.number(1) for _ in range(3))
    if kind != (1 if rank else 0) or rank > 2 or flags > 1:
        message = f"it has shape of kind {kind} and rank {rank}"
        raise Malformed(message)
    return tuple(dataspace.number() for _ in range(rank))


def parse_type(datatype: bytes) -> np.dtype[Any]:
    """Return the type of a datatype message, one of those that Stackbone writes."""
    known = _TYPES.get(datatype)
    if known is not None:
        return known
    length = int.from_bytes(datatype[4:8], "little")
    if datatype[:4] != _UTF8_STRING or len(datatype) != 8 or not 0 < length <= _MAX_CHUNK_BYTES:
        message = f"it has type {datatype[:24].hex()}, which is none of Stackbone's"
        raise Malformed(message)
    return np.dtype(f"S{length}")


def _contiguous(
    source: Source, shape: tuple[int, ...], dtype: np.dtype[Any], layout: Cursor, filters: tuple[int, ...]
) -> Column:
    address, stored = layout.number(), layout.number()
    declared = math.prod(shape) * dtype.itemsize
    if not source.is_sealed or filters:
        message = "it is not stored in chunks with checksums inside the file"
        raise Malformed(message)
    if declared != stored or (declared > 0) == (address == UNDEFINED):
        message = f"it declares {declared:,} bytes and stores {stored:,}"
        raise Malformed(message)
    return Column(shape, dtype, source, address, None, 0, ())


def _chunked(
    source: Source,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    layout: Cursor,
    filters: tuple[int, ...],
    *,
    may_inflate: bool,
) -> Column:
    layout.expect(b"\0", "what its layout asks of chunks")
    rank, width = layout.number(1), layout.number(1)
    dims = tuple(layout.number(width) for _ in range(min(rank, 3)))
    if len(shape) == 0 or rank != len(shape) + 1 or not dims[0] or dims[1:] != (*shape[1:], dtype.itemsize):
        message = f"it has shape {shape} in chunks of {dims}"
        raise Malformed(message)
    checked = () if source.is_sealed else (FLETCHER32,)
    allowed = [(SHUFFLE, DEFLATE, *checked)] if may_inflate else []
    allowed += [] if source.is_sealed else [checked]
    if filters not in allowed:
        message = f"it uses the filters {filters}, which the format does not allow here"
        raise Malformed(message)
    chunk_bytes = math.prod(dims)
    if not 0 < chunk_bytes <= _MAX_CHUNK_BYTES:
        message = f"it has chunks of {dims}, over {_MAX_CHUNK_BYTES >> 20} MiB"
        raise Malformed(message)
    chunks = list_chunks(source, parse_chunk_index(layout), math.ceil(shape[0] / dims[0]))
    stored = min(sum(chunk.size for chunk in chunks), source.size)  # chunks could share bytes
    declared = math.prod(shape) * dtype.itemsize
    if declared > stored * (_MAX_INFLATION if DEFLATE in filters else 1):
        message = f"it declares {declared:,} bytes and stores {stored:,}"
        raise Malformed(message)
    return Column(shape, dtype, source, 0, chunks, dims[0], filters)
