"""A file of a cache, opened to be read at any offset: by the system on a disk, by range on an object store."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Protocol, TypeVar

from stackbone.cache.disk.reading import open_regular, read_at, read_regular, sha256_of
from stackbone.cache.errors import Malformed
from stackbone.cache.places.heads import HEADS
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.place import Place

_T = TypeVar("_T")
AT_ONCE = 16
"""Requests for little that are on their way together."""

WHOLE_AT_ONCE = 3
"""The same, for whole shards: each takes its size in memory."""

_LARGE_BYTES = 256 << 20  # of what this is, its first bytes are asked before all of it is got

Stamp = tuple[int, ...]
"""What is said of a file by the system or the server, and changes with its bytes."""


class OpenFile(Protocol):
    """A file that is open."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def read_at(self, offset: int, length: int) -> memoryview:
        """Return bytes from an offset; `Malformed` if the file ends before them."""
        ...

    def sha256(self) -> bytes:
        """Return the SHA-256 of all its bytes."""
        ...

    def stamp(self) -> Stamp | None:
        """Return its stamp; None where the server says nothing that proves its bytes."""
        ...


@contextmanager
def open_place(place: Place, *, begins: tuple[bytes, ...], most: int, in_pieces: bool = False) -> Iterator[OpenFile]:
    """Open a regular file.

    Parameters
    ----------
    begins
        What files of ours begin with: no more than that is got of a large object that begins otherwise.
    most
        Bytes that are got of an object, and one more, which tells that it is too large.
    in_pieces
        Whether less than all of it is wanted, and that it never changes: then an object is got by range. Else it is got
        as a whole, by one request, so that it is all of one version.

    Raises
    ------
    NotRegularError, OSError
        As of `open_regular`; FileNotFoundError if it is gone.
    RemoteError
        If the server cannot be asked.
    """
    if isinstance(place, ObjectPath):
        # What a listing does not have is most often not there, and nobody is asked twice of it.
        entry = place.entry() if in_pieces or place.exists() else None
        if in_pieces and entry and entry.size >= 0:  # a web server need not tell it
            yield _Object(place, HEADS.of(place, entry), entry.size)
        else:
            yield _whole(place, entry.size if entry else 0, begins, most)
        return
    with open_regular(place) as stream:
        yield _OnDisk(stream.fileno())


def read_place(place: str | os.PathLike[str] | ObjectPath, most: int) -> bytes:
    """Return the bytes of a regular file; OSError if there is none, or it has more than `most`."""
    if not isinstance(place, ObjectPath):
        return read_regular(place, most)
    content = place.read(0, most + 1)
    if len(content) > most:
        message = f"has more than {most:,} bytes"
        raise OSError(message)
    return content


def side_by_side(
    places: Sequence[Place], do: Callable[[Place], _T], n_at_once: int = AT_ONCE
) -> Iterator[tuple[Place, _T]]:
    """Yield each of some files with what `do` returns of it, in order; on an object store, several are done at once.

    There a request takes as long as many reads of a disk. Where `do` raises, so does this, once it is that file's turn.
    """
    if n_at_once < 2 or len(places) < 2 or not isinstance(places[0], ObjectPath):
        for place in places:
            yield place, do(place)
        return
    pool, rest = ThreadPoolExecutor(n_at_once), iter(places)
    try:
        begun = deque((place, pool.submit(do, place)) for place in islice(rest, n_at_once))
        while begun:
            place, result = begun.popleft()
            found = result.result()
            begun.extend((each, pool.submit(do, each)) for each in islice(rest, 1))
            yield place, found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _OnDisk:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read_at(self, offset: int, length: int) -> memoryview:
        return read_at(self._descriptor, offset, length)

    def sha256(self) -> bytes:
        return sha256_of(self._descriptor)

    def stamp(self) -> Stamp:
        found = os.fstat(self._descriptor)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Object:
    """Its first bytes, or all of them; what lies behind them is got by range."""

    def __init__(self, place: ObjectPath, head: bytes, size: int) -> None:
        self._place, self._head, self.size = place, memoryview(head), size

    def read_at(self, offset: int, length: int) -> memoryview:
        if offset + length <= len(self._head) or len(self._head) == self.size or not length:
            return _part(self._head, 0, offset, length)
        return _part(memoryview(self._place.read(offset, offset + length)), offset, offset, length)

    def sha256(self) -> bytes:
        return hashlib.sha256(self.read_at(0, self.size)).digest()

    def stamp(self) -> Stamp | None:
        stamp = self._place.entry().stamp
        return None if stamp[0] < 0 else stamp


def _whole(place: ObjectPath, told: int, begins: tuple[bytes, ...], most: int) -> _Object:
    """Return an object of which the server tells so many bytes, got by one request; of a large one of others a part."""
    if not 0 <= told <= _LARGE_BYTES:
        head = place.read(0, max(map(len, begins)))
        if not head.startswith(begins):
            return _Object(place, head, len(head))
    content = place.read(0, most + 1)
    return _Object(place, content, len(content))


def _part(content: memoryview, start: int, offset: int, length: int) -> memoryview:
    part = content[offset - start : offset - start + length]
    if len(part) < length:
        message = f"it ended after {offset + len(part):,} bytes while it was read"
        raise Malformed(message)
    return part
