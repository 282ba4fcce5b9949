"""Servers that do not answer any more after some reads, as streams and behind URLs."""

from __future__ import annotations

import io
from itertools import repeat

import fsspec
import pytest

from stackbone.cache.errors import RemoteError
from stackbone.cache.remote import failures


class LostStream(io.BytesIO):
    """Gives some reads, and then what a server gives that does not answer."""

    def __init__(self, content: bytes, n_reads: int) -> None:
        super().__init__(content)
        self._n_left = n_reads

    def read(self, size: int | None = -1, /) -> bytes:
        self._n_left -= 1
        if self._n_left < 0:
            message = "could not read s3://bucket/a: no server answers there"
            raise RemoteError(message)
        return super().read(size)

    def readinto(self, target: bytearray | memoryview, /) -> int:  # type: ignore[override]
        content = self.read(len(target))
        target[: len(content)] = content
        return len(content)


def lose_after(patch: pytest.MonkeyPatch, n_requests: int) -> None:
    """Let ``memory://`` give so many files or pieces of such, and break off whatever is asked for then, at once."""
    kind = fsspec.get_filesystem_class("memory")
    whole, left = kind.cat_file, repeat(None, n_requests)

    def cat_file(self: object, *args: object, **kwargs: object) -> bytes:
        for _ in left:
            return bytes(whole(self, *args, **kwargs))
        raise ConnectionError

    patch.setattr(kind, "cat_file", cat_file)
    patch.setattr(failures, "_wait", lambda tries: None)
