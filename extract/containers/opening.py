"""The bytes of a file or of a container, wherever it lies."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import Malformed
from stackbone.cache.remote.reading import open_remote
from stackbone.cache.remote.url import is_url
from stackbone.extract.containers.container import Container
from stackbone.extract.containers.place import kind_of

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
    except BaseException:
        stream.close()
        raise
