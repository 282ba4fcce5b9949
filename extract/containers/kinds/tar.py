"""Tar archives (POSIX.1-2001, GNU, ustar), plain or compressed as a whole by gzip, bzip2 or xz.

A compressed one can be read from its start alone, so that each use of its images unpacks all that comes before them.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

import numpy as np

from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.container import ContainerKind, Member, is_of_content, safe_name, size_problem
from stackbone.extract.containers.window import Window

_PACKERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream)),
    b"BZh": lambda stream: cast(BinaryIO, bz2.BZ2File(stream)),
    b"\xfd7zXZ\x00": lambda stream: cast(BinaryIO, lzma.LZMAFile(stream)),  # noqa: SIM115 - closed with the container
}
_START = 6
_MOST_UNPACKED, _MOST_RATIO = 1 << 30, 200
_BLOCK = tarfile.BLOCKSIZE
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_RECORDS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_MOST_HEADER_BYTES = 1 << 20  # of all that precedes one member
_MAP_GOES_ON = 504  # where a block of a sparse file's map says so; in its header at 482


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
        self._common: dict[str, str] = {}  # records that count for all members
        try:
            self._header_at(0)
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
        for info in self._headers():
            name = safe_name(info.name)
            problem = _problem(info, name, self._size if self._is_packed else info.size)
            if not problem and hash(name) in seen:
                problem = "the name of a member before it"
            seen.add(hash(name))
            yield Member(name or info.name, info.size, problem), info.offset_data

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        """Yield the headers of all members but folders; `Malformed` after them if the archive has no end."""
        self._common.clear()
        most = max(_MOST_UNPACKED, _MOST_RATIO * self._size) if self._is_packed else self._size
        before, offset = "at its start", 0
        while True:
            info = self._next_header(offset, before)
            if info is None:
                return
            if info.offset_data + (info.size if _has_content(info) else 0) > most:
                raise Malformed(self._too_long(info.name, most))
            offset = info.offset_data + (_whole_blocks(info.size) if _has_content(info) else 0)
            before = f"after {info.name[:200]!r}"
            if not info.isdir():
                yield info

    def _next_header(self, offset: int, before: str) -> tarfile.TarInfo | None:
        try:
            return self._header_at(offset)
        except tarfile.HeaderError as exc:
            ended = str(exc) in ("empty header", "truncated header")  # also of a header that belongs to another
            message = f"it ends {before} without the mark of an end, as one does that was cut"
            other = f"what comes {before} is no header of a member ({exc})"
            raise Malformed(message if ended else other) from exc

    def _header_at(self, offset: int) -> tarfile.TarInfo | None:
        """Return the header of the member that begins at a place, with what precedes it; None at the archive's end.

        The library's own reading of long names and records is not used: it believes any size, and never ends on some.
        """
        name, records, start = "", dict[str, str](), offset
        while True:
            block = self._bytes_at(offset, _BLOCK)
            offset += _BLOCK
            info = _plain_header(block)
            if info is None:
                try:
                    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
                except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros at the end
                    return None
            if info.size < 0:
                message = f"a size of {info.size} bytes"
                raise tarfile.HeaderError(message)
            info.offset_data = offset
            if info.type not in (*_LONG_NAMES, *_RECORDS):
                break
            offset += _whole_blocks(info.size)
            if offset - start > _MOST_HEADER_BYTES:
                message = f"more than {_MOST_HEADER_BYTES:,} bytes of names and records before a member"
                raise tarfile.HeaderError(message)
            said = self._bytes_at(info.offset_data, info.size)
            if info.type == tarfile.XGLTYPE:
                self._common |= _records(said)
            elif info.type in _RECORDS:
                records = _records(said) | records
            elif info.type == tarfile.GNUTYPE_LONGNAME:
                name = name or said.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return self._completed(info, name, self._common | records)

    def _completed(self, info: tarfile.TarInfo, name: str, records: dict[str, str]) -> tarfile.TarInfo:
        """Return a member's header with what long names and records say in its place."""
        info.name = name or records.get("path", info.name)
        if info.isdir():
            info.name = info.name.rstrip("/")
        if "size" in records:
            if not records["size"].isdecimal() or not records["size"].isascii():
                message = f"a size of {records['size'][:40]!r} bytes"
                raise tarfile.HeaderError(message)
            info.size = int(records["size"])
        if "GNU.sparse" in records:
            info.sparse = b""
        if info.type == tarfile.GNUTYPE_SPARSE:
            self._pass_map(info)
        return info

    def _pass_map(self, info: tarfile.TarInfo) -> None:
        """Find where the content of a sparse file of GNU's old form begins, behind the rest of its map."""
        info.sparse = b""
        goes_on = self._bytes_at(info.offset_data - _BLOCK, _BLOCK)[482]
        start = info.offset_data
        while goes_on:
            goes_on = self._bytes_at(info.offset_data, _BLOCK)[_MAP_GOES_ON]
            info.offset_data += _BLOCK
            if info.offset_data - start > _MOST_HEADER_BYTES:
                message = f"more than {_MOST_HEADER_BYTES:,} bytes of a sparse file's map"
                raise tarfile.HeaderError(message)

    def _bytes_at(self, offset: int, size: int) -> bytes:
        """Return bytes of headers; of none that are whole, `HeaderError` as the library says it."""
        with _faults():
            self._file.seek(offset)
            found = self._file.read(size)
        if len(found) < size:
            message = "truncated header" if found else "empty header"
            raise tarfile.HeaderError(message)
        return found

    def _too_long(self, name: str, most: int) -> str:
        if self._is_packed:
            return f"it would unpack {self._size:,} bytes to over {most:,}, as archive bombs do"
        return f"it ends within the member {name[:200]!r}, as one does that was cut"

    def _content(self, offset: int, size: int) -> bytes:
        with _faults():
            self._file.seek(offset)
            content = self._file.read(size)
        if len(content) < size:
            message = f"it ends {size - len(content):,} bytes before a member does, as one does that was cut"
            raise Malformed(message)
        return content


