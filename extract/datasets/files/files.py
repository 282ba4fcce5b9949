"""What those who read annotations ask of the files of a dataset, wherever these lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self


class Names(NamedTuple):
    """Names in a folder, sorted, none of them hidden: of files that are wanted, and of folders."""

    files: list[str]
    folders: list[str]


class Files(Protocol):
    """The files below one folder; paths are posix-style and relative to it, ``""`` and ``.`` being itself.

    Where a server behind them cannot be asked, or refuses, those methods that read bytes raise `RemoteError`.
    """

    @property
    def title(self) -> str:
        """What a dataset of these files is called unless the user gives it a name."""
        ...

    @property
    def root(self) -> Path:
        """What the paths of a listing are relative to."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether a file that is not among these is none: not so where a damaged archive was cut."""
        ...

    def listed(self, path: str) -> str:
        """Return the path of a file as a listing has it."""
        ...

    def place(self, path: str = "") -> Path:
        """Return where a file or folder lies, as messages name it."""
        ...

    def below(self, folder: str) -> Self:
        """Return the files below a folder of these."""
        ...

    def in_wrappers(self) -> Iterator[Self]:
        """Yield these, those below the only folder if no images lie beside that, those below the only one in it, ..."""
        ...

    def names(self, folder: str, is_wanted: Callable[[str], bool]) -> Names:
        """Return the names directly in a folder; `OSError` if it cannot be listed."""
        ...

    def images(self, folder: str) -> list[str]:
        """Return the paths of all images in a folder and below it, relative to that folder, sorted."""
        ...

    def is_file(self, path: str) -> bool:
        """Return whether there is a file."""
        ...

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder."""
        ...

    def exists(self, path: str) -> bool:
        """Return whether there is anything, were it a link that leads nowhere."""
        ...

    def relative(self, path: str) -> str | None:
        """Return an absolute path of this machine relative to the folder; None where it leads elsewhere."""
        ...

    def open(self, path: str, most: int) -> BinaryIO:
        """Open a file to be read from its start; `OSError` if that fails, or it has more bytes than `most`."""
        ...

    def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield files in the order given, with their first bytes and the last ones, `size` of each, or why not."""
        ...

    def contents(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield files in the order given, with all their bytes, or why there are none: more than `most`, perhaps."""
        ...


def ends_of(stream: BinaryIO, size: int) -> bytes:
    """Return the first bytes of a stream, which is at its start, and the last ones, `size` of each."""
    start = stream.read(size)
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - size))
    return start + stream.read(size)


def names_in(files: Files, folder: str, is_wanted: Callable[[str], bool]) -> Names:
    """Return the names directly in a folder; none where it cannot be listed."""
    try:
        return files.names(folder, is_wanted)
    except OSError:
        return Names([], [])


def content_of(files: Files, path: str, most: int) -> bytes:
    """Return all bytes of a file; `OSError` if it cannot be read, or has more than `most`."""
    [(_, found)] = files.contents([path], most)
    if isinstance(found, OSError):
        raise found
    return found
