"""Cache files opened with suspicion: what kind of file it is, then its seal, then its structure, then its content.

HDF5's library takes no part: see `cache.hdf5.structure`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stackbone.cache.disk.reading import NotRegularError
from stackbone.cache.errors import CacheError, CorruptFileError, Malformed, NewerVersionError, RemoteError
from stackbone.cache.hdf5.column import Column, parse_shape, parse_type, read_column
from stackbone.cache.hdf5.seal import BLOCK_BYTES, START, Seal, parse_seal
from stackbone.cache.hdf5.source import Cursor, Source
from stackbone.cache.hdf5.structure import SIGNATURE, Root, read_root
from stackbone.cache.places.opened import OpenFile, open_place
from stackbone.cache.places.place import Place

MAX_TEXT_BYTES = 60_000  # what an HDF5 object header holds; a longer attribute is none of ours
MAX_FILE_BYTES = 4 << 30  # far more than Stackbone puts into one file; what is sealed is read as a whole
FORMAT_VERSION = 2
"""Of every kind of cache file; see FORMAT.md."""

_UNSEALED = 1
_REFILL = "`stackbone extract` to refill what it held"


@dataclass(frozen=True)
class CacheFile:
    """An open file of the cache, of a kind and version that this Stackbone reads.

    Attributes
    ----------
    version
        Of its format.
    seal
        What its content was proven by; None before version 2.
    size
        In bytes.
    """

    version: int
    seal: Seal | None
    size: int
    _source: Source
    _root: Root
    _opened: OpenFile | None

    def has(self, name: str) -> bool:
        """Return whether there is a root attribute or a dataset of this name, of whatever form."""
        return name in self._root.attributes or name in self._root.links

    def text(self, name: str) -> str:
        """Return a root attribute; surrogates stand for bytes that are not UTF-8.

        Raises
        ------
        Malformed
            If there is none, or it is not a fixed-length string of at most 60,000 bytes.
        """
        found = self._root.attributes.get(name)
        if found is None:
            message = f"it lacks the attribute {name!r}"
            raise Malformed(message)
        message = f"the attribute {name!r} is not a fixed-length string of at most {MAX_TEXT_BYTES:,} bytes"
        try:
            shape, dtype = parse_shape(Cursor(memoryview(found.dataspace))), parse_type(found.datatype)
        except Malformed as exc:
            raise Malformed(message) from exc
        if shape != () or dtype.kind != "S" or not len(found.content) == dtype.itemsize <= MAX_TEXT_BYTES:
            raise Malformed(message)
        return found.content.rstrip(b"\0").decode("utf-8", "surrogateescape")

    def json(self, name: str) -> Any:  # noqa: ANN401 - whatever it holds
        """Return what a root attribute holds as JSON; errors as `text`."""
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as exc:
            message = f"its {name} is not JSON ({exc})"
            raise Malformed(message) from exc

    def column(self, name: str, *, types: str, columns: int | None = None, may_inflate: bool = False) -> Column:
        """Return a dataset whose declaration is plausible; nothing of its content is read.

        Parameters
        ----------
        types
            Allowed NumPy types, such as ``"f2 f4"``; ``"S"`` allows strings of any length.
        columns
            Expected second dimension; None for a 1-D dataset, -1 for any but 0.
        may_inflate
            Whether it may be compressed.

        Raises
        ------
        Malformed
            If there is none, or it is another one.
        """
        if name not in self._root.links:
            message = f"it lacks the dataset {name!r}"
            raise Malformed(message)
        address = self._root.links[name]
        if address is None:
            message = f"{name!r} is a link to elsewhere; the format allows datasets of the file itself only"
            raise Malformed(message)
        try:
            column = read_column(self._source, address, may_inflate=may_inflate)
        except Malformed as exc:
            message = f"the dataset {name!r} is not one that Stackbone writes: {exc}"
            raise Malformed(message) from exc
        dtype, shape = column.dtype, column.shape
        if not {dtype.kind, dtype.str[1:]} & set(types.split()):
            message = f"the dataset {name!r} has type {dtype}"
            raise Malformed(message)
        if len(shape) != (1 if columns is None else 2) or not _is_width(shape, columns):
            message = f"the dataset {name!r} has shape {shape}"
            raise Malformed(message)
        return column

    def sha256(self) -> bytes:
        """Return the digest that a shard's name holds: the seal's; of an unsealed file, of all its bytes."""
        if self.seal:
            return self.seal.head
        assert self._opened is not None  # what is made in memory is sealed
        return self._opened.sha256()


def _is_width(shape: tuple[int, ...], columns: int | None) -> bool:
    return columns is None or (shape[1] > 0 if columns < 0 else shape[1] == columns)


@contextmanager
def open_checked(path: Place, kind: str, *, refill: str = _REFILL, in_pieces: bool = False) -> Iterator[CacheFile]:
    """Open a file of the cache: a regular file of this kind, of a known version, with an unbroken seal.

    Parameters
    ----------
    refill
        Tells, for the message, how what a damaged file held is made again.
    in_pieces
        Whether less than all of an immutable file is wanted; see `open_place`.

    Raises
    ------
    CorruptFileError
        If it is anything else, or what is read of it while it is open proves to be `Malformed`.
    NewerVersionError
        If a newer Stackbone wrote it.
    CacheError
        If the system could not read it: no permission, no memory, a failing disk or network.
    RemoteError
        If the server could not be asked: whether the file is sound, nobody knows then.
    FileNotFoundError
        If it is gone.
    """
    with opened(path, refill, in_pieces=in_pieces) as found:
        source, seal = _source(path, kind, found)
        file = CacheFile(seal.version if seal else _UNSEALED, seal, found.size, source, read_root(source), found)
        if file.text("format") != kind:
            message = f"its format is {file.text('format')!r}, not {kind!r}"
            raise Malformed(message)
        if file.text("format_version") != str(file.version):
            message = f"its format version is {file.text('format_version')!r}, not {file.version}"
            raise Malformed(message)
        yield file


def read_sha256(path: Place) -> bytes:
    """Return the digest that a shard's name should hold, every byte of the file proven by it.

    Raises
    ------
    CorruptFileError
        If its seal is broken.
    CacheError, FileNotFoundError
        As of `open_checked`.
    """
    with opened(path) as file:
        if bytes(file.read_at(0, min(file.size, len(START)))) != START:
            return file.sha256()
        seal = parse_seal(file.read_at(0, min(file.size, BLOCK_BYTES)))
        seal.open(file.size, file.read_at)
        seal.check_body(file.read_at)
        return seal.head


def read_memory(content: bytes | memoryview, kind: str) -> None:
    """Check that a file just made in memory is one that `open_checked` reads, structure and all.

    Raises
    ------
    Malformed
        If it is not: this HDF5 library lays files out in another way than those that Stackbone was tried with.
    """
    view = memoryview(content)
    seal = parse_seal(view[:BLOCK_BYTES])
    source = seal.open(len(view), lambda offset, length: view[offset : offset + length])
    file = CacheFile(seal.version, seal, len(view), source, read_root(source), None)
    if file.text("format") != kind:
        message = f"its format is {file.text('format')!r}, not {kind!r}"
        raise Malformed(message)
    for address in file._root.links.values():
        read_column(source, address or 0, may_inflate=True)


def _source(path: Place, kind: str, opened: OpenFile) -> tuple[Source, Seal | None]:
    fetch, size = opened.read_at, opened.size
    block = fetch(0, min(size, BLOCK_BYTES))
    if block[: len(SIGNATURE)] == SIGNATURE:
        return Source(0, size, is_sealed=False, fetch=fetch), None
    if block[: len(START)] != START:
        message = "it begins neither with a seal nor as an HDF5 file"
        raise Malformed(message)
    seal = parse_seal(block)
    if size > MAX_FILE_BYTES:
        message = f"it has {size:,} bytes, more than the {MAX_FILE_BYTES:,} that Stackbone puts into a file"
        raise Malformed(message)
    source = seal.open(size, fetch)
    if seal.kind != kind:
        message = f"its format is {seal.kind!r}, not {kind!r}"
        raise Malformed(message)
    if seal.version > FORMAT_VERSION:
        found = f"its format version is {seal.version}, this one reads up to {FORMAT_VERSION}"
        raise NewerVersionError(newer_message(path, found))
    if seal.version <= _UNSEALED:
        message = f"its format version is {seal.version}, which has no seal"
        raise Malformed(message)
    return source, seal


@contextmanager
def opened(path: Place, refill: str = _REFILL, *, in_pieces: bool = False) -> Iterator[OpenFile]:
    """Yield a regular file, open; raise errors of the cache, as `open_checked` does."""
    try:
        begins = (START, SIGNATURE)
        with open_place(path, begins=begins, most=MAX_FILE_BYTES, in_pieces=in_pieces) as found:
            yield found
    except (FileNotFoundError, RemoteError):
        raise
    except NotRegularError as exc:
        raise CorruptFileError(corrupt_message(path, f"it {exc.strerror}", refill)) from exc
    except PermissionError as exc:
        message = f"{path} may not be read by this user. Make it readable, or name another cache with --cache"
        raise CacheError(message) from exc
    except MemoryError as exc:
        message = f"there is not enough memory to read {path}. The file itself may be sound. Free memory and run again"
        raise CacheError(message) from exc
    except OSError as exc:
        message = (
            f"could not read {path}: {exc.strerror or exc}. The file itself may be sound. "
            "Check its permissions, its disk or its network, and run again"
        )
        raise CacheError(message) from exc
    except Malformed as exc:
        raise CorruptFileError(corrupt_message(path, str(exc), refill)) from exc


def corrupt_message(path: Place, found: str, refill: str = _REFILL) -> str:
    """Return the error text for a damaged file: what, where, and the next steps, of which `refill` is the last."""
    return (
        f"{path} is not a sound cache file: {found}. Nothing was read from it. "
        f"Run `stackbone verify --repair` to set it aside, then {refill}"
    )


def newer_message(path: Place, found: str) -> str:
    """Return the error text for a file of a version that is not known yet."""
    return (
        f"{path} was written by a newer Stackbone: {found}. "
        "Upgrade with `pip install -U stackbone`, or name another cache with --cache"
    )
