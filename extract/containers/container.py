"""A container: one file that holds many images, such as a tar archive.

An image in it has the path ``CONTAINER/MEMBER``: ``shards/000003.tar/cat/0001.jpg``. Nothing is unpacked to a disk.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from stackbone.cache.disk.reading import MOST_IMAGE_BYTES
from stackbone.cache.errors import RemoteError
from stackbone.cache.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Member:
    """What a container holds under a name.

    Attributes
    ----------
    name
        Posix-style and relative, without ``.``, ``..`` or empty parts.
    size
        In bytes; None where the format does not tell without reading.
    problem
        Why it is not taken, such as ``a link inside the archive``; ``""`` if nothing speaks against it.
    """

    name: str
    size: int | None
    problem: str = ""


class Container(Protocol):
    """A container that is open for reading. It is used by one thread at a time.

    Where the bytes are not what the format promises, each method raises `Malformed`, `members` and `stream` after they
    have given what comes before the fault.
    """

    def members(self) -> Iterator[Member]:
        """Yield the members in the order in which they are stored, reading no content where the format allows.

        Folders and the like are left out. The first of several of one name stands for it; the others follow with a
        `problem`.
        """
        ...

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents in the order in which they are stored, reading from the start to the end.

        Parameters
        ----------
        wanted
            Names of members; None for all. One that cannot be read is passed over, and `read` says why.
        """
        ...

    def read(self, name: str) -> bytes:
        """Return the content of one member; quickest in the order in which they are stored.

        Raises
        ------
        ImageError
            If there is no such member, or it cannot be read.
        """
        ...

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        ...


@dataclass(frozen=True)
class ContainerKind:
    """A kind of container.

    Attributes
    ----------
    name
        Such as ``tar``.
    extensions
        Of its files, in lower case with their dots: ``.tar``, ``.tar.gz``.
    what
        In words: ``a tar archive``.
    open
        Opens one on a seekable binary file, of which the second argument is the name, for messages; raises
        `Malformed` if it is none.
    most_open
        How many of this kind stay open at once, with what they keep in memory.
    is_sorted
        Whether members are stored in the order of their names, so that none need be listed to read them in that order.
    """

    name: str
    extensions: tuple[str, ...]
    what: str
    open: Callable[[BinaryIO, str], Container]
    most_open: int = 4
    is_sorted: bool = False


CONTAINERS = Plugins(ContainerKind, "stackbone.containers", "stackbone.extract.containers.kinds", "KIND")
"""Every kind of container."""

_SUSPECT_BYTES, _SUSPECT_RATIO = 64 << 20, 100


def size_problem(size: int, packed: int) -> str:
    """Return why a member is not unpacked; ``""`` if its size is no reason.

    Parameters
    ----------
    size, packed
        Its bytes, and how many they take in the container.
    """
    if size > MOST_IMAGE_BYTES:
        return f"too large: {size:,} bytes, over the limit of {MOST_IMAGE_BYTES:,}"
    if size > _SUSPECT_BYTES and size > _SUSPECT_RATIO * max(packed, 1):
        return f"{packed:,} bytes that would unpack to {size:,}, as archive bombs do"
    return ""


def is_of_content(error: OSError) -> bool:
    """Return whether bytes caused an error, no disk and no server: unpacking failed, or led to before the start."""
    return error.errno in (None, errno.EINVAL) and not isinstance(error, RemoteError)


def safe_name(name: str) -> str:
    """Return a member's name without a leading slash and without ``.`` and empty parts; ``""`` if it leads upwards."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)
