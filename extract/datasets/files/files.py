"""What those who read annotations ask of the files of a dataset, wherever these lie."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, Self

from stackbone.extract.datasets.folders.pruning import Exclusion


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
    def exclude(self) -> Exclusion:
        """What the user leaves out, by the paths of a listing: annotations are read all the same."""
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

    def streams(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, BinaryIO | OSError]]:
        """Yield files in the order given, each open until the next, or why not: it has more bytes than `most`, say."""
        ...

    def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield files in the order given, with their first bytes and the last ones, `size` of each, or why not."""
        ...

    def contents(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield files in the order given, with all their bytes, or why there are none: more than `most`, perhaps."""
        ...


class WithheldError(OSError):
    """An archive holds a file, which may be sound, and does not give it."""


def what_to_do(exc: OSError) -> str:
    """Return what to do about a file of annotations that could not be read."""
    if isinstance(exc, WithheldError):
        return "Unpack the archive, and the others if there are any, and name the folder."
    if exc.errno == errno.EFBIG:
        return "Mend it, or take it out of the dataset."
    if isinstance(exc, PermissionError):
        return "Give yourself permission to read it."
    return "Check it, or take it out of the dataset."


def too_large(size: int, most: int) -> OSError:
    """Return why a file of so many bytes is not read."""
    return OSError(errno.EFBIG, f"has {size:,} bytes, over the limit of {most:,}")


def is_excluded(files: Files, path: str) -> bool:
    """Return whether the user leaves an image out, by its path in a listing."""
    return bool(files.exclude) and files.exclude.covers_path(files.listed(path))


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
