"""Chunks of a dataset: where they lie, and their filters undone, in steps that the file's size bounds.

Source: HDF5 File Format Specification, version 3.0, section VII.C (extensible arrays), and its constants as HDF5
writes them for every dataset that can grow.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.checksums import fletcher32
from stackbone.cache.hdf5.source import Cursor, Source
from stackbone.cache.hdf5.structure import UNDEFINED

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
_EXTENSIBLE_ARRAY = bytes([32, 4, 4, 16, 10])  # how HDF5 spreads it over blocks, as a layout tells
_SAME_IN_HEADER = bytes([32, 4, 16, 4, 10])
_IN_INDEX_BLOCK = 4  # elements
_FIRST_BLOCK = 16  # elements
_N_SUPER_BLOCKS = 1 + 32 - 4
_WITHOUT_SUPER_BLOCK = 4  # of them: their data blocks are listed in the index block itself
_PAGE = 1024  # elements; a longer data block is laid out otherwise, and lists over 60,000 chunks
_CHECKSUM = 4


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies, its bytes there, and which filters (by bit) were not applied to it."""

    address: int
    size: int
    skipped: int


def parse_chunk_index(layout: Cursor) -> int:
    """Return the address of the list of chunks that the rest of a layout message tells of."""
    layout.expect(b"\x04", "the kind of its list of chunks")
    layout.expect(_EXTENSIBLE_ARRAY, "the shape of its list of chunks")
    return layout.number()


def list_chunks(source: Source, address: int, n_chunks: int) -> list[Chunk]:
    """Return the first chunks of a dataset, all of which must be stored.

    Raises
    ------
    Malformed
        If the list is not laid out as Stackbone's, or a chunk is not stored.
    """
    if n_chunks and address == UNDEFINED:
        message = "its rows are declared, and none is stored"
        raise Malformed(message)
    if not n_chunks:
        return []
    header = Cursor(source.read_block("list of chunks", b"EAHD", address, 72))
    header.expect(b"\0\x01", "the kind of a list of chunks")
    width = header.number(1)
    if not 13 <= width <= 20 or n_chunks * width > source.size:
        message = f"it lists {n_chunks:,} chunks of {width} bytes each in a file of {source.size:,}"
        raise Malformed(message)
    header.expect(_SAME_IN_HEADER, "the shape of a list of chunks")
    header.take(6 * 8)
    chunks: list[Chunk] = []
    for elements in _runs(source, address, header.number(), width):
        while elements.left >= width and len(chunks) < n_chunks:
            chunk = Chunk(elements.number(), elements.number(width - 12), elements.number(4))
            if chunk.address == UNDEFINED:
                message = f"its chunk {len(chunks)} is not stored"
                raise Malformed(message)
            chunks.append(chunk)
        if len(chunks) == n_chunks:
            return chunks
    message = f"it has more than the {len(chunks):,} chunks that a list of Stackbone's holds"
    raise Malformed(message)


def _runs(source: Source, header: int, address: int, width: int) -> Iterator[Cursor]:
    """Yield the elements of an extensible array, block after block, each block read when it is reached."""
    n_data_blocks = sum(_data_blocks(number)[0] for number in range(_WITHOUT_SUPER_BLOCK))
    n_super_blocks = _N_SUPER_BLOCKS - _WITHOUT_SUPER_BLOCK
    length = _IN_INDEX_BLOCK * width + 8 * (n_data_blocks + n_super_blocks)
    index = _block(source, b"EAIB", address, header, length)
    yield Cursor(index.take(_IN_INDEX_BLOCK * width))
    for number in range(_N_SUPER_BLOCKS):
        n_blocks, n_elements = _data_blocks(number)
        if n_elements > _PAGE:
            return
        addresses = index
        if number >= _WITHOUT_SUPER_BLOCK:
            addresses = _block(source, b"EASB", index.number(), header, 4 + 8 * n_blocks)
            addresses.take(4)
        for _ in range(n_blocks):
            block = _block(source, b"EADB", addresses.number(), header, 4 + width * n_elements)
            block.take(4)
            yield block


def _data_blocks(number: int) -> tuple[int, int]:
    """Return how many data blocks the super block of this number has, and the elements in each."""
    return 1 << number // 2, _FIRST_BLOCK << (number + 1) // 2


def _block(source: Source, signature: bytes, address: int, header: int, length: int) -> Cursor:
    if address == UNDEFINED:
        message = "its list of chunks ends before its rows do"
        raise Malformed(message)
    block = Cursor(source.read_block("list of chunks", signature, address, 14 + length + _CHECKSUM))
    block.expect(b"\0\x01" + header.to_bytes(8, "little"), "what a part of a list of chunks says of the list")
    return block


def parse_filters(message: Cursor) -> tuple[int, ...]:
    """Return the numbers of the filters in the order in which they were applied, of a version 2 message."""
    message.expect(b"\x02", "the version of its list of filters")
    filters = []
    for _ in range(message.number(1)):
        number = message.number(2)
        if number not in (DEFLATE, SHUFFLE, FLETCHER32):
            found = f"it uses the filter {number}, which the format does not allow"
            raise Malformed(found)
        filters.append(number)
        message.take(2)
        message.take(4 * message.number(2))
    return tuple(filters)


def read_chunk(source: Source, chunk: Chunk, filters: tuple[int, ...], n_bytes: int, item_bytes: int) -> memoryview:
    """Return the `n_bytes` of a chunk, its filters undone and its checksum compared.

    Raises
    ------
    Malformed
        If the checksum is wrong, or there are more or fewer bytes.
    """
    content = source.read(chunk.address, chunk.size)
    for i in reversed(range(len(filters))):
        if chunk.skipped >> i & 1:
            if filters[i] != DEFLATE:  # HDF5 leaves it out where it would make a chunk longer
                message = "a filter of its chunks was left out"
                raise Malformed(message)
            continue
        content = _undone(filters[i], content, n_bytes, item_bytes)
    if len(content) != n_bytes:
        message = f"a chunk of it has {len(content):,} bytes, not {n_bytes:,}"
        raise Malformed(message)
    return content


def _undone(number: int, content: memoryview, n_bytes: int, item_bytes: int) -> memoryview:
    if number == FLETCHER32:
        stored = int.from_bytes(content[-_CHECKSUM:], "little")
        content = content[:-_CHECKSUM]
        if fletcher32(content) != stored:
            message = "the checksum of a chunk of it is wrong"
            raise Malformed(message)
        return content
    if number == SHUFFLE:
        if len(content) % item_bytes:
            message = f"a chunk of it has {len(content):,} bytes, which are not whole items of {item_bytes}"
            raise Malformed(message)
        planes = np.frombuffer(content, np.uint8).reshape(item_bytes, -1)
        return np.ascontiguousarray(planes.T).reshape(-1).data
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(content, n_bytes + 1)
    except zlib.error as exc:
        message = f"a chunk of it cannot be inflated ({exc})"
        raise Malformed(message) from exc
    if len(plain) > n_bytes or not inflate.eof:
        message = f"a chunk of it does not inflate to {n_bytes:,} bytes"
        raise Malformed(message)
    return memoryview(plain)
