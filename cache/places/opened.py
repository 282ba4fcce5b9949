"""A file of a cache, opened to be read at any offset: by the system on a disk, by range on an object store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

from stackbone.cache.disk.reading import open_regular, read_at, read_regular, sha256_of
from stackbone.cache.errors import Malformed
from stackbone.cache.places.heads import HEADS
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.place import Place

_AT_ONCE = 16  # requests on their way

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

    def stamp(self) -> Stamp:
        """Return its stamp."""
        ...


@contextmanager
def open_place(place: Place, *, in_pieces: bool = False) -> Iterator[OpenFile]:
    """Open a regular file.

    Parameters
    ----------
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
        yield _InPieces(place) if in_pieces else _Whole(place)
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


def with_heads(places: Sequence[Place]) -> Iterator[Place]:
    """Yield files that are about to be opened in pieces; on an object store many are asked for ahead, at once."""
    objects = [each for each in places if isinstance(each, ObjectPath)]
    if len(objects) < 2:
        yield from places
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(objects), _AT_ONCE):
            group = objects[start : start + _AT_ONCE]
            for _ in pool.map(_fetch_ahead, group):
                pass
            yield from group


def _fetch_ahead(place: ObjectPath) -> None:
    with suppress(OSError):  # whoever opens it is told
        HEADS.of(place)


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


class _Whole:
    def __init__(self, place: ObjectPath) -> None:
        self._place = place
        self._content = memoryview(place.read())
        self.size = len(self._content)

    def read_at(self, offset: int, length: int) -> memoryview:
        return _part(self._content, 0, offset, length)

    def sha256(self) -> bytes:
        return hashlib.sha256(self._content).digest()

    def stamp(self) -> Stamp:
        return self._place.entry().stamp


class _InPieces:
    def __init__(self, place: ObjectPath) -> None:
        self._place = place
        self._head, self.size = HEADS.of(place)

    def read_at(self, offset: int, length: int) -> memoryview:
        if offset + length <= len(self._head) or not length:
            return _part(memoryview(self._head), 0, offset, length)
        return _part(memoryview(self._place.read(offset, offset + length)), offset, offset, length)

    def sha256(self) -> bytes:
        return hashlib.sha256(self._place.read()).digest()

    def stamp(self) -> Stamp:
        return self._place.entry().stamp


def _part(content: memoryview, start: int, offset: int, length: int) -> memoryview:
    part = content[offset - start : offset - start + length]
    if len(part) < length:
        message = f"it ended after {offset + len(part):,} bytes while it was read"
        raise Malformed(message)
    return part
