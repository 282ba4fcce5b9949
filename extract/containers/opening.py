"""The bytes of a file or of a container, wherever it lies."""

from __future__ import annotations

import io
from contextlib import closing, suppress
from typing import BinaryIO, cast

from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import Malformed
from stackbone.cache.remote.reading import open_remote
from stackbone.cache.remote.url import is_url
from stackbone.extract.containers.container import Container, ContainerKind
from stackbone.extract.containers.place import kind_of

_LOOKED_AT = 1024
_IF_TAR = "give it the extension {} if it is a tar"
_TARS = ("tar", "compressed tar")  # read by what they are, whichever of their extensions they have
_BEGINS = (  # bytes, what they begin, and the kinds of which that is what was expected
    (b"PK\x03\x04", "a zip archive: give it the extension .zip", ("zip",)),
    (b"\x1f\x8b", f"compressed by gzip: {_IF_TAR.format('.tar.gz')}", _TARS),
    (b"BZh", f"compressed by bzip2: {_IF_TAR.format('.tar.bz2')}", _TARS),
    (b"\xfd7zXZ", f"compressed by xz: {_IF_TAR.format('.tar.xz')}", _TARS),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it by `zstd -d`", ()),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it", ()),
    (b"Rar!", "a rar archive: unpack it", ()),
    (b"version https://git-lfs", "the pointer that Git LFS keeps of it: run `git lfs pull`", ()),
)
_TAR_AT, _TAR = 257, (b"ustar", "a tar archive: give it the extension .tar", _TARS)
_BUFFER_BYTES = 16 << 10  # more would be read in vain at each header, of which images of 100 kB and more have one each


def open_source(place: str) -> BinaryIO:
    """Open a regular file, or one behind a URL, for reading and seeking.

    Raises
    ------
    OSError
        As of `open_regular` and `open_remote`.
    """
    if is_url(place):
        return open_remote(place)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, open_regular(place)), _BUFFER_BYTES))


def open_container(place: str) -> Container:
    """Open a container; close it after use.

    Raises
    ------
    OSError
        If the file cannot be opened.
    Malformed
        If it is not what its extension says.
    """
    kind = kind_of(place)
    if kind is None:
        message = f"{place!r} has no container's extension"
        raise Malformed(message)
    stream = open_source(place)
    try:
        return kind.open(stream, place)
    except Malformed as exc:
        with closing(stream):
            message = f"{exc}{_what_it_is(stream, kind)}"
        raise Malformed(message) from exc
    except BaseException:
        stream.close()
        raise


def _what_it_is(stream: BinaryIO, kind: ContainerKind) -> str:
    """Return what a file begins as that is not what its extension says, after what is wrong with it.

    Nothing is known, perhaps, or it does begin as its extension says: then it was cut, or is damaged.
    """
    with suppress(OSError, ValueError):  # it is gone, or was closed
        stream.seek(0)
        start = stream.read(_LOOKED_AT)
        if start.lstrip()[:1] == b"<" and b"<html" in start.lower():
            return "; by its first bytes it is a web page, such as one to sign in"
        for at, (mark, what, expected) in ((_TAR_AT, _TAR), *((0, each) for each in _BEGINS)):
            if start.startswith(mark, at):
                return "" if kind.name in expected else f"; by its first bytes it is {what}"
    return ""
