"""A compressed file, read as if it could be sought in: a short way back at once, further back from its start."""

from __future__ import annotations

import io
import os
from collections import deque
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20
_KEPT_BLOCKS = 32  # threads ask for members a little out of order, and most images are below 1 MB
MOST_KEPT_BYTES = _KEPT_BLOCKS * _BLOCK_BYTES
"""What is kept of a file at most."""


class Window(io.RawIOBase):
    """The unpacked bytes of a file, of which the last 32 MiB are kept.

    Parameters
    ----------
    unpacked
        What unpacks them; it is sought to its start alone. Closed with this.
    """

    def __init__(self, unpacked: BinaryIO) -> None:
        self._unpacked = unpacked
        self._blocks: deque[bytes] = deque(maxlen=_KEPT_BLOCKS)
        self._end = 0  # where the last block ends
        self._place = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where it is to be read next."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the start or from where it stands."""
        if whence == os.SEEK_END:
            message = "the end of what is unpacked is not known"
            raise io.UnsupportedOperation(message)
        self._place = offset + (self._place if whence == os.SEEK_CUR else 0)
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, or fewer where it ends."""
        if self._place < self._end - sum(map(len, self._blocks)):
            self._unpacked.seek(0)
            self._blocks.clear()
            self._end = 0
        parts: list[bytes] = []
        rest = size
        while rest and (part := self._part(rest)):
            parts.append(part)
            rest -= len(part) if size >= 0 else 0
        return b"".join(parts)

    def close(self) -> None:
        """Close it, and what unpacks."""
        self._blocks.clear()
        self._unpacked.close()
        super().close()

    def _part(self, most: int) -> bytes:
        """Return bytes from where it stands to the end of a block, `most` of them; none at the end."""
        while self._place >= self._end:
            block = self._unpacked.read(_BLOCK_BYTES)
            if not block:
                return b""
            self._blocks.append(block)
            self._end += len(block)
        start = self._end
        for block in reversed(self._blocks):
            start -= len(block)
            if start <= self._place:
                break
        at = self._place - start
        part = block[at : at + most] if most >= 0 else block[at:]
        self._place += len(part)
        return part
