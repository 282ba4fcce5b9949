"""The headers of a tar archive (POSIX.1-2001, GNU, ustar), with the long names and records that precede some."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from stackbone.cache.errors import Malformed
from stackbone.extract.containers.container import is_of_content

BLOCK = tarfile.BLOCKSIZE
"""Bytes of a header; contents are filled up to a multiple of it."""

_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_RECORDS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_MOST_HEADER_BYTES = 1 << 20  # of all that precedes one member
_MAP_GOES_ON = 504  # where a block of a sparse file's map says so; in its header at 482


class Headers:
    """Reads headers, in the order in which they are stored: some records count for all members behind them.

    Parameters
    ----------
    stream
        The archive, unpacked.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._common: dict[str, str] = {}  # records that count for all members

    def restart(self) -> None:
        """Begin at the start of the archive again."""
        self._common.clear()

    def at(self, offset: int) -> tarfile.TarInfo | None:
        """Return the header of the member that begins at a place, with what precedes it; None at the archive's end.

        The library's own reading of long names and records is not used: it believes any size, and never ends on some.

        Raises
        ------
        tarfile.HeaderError
            If no whole header is there, or one of too much.
        Malformed
            If the bytes cannot be unpacked.
        """
        name, records, start = "", dict[str, str](), offset
        while True:
            block = self._bytes(offset, BLOCK)
            offset += BLOCK
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
            offset += whole_blocks(info.size)
            if offset - start > _MOST_HEADER_BYTES:
                message = f"more than {_MOST_HEADER_BYTES:,} bytes of names and records before a member"
                raise tarfile.HeaderError(message)
            said = self._bytes(info.offset_data, info.size)
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
        goes_on = self._bytes(info.offset_data - BLOCK, BLOCK)[482]
        start = info.offset_data
        while goes_on:
            goes_on = self._bytes(info.offset_data, BLOCK)[_MAP_GOES_ON]
            info.offset_data += BLOCK
            if info.offset_data - start > _MOST_HEADER_BYTES:
                message = f"more than {_MOST_HEADER_BYTES:,} bytes of a sparse file's map"
                raise tarfile.HeaderError(message)

    def _bytes(self, offset: int, size: int) -> bytes:
        """Return bytes of headers; of none that are whole, `HeaderError` as the library says it."""
        found = bytes_at(self._stream, offset, size)
        if len(found) < size:
            message = "truncated header" if found else "empty header"
            raise tarfile.HeaderError(message)
        return found


def bytes_at(stream: BinaryIO, offset: int, size: int) -> bytes:
    """Return bytes of an archive, as many as there are of those; `Malformed` if they cannot be unpacked."""
    with _faults():
        stream.seek(offset)
        return stream.read(size)


def has_content(info: tarfile.TarInfo) -> bool:
    """Return whether as many bytes follow a header as it says; of links and the like none do."""
    return info.isreg() or info.type not in tarfile.SUPPORTED_TYPES


def whole_blocks(size: int) -> int:
    """Return how many bytes a content takes in an archive."""
    return -(-size // BLOCK) * BLOCK


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
