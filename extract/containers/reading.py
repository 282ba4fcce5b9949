"""The bytes of an image, whether it is a file or lies in a container; a few containers stay open."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from functools import cache
from threading import Lock

from stackbone.cache.disk.reading import ListedFile, read_listed
from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.container import Container
from stackbone.extract.containers.opening import open_container
from stackbone.extract.containers.place import split_place

_MOST_OPEN = 4  # an index of members each; decoders are at two shards at once where one ends and the next begins


def read_image(place: str, digest: bytes) -> bytes:
    """Return the bytes of an image, if they are those that were listed.

    Parameters
    ----------
    place
        Of a file, or ``CONTAINER/MEMBER``.
    digest
        SHA-256 (32 bytes) that they must have.

    Raises
    ------
    ImageError
        If it is gone, cannot be read, is too large, or has other bytes; also if its container is damaged.
    """
    inside = split_place("", place.replace(os.sep, "/"))
    if inside is None:
        return read_listed(place, digest)
    content = _opened().read(*inside)
    if hashlib.sha256(content).digest() != digest:
        message = "its bytes changed since it was listed; run again"
        raise ImageError(message)
    return content


def read_listed_image(file: ListedFile) -> bytes:
    """Return the bytes of an image that an index lists, wherever it lies; raises `ImageError` as `read_image` does."""
    file.check()
    return read_image(file.place, file.digest)


class _Open:
    """A container that is open, and what its file was when it was opened."""

    def __init__(self, place: str, stamp: tuple[int, ...]) -> None:
        self.place = place
        self.stamp = stamp
        self.lock = Lock()
        self._container: Container | None = None
        self._is_closed = False

    def read(self, member: str) -> bytes | None:
        """Return a member's content; None if it was closed meanwhile."""
        with self.lock:
            if self._is_closed:
                return None
            if self._container is None:
                self._container = open_container(self.place)
            return self._container.read(member)

    def close(self) -> None:
        """Close it, once nobody reads in it."""
        with self.lock:
            self._is_closed = True
            if self._container is not None:
                self._container.close()


class _Opened:
    """The containers that were read last; any number of threads may read at once, one in each container."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def read(self, place: str, member: str) -> bytes:
        try:
            while True:
                content = self._find(place).read(member)
                if content is not None:
                    return content
        except OSError as exc:
            message = f"{os.path.basename(place)!r}, in which it lies: {exc.strerror or exc}"
            raise ImageError(message) from exc
        except Malformed as exc:
            message = f"{os.path.basename(place)!r}, in which it lies, is damaged: {exc}"
            raise ImageError(message) from exc

    def _find(self, place: str) -> _Open:
        stamp = _stamp(place)
        closing: list[_Open] = []
        with self._lock:
            found = self._open.pop(place, None)
            if found is not None and found.stamp != stamp:
                closing.append(found)
                found = None
            found = self._open[place] = found or _Open(place, stamp)
            while len(self._open) > _MOST_OPEN:
                closing.append(self._open.popitem(last=False)[1])
        for each in closing:
            each.close()
        return found


def _stamp(place: str) -> tuple[int, ...]:
    """Return what tells that a file is another one now; nothing of one that lies behind a URL."""
    if "://" in place:
        return ()
    stat = os.stat(place)
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@cache
def _opened() -> _Opened:
    return _Opened()
