"""A file behind a URL as a seekable stream: pieces by range, larger and ahead of the reader where it goes on and on."""

from __future__ import annotations

import io
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, cast

from stackbone.cache.errors import StackboneError, UsageError
from stackbone.cache.remote.failures import ask
from stackbone.cache.remote.listing import stat_remote
from stackbone.cache.remote.server import Server, server_of
from stackbone.cache.remote.url import shown

_FIRST_BYTES = 128 << 10  # of a piece, where the reader jumped
_BUFFER = 64 << 10


class _NoRangesError(StackboneError):
    """A web server gives files as a whole alone; it goes no further than this module."""


def open_remote(url: str, mode: str = "rb", block_bytes: int = 8 << 20) -> BinaryIO:
    """Open a file behind a URL, to be read and sought in.

    The first piece after a jump is small; each that follows on it is twice as large, and is asked for ahead.
    A web server that gives no ranges is read once, into a scratch file.

    Parameters
    ----------
    mode
        ``rb``; there is no other.
    block_bytes
        Most bytes of a piece; two are in memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    RemoteError
        If the server cannot be reached or refuses, now or while the file is read; see `ask`.
    UsageError
        As of `server_of`.
    """
    if mode != "rb":
        message = f"{shown(url)} can be opened to be read ('rb'), not {mode!r}: name a file of this machine to write to"
        raise UsageError(message)
    server, size = server_of(url), stat_remote(url).size
    if server.is_web and (size < 2 or not _gives_ranges(server, size)):
        return _copied(server)
    return cast(BinaryIO, io.BufferedReader(_Pieces(server, size, block_bytes), _BUFFER))


def read_range(server: Server, start: int, end: int, size: int) -> bytes:
    """Return bytes of a file of so many, as many as were asked for; errors as `ask`."""

    def fetch() -> bytes:
        with server.files() as files:
            if server.is_web:  # which alone says that the server does not give ranges, before it reads all
                content = _range_of(files.open(server.path, "rb", cache_type="none", size=size), start, end)
            else:
                content = bytes(files.cat_file(server.path, start=start, end=end))
        if len(content) != end - start:
            message = f"{len(content):,} bytes came of {end - start:,}"
            raise ConnectionError(message)
        return content

    return ask(server.url, "read", fetch)


def _range_of(opened: Any, start: int, end: int) -> bytes:  # noqa: ANN401 - fsspec has no types
    with opened as file:
        file.seek(start)
        try:
            return bytes(file.read(end - start))
        except ValueError as exc:
            raise _NoRangesError(str(exc)) from exc


def _gives_ranges(server: Server, size: int) -> bool:
    try:
        read_range(server, size // 2, size // 2 + 1, size)  # of the first byte fsspec does not say
    except _NoRangesError:
        return False
    return True


def _copied(server: Server) -> BinaryIO:
    file = tempfile.TemporaryFile(prefix="stackbone-")  # noqa: SIM115 - the caller closes it

    def fetch() -> None:
        file.seek(0)
        file.truncate()
        with server.files() as files:
            files.get_file(server.path, file)

    try:
        ask(server.url, "read", fetch)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast(BinaryIO, file)


class _Pieces(io.RawIOBase):
    """Bytes by range: the piece that is read, and the next one, asked for by another thread."""

    def __init__(self, server: Server, size: int, block_bytes: int) -> None:
        self._server, self._size, self._most = server, size, block_bytes
        self._at = self._start = 0
        self._piece = b""
        self._ahead: tuple[int, Future[bytes]] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            message = f"there is no byte {base + offset:,} in a file"
            raise ValueError(message)
        self._at = base + offset
        return self._at

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size or not len(target):
            return 0
        if not self._start <= self._at < self._start + len(self._piece):
            self._advance()
        begin = self._at - self._start
        part = memoryview(self._piece)[begin : begin + len(target)]
        target[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed and self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._piece, self._ahead, self._thread = b"", None, None
        super().close()

    def _advance(self) -> None:
        """Take the piece that begins where the reader is, and ask for the next one, if it reads on."""
        if os.getpid() != self._process:  # the thread stayed behind in the process that this one was forked from
            self._ahead, self._thread, self._process = None, None, os.getpid()
        end = self._start + len(self._piece)
        reads_on = self._at == end and bool(self._piece)
        length = min(2 * len(self._piece), self._most) if reads_on else _FIRST_BYTES
        ahead, self._ahead = self._ahead, None
        asked = ahead[1] if ahead and ahead[0] == self._at else None
        piece = asked.result() if asked else self._fetch(self._at, min(length, self._most))
        self._start, self._piece = self._at, piece
        follows = self._start + len(piece)
        if reads_on and follows < self._size:
            self._thread = self._thread or ThreadPoolExecutor(1)
            self._ahead = (follows, self._thread.submit(self._fetch, follows, min(2 * len(piece), self._most)))

    def _fetch(self, start: int, length: int) -> bytes:
        return read_range(self._server, start, min(start + length, self._size), self._size)
