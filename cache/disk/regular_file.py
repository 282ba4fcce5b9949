"""Regular files, opened so that nothing waits and nothing acts, and read through their descriptors."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from stackbone.cache.errors import Malformed

_SLICE = 1 << 20


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[int, int]]:
    """Yield a descriptor and the size in bytes of a regular file, at the end of a link perhaps.

    Raises
    ------
    Malformed
        If it is something else, or a link that leads nowhere.
    OSError
        If it cannot be opened; FileNotFoundError if it is gone.
    """
    _check_regular(path)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(path, flags)
    try:
        stat = os.fstat(descriptor)
        if not S_ISREG(stat.st_mode):  # put there after the look above; opening it without waiting did no harm
            message = "it is not a regular file"
            raise Malformed(message)
        yield descriptor, stat.st_size
    finally:
        os.close(descriptor)


def _check_regular(path: Path) -> None:
    """Refuse what could block or act when it is opened, and a link to nowhere, which no writer will bring back."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            message = "it is a link to a file that does not exist"
            raise Malformed(message) from None
        raise
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        message = "it is a link that leads back to itself"
        raise Malformed(message) from exc
    if not S_ISREG(mode):
        message = "it is not a regular file"
        raise Malformed(message)


def read_at(descriptor: int, offset: int, length: int) -> memoryview:
    """Return bytes of a file, wherever its descriptor stands; `Malformed` if it ends before them."""
    content = bytearray(length)
    view, done = memoryview(content), 0
    if not hasattr(os, "preadv"):
        os.lseek(descriptor, offset, os.SEEK_SET)
    while done < length:
        if hasattr(os, "preadv"):
            n_read = os.preadv(descriptor, [view[done:]], offset + done)
        else:  # Windows
            piece = os.read(descriptor, length - done)
            n_read = len(piece)
            view[done : done + n_read] = piece
        if not n_read:
            message = f"it ended after {offset + done:,} bytes while it was read"
            raise Malformed(message)
        done += n_read
    return view


def sha256_of(descriptor: int) -> bytes:
    """Return the SHA-256 of all bytes of a file."""
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while block := os.read(descriptor, _SLICE):
        digest.update(block)
    return digest.digest()
