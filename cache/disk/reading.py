"""Files read without harm: regular ones alone, opened so that nothing waits or acts, and those that were meant.

Whatever path a cache, a list or an option names, it is opened here.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from stat import S_ISREG
from typing import BinaryIO

from stackbone.cache.errors import ImageError, Malformed

MOST_IMAGE_BYTES = 2 << 30
"""Size of an image file above which it is not read: no image under the limit of pixels comes near it."""

_SLICE = 1 << 20
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)


class NotRegularError(OSError):
    """There is something at a path, and it is not a regular file; its `strerror` says what, after "it"."""

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        super().__init__(errno.EINVAL, what, os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, at the end of a link perhaps, unbuffered, to be read; a pipe or device is never waited for.

    Raises
    ------
    NotRegularError
        If it is something else, or a link that leads nowhere, which no writer will bring back.
    OSError
        If it cannot be opened; FileNotFoundError if it is gone.
    """
    _check_path(path)  # before it is opened: to open a device may be to act on it
    descriptor = os.open(path, _FLAGS)
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)  # another file may have taken its place
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Return the bytes of a regular file: as many as it had when it was opened, or fewer if it was cut meanwhile.

    Raises
    ------
    OSError
        If it cannot be read, is not a regular file, or has more bytes than `most`.
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"has {size:,} bytes, over the limit of {most:,}")
        parts = [stream.read(size)]  # the one part, as a rule: no second copy is made
        while parts[-1] and (rest := size - sum(map(len, parts))):
            parts.append(stream.read(rest))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def place_in(root: str | os.PathLike[str], path: str) -> str:
    """Return where an image lies, from its dataset's root and its path, either of which may be a URL."""
    return path if "://" in path else os.path.join(root, path)


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


def read_listed(path: str | os.PathLike[str], digest: bytes) -> bytes:
    """Return the bytes of an image file, if they are those that were listed.

    Parameters
    ----------
    digest
        SHA-256 (32 bytes) that they must have.

    Raises
    ------
    ImageError
        If the file is gone, cannot be read, is not a regular one or too large, or holds other bytes.
    """
    try:
        content = read_regular(path, MOST_IMAGE_BYTES)
    except (OSError, ValueError) as exc:  # ValueError: a name that no file can have
        raise ImageError(getattr(exc, "strerror", None) or str(exc)) from exc
    if hashlib.sha256(content).digest() != digest:
        message = "its bytes changed since it was listed; run again"
        raise ImageError(message)
    return content


@dataclass(frozen=True, slots=True)
class ListedFile:
    """An image file as the index of a dataset lists it. An index may be anybody's: what it names is not to be trusted.

    Attributes
    ----------
    root
        The dataset's folder; '' of images that were arrays in memory.
    path
        Relative to it, or absolute where the dataset was listed so.
    digest
        SHA-256 (32 bytes) of what was listed.
    """

    root: str
    path: str
    digest: bytes

    @property
    def place(self) -> str:
        """Where it lies."""
        return place_in(self.root, self.path)

    def check(self) -> None:
        """Raise `ImageError` if there is nothing to read.

        That is so if the path leads out of the dataset's folder step by step, as none does that `extract` lists, or the
        file could not be read when it was listed, or was none.
        """
        if ".." in self.path.replace(os.sep, "/").split("/"):
            message = "its path leads out of the dataset's folder, as none does that is listed; run again"
            raise ImageError(message)
        if not self.root:
            message = "it was an array in memory, and there is no file to read"
            raise ImageError(message)
        if not any(self.digest):
            message = "it could not be read when it was listed"
            raise ImageError(message)


def _check_path(path: str | os.PathLike[str]) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            raise NotRegularError(path, "is a link to a file that does not exist") from None
        raise
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        raise NotRegularError(path, "is a link that leads back to itself") from exc
    _check_mode(path, mode)


def _check_mode(path: str | os.PathLike[str], mode: int) -> None:
    if not S_ISREG(mode):
        raise NotRegularError(path, "is not a regular file")
