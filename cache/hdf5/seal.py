"""The seal: a SHA-256 of all that a file holds, in front of its HDF5 part (see FORMAT.md).

It is read and checked before anything else in the file is believed. A shard is sealed in two parts, so that its
digests can be read without its features: the head holds the SHA-256 of the body, and the seal is the head's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.source import Source

BLOCK_BYTES = 512  # the least that HDF5 allows in front of a superblock
START = b"stackbone-"
_TEXT = re.compile(
    rb"(?P<kind>stackbone-[a-z]+) (?P<version>[1-9][0-9]{0,8})\n"
    rb"body (?P<start>[0-9]{1,15}) (?P<length>[0-9]{1,15}) (?P<body>[0-9a-f]{64})\n"
    rb"head (?P<head>[0-9a-f]{64})\n\0+"
)

ReadAt = Callable[[int, int], memoryview]
"""Returns so many bytes from an offset of a file: ``read_at(offset, length)``."""


@dataclass(frozen=True)
class Seal:
    """What stands in front of a sealed file.

    Attributes
    ----------
    kind, version
        Of the file's format, such as ``stackbone-features`` and 2.
    start, length
        Where the body lies in the file, and its bytes; the head is the rest of the file.
    body
        SHA-256 of the body (32 bytes).
    head
        SHA-256 of kind, version, `start`, `length`, `body` and the head, and so of all (32 bytes).
    """

    kind: str
    version: int
    start: int
    length: int
    body: bytes
    head: bytes

    def open(self, size: int, read_at: ReadAt) -> Source:
        """Return the bytes of the HDF5 part; the head is read and proven now, the body when it is asked for.

        Raises
        ------
        Malformed
            If a byte of the head (or, later, of the body) is not the one that was sealed.
        """
        end = self.start + self.length
        if not BLOCK_BYTES <= self.start <= end <= size:
            message = f"its seal claims bytes {self.start:,} to {end:,}, the file has {size:,}"
            raise Malformed(message)
        before = read_at(BLOCK_BYTES, self.start - BLOCK_BYTES)
        after = read_at(end, size - end)
        if self._head_of(before, after) != self.head:
            message = "its content is not what was sealed (SHA-256): it was changed after it was written"
            raise Malformed(message)

        def fetch(offset: int, length: int) -> memoryview:
            first, last = offset + BLOCK_BYTES, offset + BLOCK_BYTES + length
            if last <= self.start:
                return before[offset : offset + length]
            if first >= end:
                return after[first - end : last - end]
            if (first, length) != (self.start, self.length):
                message = f"its structure reaches into the {self.length:,} sealed bytes of another part"
                raise Malformed(message)
            return self.check_body(read_at)

        return Source(BLOCK_BYTES, size - BLOCK_BYTES, is_sealed=True, fetch=fetch)

    def check_body(self, read_at: ReadAt) -> memoryview:
        """Return the body, once its SHA-256 is found to be the sealed one."""
        body = read_at(self.start, self.length)
        if hashlib.sha256(body).digest() != self.body:
            message = "its features are not what was sealed (SHA-256): they were changed after they were written"
            raise Malformed(message)
        return body

    def _head_of(self, before: memoryview, after: memoryview) -> bytes:
        digest = hashlib.sha256(self._lines())
        digest.update(before)
        digest.update(after)
        return digest.digest()

    def _lines(self) -> bytes:
        return f"{self.kind} {self.version}\nbody {self.start} {self.length} {self.body.hex()}\n".encode()


def sealed(kind: str, version: int, hdf5: bytes | memoryview, start: int, length: int) -> bytes:
    """Return a whole file: the seal, then an HDF5 file that was made to stand behind it; parameters as of `seal_of`."""
    return b"".join([seal_of(kind, version, hdf5, start, length), hdf5])


def seal_of(kind: str, version: int, hdf5: bytes | memoryview, start: int, length: int) -> bytes:
    """Return the `BLOCK_BYTES` that stand in front of an HDF5 file that was made to stand behind them.

    Parameters
    ----------
    start, length
        Where the body lies in the whole file, and its bytes; 0 bytes if the file is read as a whole.
    """
    content = memoryview(hdf5)
    first = start - BLOCK_BYTES
    body = hashlib.sha256(content[first : first + length]).digest()
    unsigned = Seal(kind, version, start, length, body, b"")
    head = unsigned._head_of(content[:first], content[first + length :])
    block = unsigned._lines() + f"head {head.hex()}\n".encode()
    return block.ljust(BLOCK_BYTES, b"\0")


def parse_seal(block: memoryview) -> Seal:
    """Return what the first `BLOCK_BYTES` of a file say.

    Raises
    ------
    Malformed
        If they are no seal.
    """
    found = _TEXT.fullmatch(block) if len(block) == BLOCK_BYTES else None
    if found is None:
        message = "its first 512 bytes are not a seal"
        raise Malformed(message)
    return Seal(
        found["kind"].decode(),
        int(found["version"]),
        int(found["start"]),
        int(found["length"]),
        bytes.fromhex(found["body"].decode()),
        bytes.fromhex(found["head"].decode()),
    )
