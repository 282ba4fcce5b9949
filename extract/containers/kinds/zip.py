"""Zip archives, with members stored or compressed by what Python's own library unpacks."""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from stackbone.cache.errors import ImageError, Malformed, RemoteError
from stackbone.cache.text import counted
from stackbone.extract.containers.container import ContainerKind, Member, is_of_content, safe_name, size_problem

_ENCRYPTED, _PATCH = 1, 1 << 5  # bits of the general purpose flags, 4.4.4 of PKWARE's APPNOTE
_UNPACKABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_LZMA_HEAD = 9  # bytes before the stream, 5.8.8 of the APPNOTE: version (2), size of properties (2), properties (5)
_LZMA_VALUES = 9 * 5 * 5  # of the byte that says lc, lp and pb
_LEAST_WINDOW = 4096
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # 4.3.7: mark, ..., bytes of the name and of what else precedes the content
_MARK = b"PK\x03\x04"
_ROW = np.dtype(
    [
        ("key", np.int64),  # hash of the name
        ("offset", np.int64),
        ("packed", np.int64),
        ("size", np.int64),
        ("name_end", np.int64),
        ("crc", np.uint32),
        ("method", np.uint16),
    ]
)
_MOST = 2**63 - 1


class ZipContainer:
    """A zip archive, open for reading; of its members it keeps the names, and 50 bytes each.

    Parameters
    ----------
    stream
        Closed with it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        with _faults(), zipfile.ZipFile(stream) as directory:
            infos = sorted(directory.infolist(), key=lambda info: info.header_offset)
            ends = [*(info.header_offset for info in infos[1:]), directory.start_dir]
        names = bytearray()
        seen: set[int] = set()
        self._problems: dict[int, str] = {}
        files = [(info, end) for info, end in zip(infos, ends, strict=False) if not info.is_dir()]
        self._rows = np.zeros(len(files), _ROW)
        for row, (info, end) in enumerate(files):
            name = safe_name(info.filename.replace("\\", "/"))
            key = hash(name)
            problem = _problem(info, name, end) or ("the name of a member before it" if key in seen else "")
            if problem:
                self._problems[row] = problem
            else:
                seen.add(key)
            names += (name or info.filename).encode("utf-8", "surrogateescape")
            sizes = (min(each, _MOST) for each in (info.header_offset, info.compress_size, info.file_size))
            self._rows[row] = (key, *sizes, len(names), info.CRC, info.compress_type)
        self._names = bytes(names)
        self._order = np.argsort(self._rows["key"], kind="stable").astype(np.int32)

    def members(self) -> Iterator[Member]:
        """Yield the members as they are stored; the table at the archive's end tells."""
        for row, name in enumerate(map(self._name, range(len(self._rows)))):
            yield Member(name, int(self._rows["size"][row]), self._problems.get(row, ""))

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of members as they are stored; those that are damaged are passed over."""
        for row, name in enumerate(map(self._name, range(len(self._rows)))):
            if row not in self._problems and (wanted is None or name in wanted):
                try:
                    content = self._content(row)
                except ImageError:
                    continue
                yield name, content

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        key = hash(name)
        at = int(np.searchsorted(self._rows["key"], key, sorter=self._order))
        for row in map(int, self._order[at:]):
            if self._rows["key"][row] != key:
                break
            if row not in self._problems and self._name(row) == name:
                return self._content(row)
        message = "the archive has no such member, or none that can be read"
        raise ImageError(message)

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def _name(self, row: int) -> str:
        start = int(self._rows["name_end"][row - 1]) if row else 0
        return self._names[start : int(self._rows["name_end"][row])].decode("utf-8")

    def _content(self, row: int) -> bytes:
        offset, packed, size, crc, method = self._rows[["offset", "packed", "size", "crc", "method"]][row].item()
        try:
            with _faults():
                self._stream.seek(offset)
                mark, *before = _LOCAL_HEADER.unpack(_read(self._stream, _LOCAL_HEADER.size))
                if mark != _MARK:
                    message = "the header of a member is not where the directory says"
                    raise Malformed(message)
                self._stream.seek(offset + _LOCAL_HEADER.size + sum(before))
                return _unpacked(_read(self._stream, packed), method, size, crc)
        except Malformed as exc:
            raise ImageError(str(exc)) from exc


def _read(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _unpacked(packed: bytes, method: int, size: int, crc: int) -> bytes:
    """Return the content of a member, unpacked no further than the directory says.

    Parameters
    ----------
    packed
        Its bytes in the archive.
    method
        One of `_UNPACKABLE`.
    size, crc
        Of the content, as the archive's directory says.

    Raises
    ------
    Malformed
        If the content is longer, shorter, or another one. What is longer is not unpacked to its end.
    """
    if method == zipfile.ZIP_STORED:
        content = packed
    elif method == zipfile.ZIP_DEFLATED:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    elif method == zipfile.ZIP_BZIP2:
        content = bz2.BZ2Decompressor().decompress(packed, size + 1)
    else:
        content = _without_lzma(packed, size + 1)
    if len(content) > size:
        message = f"a member is longer than the {size:,} bytes that its directory says, as in archive bombs"
        raise Malformed(message)
    if len(content) < size:
        message = f"a member ends {counted(size - len(content), 'byte')} early"
        raise Malformed(message)
    if zlib.crc32(content) != crc:
        message = "the CRC-32 of a member is another than its directory says"
        raise Malformed(message)
    return content


def _without_lzma(packed: bytes, most: int) -> bytes:
    if len(packed) < _LZMA_HEAD or packed[4] >= _LZMA_VALUES:
        message = "a member has no header of LZMA"
        raise Malformed(message)
    rest, lc = divmod(packed[4], 9)
    pb, lp = divmod(rest, 5)
    # No more of a window is needed than there is content, though a header can ask for 4 GiB.
    window = max(_LEAST_WINDOW, min(int.from_bytes(packed[5:9], "little"), most))
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": window, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed[_LZMA_HEAD:], most)


def _problem(info: zipfile.ZipInfo, name: str, end: int) -> str:
    """Return why a member is not taken; ``""`` if nothing speaks against it. It is to end before a place."""
    if not name:
        return "a name that leads out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted; unpack the archive with its password"
    if info.compress_type not in _UNPACKABLE or info.flag_bits & _PATCH:
        how = "as a patch" if info.flag_bits & _PATCH else f"by method {info.compress_type}"
        return f"compressed {how}, which Python does not unpack; unpack the archive"
    if info.header_offset + _LOCAL_HEADER.size + info.compress_size > end:
        return "bytes that are another member's, too, as in archive bombs"
    return size_problem(max(info.file_size, info.compress_size), info.compress_size)


@contextmanager
def _faults() -> Iterator[None]:
    """Translate what the libraries raise where bytes are not those of an archive."""
    try:
        yield
    except EOFError as exc:
        message = "its bytes end too early, as those of an archive do that was cut"
        raise Malformed(message) from exc
    except MemoryError as exc:
        message = "unpacking it takes more memory than there is"
        raise Malformed(message) from exc
    except (zipfile.BadZipFile, OSError, OverflowError, zlib.error, lzma.LZMAError, RuntimeError, ValueError) as exc:
        if isinstance(exc, OSError) and not is_of_content(exc):
            raise
        if isinstance(exc.__context__, RemoteError):  # which the library takes for a lack of content
            raise exc.__context__ from None
        message = f"it is no zip archive, or is damaged ({exc})"
        raise Malformed(message) from exc


KIND = ContainerKind(
    name="zip",
    extensions=(".zip",),
    what="a zip archive",
    open=lambda stream, name: ZipContainer(stream),
)
