"""The bytes of an image, whether it is a file or lies in a container; a few containers stay open."""

from __future__ import annotations

import atexit
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import TypeVar

from stackbone.cache.disk.reading import MOST_IMAGE_BYTES, ListedFile, read_listed
from stackbone.cache.errors import ImageError, Malformed, RemoteError, lost_server
from stackbone.cache.remote.objects import get_object
from stackbone.cache.remote.url import is_url
from stackbone.extract.containers.container import Container, ContainerKind
from stackbone.extract.containers.opening import open_container
from stackbone.extract.containers.place import kind_of, split_place

_T = TypeVar("_T")


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
        If it is gone, cannot be read, is too large, or has other bytes; also if its container is damaged, or the server
        keeps one of them from us.
    RemoteError
        If the server behind its URL cannot be asked, or refuses these credentials.
    """
    inside = split_place("", place.replace(os.sep, "/"))
    if inside is None:
        if not is_url(place):
            return read_listed(place, digest)
        content = _downloaded(place)
    else:
        container, member = inside
        content = _opened().use(container, lambda opened: opened.read(member))
    if hashlib.sha256(content).digest() != digest:
        message = "its bytes changed since it was listed; run again"
        raise ImageError(message)
    return content


def _downloaded(url: str) -> bytes:
    try:
        content = get_object(url, 0, MOST_IMAGE_BYTES + 1)
    except (FileNotFoundError, RemoteError) as exc:
        if lost_server(exc):
            raise
        message = f"{exc.strerror}"
        raise ImageError(message) from exc
    if len(content) > MOST_IMAGE_BYTES:
        message = f"has more bytes than the limit of {MOST_IMAGE_BYTES:,}"
        raise ImageError(message)
    return content


def read_listed_image(file: ListedFile) -> bytes:
    """Return the bytes of an image that an index lists, wherever it lies; raises `ImageError` as `read_image` does."""
    file.check()
    return read_image(file.place, file.digest)


def stored_names(place: str, wanted: Collection[str]) -> list[str]:
    """Return those members of a container that are wanted, in the order in which they are stored.

    One that is not there, or comes after a fault, is left out.
    """
    names: list[str] = []

    def find(container: Container) -> None:
        names.extend(member.name for member in container.members() if not member.problem and member.name in wanted)

    with suppress(ImageError):
        _opened().use(place, find)
    return names


class _Open:
    """A container that is open, and what its file was when it was opened."""

    def __init__(self, place: str, stamp: tuple[int, ...]) -> None:
        self.place = place
        self.stamp = stamp
        self.lock = Lock()
        self._container: Container | None = None
        self._is_closed = False

    def use(self, action: Callable[[Container], _T]) -> tuple[_T] | None:
        """Return what is done with the container, by one thread at a time; None if it was closed meanwhile."""
        with self.lock:
            if self._is_closed:
                return None
            if self._container is None:
                self._container = open_container(self.place)
            return (action(self._container),)

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

    def use(self, place: str, action: Callable[[Container], _T]) -> _T:
        """Return what is done with the container at a place; raises `ImageError` if it cannot be read."""
        try:
            while True:
                done = self._find(place).use(action)
                if done is not None:
                    return done[0]
        except OSError as exc:
            if lost_server(exc):
                raise
            message = f"{os.path.basename(place)!r}, in which it lies: {exc.strerror or exc}"
            raise ImageError(message) from exc
        except Malformed as exc:
            message = f"{os.path.basename(place)!r}, in which it lies, is damaged: {exc}"
            raise ImageError(message) from exc

    def close(self) -> None:
        """Close all."""
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        for each in closing:
            each.close()

    def _find(self, place: str) -> _Open:
        stamp = _stamp(place)
        closing: list[_Open] = []
        with self._lock:
            found = self._open.pop(place, None)
            if found is not None and found.stamp != stamp:
                closing.append(found)
                found = None
            is_new = found is None
            found = self._open[place] = found or _Open(place, stamp)
            if is_new:
                closing += self._beyond(kind_of(place))
        for each in closing:
            each.close()
        return found

    def _beyond(self, kind: ContainerKind | None) -> list[_Open]:
        """Take out and return those of a kind that were read longest ago, beyond as many as stay open."""
        alike = [each for each in self._open if kind_of(each) is kind]
        return [self._open.pop(each) for each in alike[: -kind.most_open if kind else None]]


def _stamp(place: str) -> tuple[int, ...]:
    """Return what tells that a file is another one now; nothing of one that lies behind a URL."""
    if "://" in place:
        return ()
    stat = os.stat(place)
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@cache
def _opened() -> _Opened:
    opened = _Opened()
    atexit.register(opened.close)
    return opened
