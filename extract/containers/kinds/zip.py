"""Zip archives, with members stored or compressed by what Python's own library unpacks."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import BinaryIO

from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.container import ContainerKind, Member, is_of_content, safe_name, size_problem

_ENCRYPTED = 1  # bit of the general purpose flags, 4.4.4 of PKWARE's APPNOTE
_UNPACKABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


class ZipContainer:
    """A zip archive, open for reading.

    Parameters
    ----------
    stream
        Closed with it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        with _faults():
            self._zip = zipfile.ZipFile(stream)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        self._members: list[tuple[Member, zipfile.ZipInfo]] = []
        for info in sorted(self._zip.infolist(), key=lambda info: info.header_offset):
            if not info.is_dir():
                self._add(info)

    def members(self) -> Iterator[Member]:
        """Yield the members as they are stored; the table at the archive's end tells."""
        yield from (member for member, _ in self._members)

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents of members as they are stored; those that are damaged are passed over."""
        for member, info in self._members:
            if not member.problem and (wanted is None or member.name in wanted):
                try:
                    content = self._content(info)
                except ImageError:
                    continue
                yield member.name, content

    def read(self, name: str) -> bytes:
        """Return the content of one member."""
        info = self._infos.get(name)
        if info is None:
            message = "the archive has no such member, or none that can be read"
            raise ImageError(message)
        return self._content(info)

    def close(self) -> None:
        """Close it."""
        self._zip.close()
        self._stream.close()

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = safe_name(info.filename.replace("\\", "/"))
        problem = _problem(info, name)
        if not problem and name in self._infos:
            problem = "the name of a member before it"
        if not problem:
            self._infos[name] = info
        self._members.append((Member(name or info.filename, info.file_size, problem), info))

    def _content(self, info: zipfile.ZipInfo) -> bytes:
        try:
            with _faults():
                return self._zip.read(info)
        except Malformed as exc:
            raise ImageError(str(exc)) from exc


def _problem(info: zipfile.ZipInfo, name: str) -> str:
    """Return why a member is not taken; ``""`` if nothing speaks against it."""
    if not name:
        return "a name that leads out of the archive"
    if info.flag_bits & _ENCRYPTED:
        return "encrypted; unpack the archive with its password"
    if info.compress_type not in _UNPACKABLE:
        return f"compressed by method {info.compress_type}, which Python does not unpack; unpack the archive"
    return size_problem(info.file_size, info.compress_size)


@contextmanager
def _faults() -> Iterator[None]:
    """Translate what the library raises where bytes are not those of an archive."""
    try:
        yield
    except EOFError as exc:
        message = "its bytes end too early, as those of an archive do that was cut"
        raise Malformed(message) from exc
    except (zipfile.BadZipFile, OSError, zlib.error, lzma.LZMAError, RuntimeError, ValueError) as exc:
        if isinstance(exc, OSError) and not is_of_content(exc):
            raise
        message = f"it is no zip archive, or is damaged ({exc})"
        raise Malformed(message) from exc


KIND = ContainerKind(
    name="zip",
    extensions=(".zip",),
    what="a zip archive",
    open=lambda stream, name: ZipContainer(stream),
)
