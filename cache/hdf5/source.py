"""Bytes of an HDF5 file that may be looked at, and nothing beyond them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.checksums import lookup3

_CHECKSUM = 4


@dataclass(frozen=True)
class Source:
    """The HDF5 part of a file, by offsets from its superblock.

    Attributes
    ----------
    base
        Where the superblock lies in the file.
    size
        Bytes from there to the end.
    is_sealed
        Whether `fetch` returns only what a SHA-256 has proven, so that HDF5's own checksums add nothing.
    fetch
        Returns `length` bytes from `offset`, both within `size`.
    """

    base: int
    size: int
    is_sealed: bool
    fetch: Callable[[int, int], memoryview]

    def read(self, offset: int, length: int) -> memoryview:
        """Return bytes, refusing any that are not in the file."""
        if offset < 0 or length < 0 or offset + length > self.size:
            message = f"it points to {length:,} bytes at {offset:,}, beyond its end at {self.size:,}"
            raise Malformed(message)
        return self.fetch(offset, length)

    def read_block(self, what: str, signature: bytes, offset: int, length: int) -> memoryview:
        """Return a piece of metadata without its signature and the checksum at its end, both proven."""
        block = self.read(offset, length)
        if block[:4] != signature:
            message = f"there is no {what} at {offset:,}"
            raise Malformed(message)
        self.check(what, block[:-_CHECKSUM], block[-_CHECKSUM:])
        return block[4:-_CHECKSUM]

    def check(self, what: str, content: bytes | bytearray | memoryview, checksum: memoryview) -> None:
        """Compare a piece of metadata with its checksum, where no seal has proven both."""
        if not self.is_sealed and lookup3(content) != int.from_bytes(checksum, "little"):
            message = f"the checksum of its {what} is wrong"
            raise Malformed(message)


class Cursor:
    """Reads little-endian numbers one after the other, never beyond the end."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not taken yet."""
        return len(self._content) - self._at

    def take(self, length: int) -> memoryview:
        """Return the next bytes."""
        if length > self.left:
            message = f"a piece of its metadata ends {length - self.left:,} bytes too early"
            raise Malformed(message)
        self._at += length
        return self._content[self._at - length : self._at]

    def number(self, length: int = 8) -> int:
        """Return the next unsigned number of `length` bytes."""
        return int.from_bytes(self.take(length), "little")

    def expect(self, content: bytes, what: str) -> None:
        """Take bytes that Stackbone always writes so."""
        found = bytes(self.take(len(content)))
        if found != content:
            message = f"{what} is {found.hex()}, not {content.hex()}"
            raise Malformed(message)
