"""Tar archives, plain or compressed as a whole by gzip, bzip2 or xz.

A compressed one can be read from its start alone, so that each use of its images unpacks all that comes before them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import BinaryIO, cast

import numpy as np

from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.container import ContainerKind, Member, safe_name, size_problem
from stackbone.extract.containers.tars.headers import Headers, bytes_at, has_content, whole_blocks
from stackbone.extract.containers.tars.window import Window

_PACKERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream)),
    b"BZh": lambda stream: cast(BinaryIO, bz2.BZ2File(stream)),
    b"\xfd7zXZ\x00": lambda stream: cast(BinaryIO, lzma.LZMAFile(stream)),  # noqa: SIM115 - closed with the container
}
_START = 6
_MOST_UNPACKED, _MOST_RATIO = 1 << 30, 200


class TarContainer:
    """A tar archive, open for reading; of its members it keeps where they lie, in 24 bytes each.

    Parameters
    ----------
    stream
        Closed with it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        start = stream.read(_START)
        stream.seek(0)
        packer = next((each for magic, each in _PACKERS.items() if start.startswith(magic)), None)
        self._is_packed = packer is not None
        self._file = stream if packer is None else cast(BinaryIO, Window(packer(stream)))
        self._headers = Headers(self._file)
        try:
            self._headers.at(0)
        except tarfile.HeaderError as exc:
            message = f"it is no tar archive, or is damaged ({exc})"
            raise Malformed(message) from exc
        self._names = np.zeros(0, np.int64)
        self._places = np.zeros((0, 2), np.int64)
        self._is_gone_through, self._fault = False, ""

    def members(self) -> Iterator[Member]:
        """Yield the members as they are stored; all of a compressed archive is unpacked for that."""
        names, places = array("q"), array("q")
        try:
            for member, offset in self._members():
                if not member.problem:
                    names.append(hash(member.name))
                    places.extend((offset, cast(int, member.size)))
                yield member
        except Malformed as exc:
            self._keep(names, places, fault=str(exc))
            raise
        self._keep(names, places)

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of members as they are stored."""
        for member, offset in self._members():
            if not member.problem and (wanted is None or member.name in wanted):
                yield member.name, self._content(offset, cast(int, member.size))

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        if not self._is_gone_through:
            with suppress(Malformed):  # what comes before a fault can be read
                deque(self.members(), maxlen=0)
        key = hash(name)
        at = int(np.searchsorted(self._names, key))
        if at == len(self._names) or self._names[at] != key:
            message = "the archive has no such member, or none that can be read"
            message += f"; {self._fault}" if self._fault else ""
            raise ImageError(message)
        return self._content(*self._places[at].tolist())

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._stream.close()

    def _keep(self, names: array[int], places: array[int], fault: str = "") -> None:
        """Keep by each name's hash where the member lies; whoever reads one checks the digest of what it reads."""
        order = np.argsort(np.frombuffer(names, np.int64), kind="stable")
        self._names = np.frombuffer(names, np.int64)[order]
        self._places = np.frombuffer(places, np.int64).reshape(-1, 2)[order]
        self._is_gone_through, self._fault = True, fault

    def _members(self) -> Iterator[tuple[Member, int]]:
        """Yield the members but folders, with where their content begins."""
        seen: set[int] = set()
        for info in self._infos():
            name = safe_name(info.name)
            problem = _problem(info, name, self._size if self._is_packed else info.size)
            if not problem and hash(name) in seen:
                problem = "the name of a member before it"
            seen.add(hash(name))
            yield Member(name or info.name, info.size, problem), info.offset_data

    def _infos(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of all members but folders; `Malformed` after them if the archive has no end."""
        self._headers.restart()
        most = max(_MOST_UNPACKED, _MOST_RATIO * self._size) if self._is_packed else self._size
        before, offset = "at its start", 0
        while True:
            info = self._next_header(offset, before)
            if info is None:
                return
            if info.offset_data + (info.size if has_content(info) else 0) > most:
                raise Malformed(self._too_long(info.name, most))
            offset = info.offset_data + (whole_blocks(info.size) if has_content(info) else 0)
            before = f"after {info.name[:200]!r}"
            if not info.isdir():
                yield info

    def _next_header(self, offset: int, before: str) -> tarfile.TarInfo | None:
        try:
            return self._headers.at(offset)
        except tarfile.HeaderError as exc:
            ended = str(exc) in ("empty header", "truncated header")  # also of a header that belongs to another
            message = f"it ends {before} without the mark of an end, as one does that was cut"
            other = f"what comes {before} is no header of a member ({exc})"
            raise Malformed(message if ended else other) from exc

    def _too_long(self, name: str, most: int) -> str:
        if self._is_packed:
            return f"it would unpack {self._size:,} bytes to over {most:,}, as archive bombs do"
        return f"it ends within the member {name[:200]!r}, as one does that was cut"

    def _content(self, offset: int, size: int) -> bytes:
        content = bytes_at(self._file, offset, size)
        if len(content) < size:
            message = f"it ends {size - len(content):,} bytes before a member does, as one does that was cut"
            raise Malformed(message)
        return content


def _problem(info: tarfile.TarInfo, name: str, packed: int) -> str:
    """Return why a member is not taken; ``""`` if nothing speaks against it."""
    if info.issym() or info.islnk():
        return "a link inside the archive"
    if not info.isreg() or info.sparse is not None:
        return "a sparse file" if info.isreg() else "not a file: a pipe or a device"
    return size_problem(info.size, packed) if name else "a name that leads out of the archive"


KIND = (
    ContainerKind("tar", (".tar",), "a tar archive", lambda stream, name: TarContainer(stream), most_open=32),
    ContainerKind(
        "compressed tar",
        (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
        "a compressed tar archive",
        lambda stream, name: TarContainer(stream),
        most_open=2,
    ),
)
