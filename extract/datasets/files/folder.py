"""The files below a folder of this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Self

from stackbone.cache.disk.reading import open_regular, read_regular
from stackbone.extract.datasets.files.files import Names, ends_of, too_large
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.folders.walking import folders_in_wrappers, is_folder, walk


@dataclass(frozen=True)
class FolderFiles:
    """See `Files`.

    Attributes
    ----------
    root
        The folder.
    exclude
        See `Files`.
    """

    root: Path
    exclude: Exclusion = field(default_factory=Exclusion)

    @property
    def title(self) -> str:
        """The folder's name."""
        return self.root.name

    @property
    def is_whole(self) -> bool:
        """True: what is not there is not."""
        return True

    def listed(self, path: str) -> str:
        """Return the path as it is."""
        return path

    def place(self, path: str = "") -> Path:
        """Return where it lies."""
        return self.root / path

    def below(self, folder: str) -> Self:
        """Return the files below a folder."""
        return replace(self, root=self.root / folder)

    def in_wrappers(self) -> Iterator[Self]:
        """Yield these, and those in folders that merely wrap others."""
        yield from (replace(self, root=folder) for folder in folders_in_wrappers(self.root))

    def names(self, folder: str, is_wanted: Callable[[str], bool]) -> Names:
        """Return the names directly in a folder."""
        names = Names([], [])
        with os.scandir(self.root / folder) as entries:
            for each in entries:
                if each.name.startswith("."):
                    continue
                if is_folder(each):
                    names.folders.append(each.name)
                elif is_wanted(each.name):
                    names.files.append(each.name)
        return Names(sorted(names.files), sorted(names.folders))

    def images(self, folder: str) -> list[str]:
        """Return the images below a folder; `DatasetError` if it cannot be listed."""
        return walk(self.root / folder, Exclusion()).images

    def is_file(self, path: str) -> bool:
        """Return whether there is a file, at the end of a link perhaps."""
        return os.path.isfile(os.path.join(self.root, path))

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder, at the end of a link perhaps."""
        return os.path.isdir(self.root / path)

    def exists(self, path: str) -> bool:
        """Return whether there is anything."""
        return os.path.lexists(self.root / path)

    def relative(self, path: str) -> str | None:
        """Return an absolute path relative to the folder, with ``..`` where it leads out of it."""
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:  # another drive of Windows, or a name that no file can have
            return None

    def streams(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, BinaryIO | OSError]]:
        """Yield regular files."""
        for path in paths:
            try:
                stream = open_regular(self.root / path)
            except OSError as exc:
                yield path, exc
                continue
            with stream:
                size = os.fstat(stream.fileno()).st_size
                yield path, stream if size <= most else too_large(size, most)

    def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the first and the last bytes of regular files."""
        for path in paths:
            try:
                with open_regular(self.root / path) as stream:
                    yield path, ends_of(stream, size)
            except OSError as exc:
                yield path, exc

    def contents(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the bytes of regular files."""
        for path in paths:
            try:
                yield path, bytes(read_regular(self.root / path, most))
            except OSError as exc:
                yield path, exc
            except ValueError as exc:  # a name that no file can have
                yield path, OSError(errno.EINVAL, str(exc))
