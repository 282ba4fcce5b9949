"""The files below a folder behind a URL."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from stackbone.cache.disk.reading import MOST_IMAGE_BYTES
from stackbone.cache.errors import lost_server
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import side_by_side
from stackbone.cache.places.place import Place
from stackbone.extract.containers.opening import open_source
from stackbone.extract.datasets.files.files import ends_of, too_large
from stackbone.extract.datasets.files.listed import ListedFiles
from stackbone.extract.datasets.remote.root import remote_root


@dataclass(frozen=True)
class RemoteFiles(ListedFiles):
    """See `Files`.

    Attributes
    ----------
    url
        Of the folder that was listed.
    """

    url: str = ""

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.root.name

    @property
    def root(self) -> Path:
        """The folder as what stands for a `Path`."""
        return self.place()

    def listed(self, path: str) -> str:
        """Return the path as it is."""
        return path

    def place(self, path: str = "") -> Path:
        """Return the URL of a file or folder, as a `Path`."""
        whole = self._whole(path)
        return remote_root(self.url) / whole if whole else remote_root(self.url)

    def streams(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, BinaryIO | OSError]]:
        """Yield files, to be read by range."""
        for path in paths:
            try:
                stream = open_source(os.fspath(self.place(path)))
                size = stream.seek(0, os.SEEK_END)
                stream.seek(0)
            except OSError as exc:
                if lost_server(exc):
                    raise
                yield path, exc
                continue
            with stream:
                yield path, stream if size <= most else too_large(size, most)

    def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the first and the last bytes of files, read by range."""
        for path, found in self.streams(paths, MOST_IMAGE_BYTES):
            try:
                yield path, found if isinstance(found, OSError) else ends_of(found, size)
            except OSError as exc:
                if lost_server(exc):
                    raise
                yield path, exc

    def contents(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the bytes of files, a request for each, several at once."""

        def get(place: Place) -> bytes | OSError:
            try:
                content = cast(ObjectPath, place).read(0, most + 1)
            except OSError as exc:
                if lost_server(exc):
                    raise
                return exc
            limit = f"has more bytes than the limit of {most:,}"
            return content if len(content) <= most else OSError(errno.EFBIG, limit)

        places = [cast(ObjectPath, self.place(path)) for path in paths]
        for path, (_, found) in zip(paths, side_by_side(places, get), strict=True):
            yield path, found
