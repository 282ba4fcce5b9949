"""Files that a list or an option names, read without harm: regular ones, of bounded size, and those that were meant."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from stat import S_ISREG
from typing import BinaryIO

from stackbone.cache.errors import ImageError

MOST_IMAGE_BYTES = 2 << 30
"""Size of an image file above which it is not read: no image under the limit of pixels comes near it."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, unbuffered, to be read; a pipe or a device is never waited for.

    Raises
    ------
    OSError
        If it cannot be opened, or is not a regular file.
    """
    _check_regular(os.stat(path).st_mode)  # before it is opened: to open a device may be to act on it
    descriptor = os.open(path, _FLAGS)
    try:
        _check_regular(os.fstat(descriptor).st_mode)  # another file may have taken its place
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
        The dataset's folder.
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
        return os.path.join(self.root, self.path)

    def read(self) -> bytes:
        """Return its bytes, if they are those that were listed.

        Raises
        ------
        ImageError
            As of `read_listed`; also if the path leads out of the dataset's folder step by step, as none does that
            `extract` lists, or the file could not be read when it was listed.
        """
        if ".." in self.path.replace(os.sep, "/").split("/"):
            message = "its path leads out of the dataset's folder, as none does that is listed; run again"
            raise ImageError(message)
        if not any(self.digest):
            message = "it could not be read when it was listed"
            raise ImageError(message)
        return read_listed(self.place, self.digest)


def _check_regular(mode: int) -> None:
    if not S_ISREG(mode):
        raise OSError(errno.EINVAL, "is not a regular file")