def _has_content(info: tarfile.TarInfo) -> bool:
    """Return whether as many bytes follow a header as it says; of links and the like none do."""
    return info.isreg() or info.type not in tarfile.SUPPORTED_TYPES


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _records(content: bytes) -> dict[str, str]:
    """Return those records of an extended header that are of use here: the path, the size, and that a file is sparse.

    Reference: POSIX.1-2001, "pax Extended Header": ``length keyword=value`` and a line break, one after another.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(content):
        digits = content[at : at + 20].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        keyword, equals, value = content[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if not equals:
            break  # as the library, which leaves the rest
        if keyword in (b"path", b"size"):
            found[keyword.decode()] = value.decode("utf-8", "surrogateescape")
        elif keyword.startswith(b"GNU.sparse."):
            found["GNU.sparse"] = ""
        at += length
    return found


def _plain_header(block: bytes) -> tarfile.TarInfo | None:
    """Return what the header of an ordinary file says, at a third of the library's price; None of any other header.

    Fields as of POSIX.1-2001, "ustar Interchange Format". A header that is not taken here, for whatever reason, is
    the library's to judge.
    """
    if block[257:262] != b"ustar" or block[156:157] != tarfile.REGTYPE or block[345:346] != b"\0":
        return None  # no file, or one with a long name
    name = block[:100].partition(b"\0")[0]
    try:
        size, said = int(block[124:136].strip(b" \0"), 8), int(block[148:156].strip(b" \0"), 8)
    except ValueError:
        return None
    if not name or size < 0 or sum(block) - sum(block[148:156]) + 8 * ord(" ") != said:
        return None
    info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    info.size = size
    return info


def _problem(info: tarfile.TarInfo, name: str, packed: int) -> str:
    """Return why a member is not taken; ``""`` if nothing speaks against it."""
    if info.issym() or info.islnk():
        return "a link inside the archive"
    if not info.isreg() or info.sparse is not None:
        return "a sparse file" if info.isreg() else "not a file: a pipe or a device"
    return size_problem(info.size, packed) if name else "a name that leads out of the archive"


@contextmanager
def _faults() -> Iterator[None]:
    """Translate what the libraries raise where bytes are not those of an archive."""
    try:
        yield
    except EOFError as exc:
        message = "its compressed bytes end too early, as those of one do that was cut"
        raise Malformed(message) from exc
    except MemoryError as exc:
        message = "unpacking it takes more memory than there is"
        raise Malformed(message) from exc
    except (OSError, OverflowError, zlib.error, lzma.LZMAError, ValueError) as exc:
        if isinstance(exc, OSError) and not is_of_content(exc):
            raise
        message = f"it is no tar archive, or is damaged ({exc})"
        raise Malformed(message) from exc


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
