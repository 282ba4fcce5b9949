"""Files that were listed before any is asked for: of archives, and behind a URL."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from stackbone.extract.datasets.files.files import Names
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.pruning import Exclusion

Below = dict[str, Names]
"""Folder to the names in it, unsorted."""


_DEEPEST = 64  # folders above a file; no dataset has more, and each costs a text as long as the path


def by_folder(paths: Iterable[str]) -> Below:
    """Return the names in each folder that some paths name; paths that are absurdly deep are left out."""
    below: Below = {"": Names([], [])}
    for path in paths:
        folder, _, name = path.rpartition("/")
        inner, is_new = folder, folder not in below and path.count("/") <= _DEEPEST
        while is_new:
            below.setdefault(inner, Names([], []))
            above, _, own = inner.rpartition("/")
            is_new = above not in below
            below.setdefault(above, Names([], [])).folders.append(own)
            inner = above
        if folder in below:
            below[folder].files.append(name)
    return below


@dataclass(frozen=True)
class ListedFiles:
    """What `Files` promises as far as names tell it; where the bytes are, its kinds know.

    Attributes
    ----------
    names_in
        Of all that was listed.
    there
        The paths of all files.
    prefix
        Of the folder that these files are below, with a slash at its end; ``""`` of all.
    is_whole, exclude
        See `Files`.
    """

    names_in: Below
    there: Collection[str]
    prefix: str = ""
    is_whole: bool = True
    exclude: Exclusion = field(default_factory=Exclusion)

    def below(self, folder: str) -> Self:
        """Return the files below a folder."""
        return replace(self, prefix=f"{self._whole(folder)}/".lstrip("/"))

    def in_wrappers(self) -> Iterator[Self]:
        """Yield these, and those in folders that merely wrap others."""
        files = self
        while True:
            yield files
            images, folders = files.names("", is_image_name)
            if images or len(folders) != 1:
                return
            files = files.below(folders[0])

    def names(self, folder: str, is_wanted: Callable[[str], bool]) -> Names:
        """Return the names directly in a folder."""
        found = self.names_in.get(self._whole(folder))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "is not there")
        return Names(sorted(filter(is_wanted, found.files)), sorted(found.folders))

    def images(self, folder: str) -> list[str]:
        """Return the images below a folder."""
        start, found, pending = self._whole(folder), [], [""]
        while pending:
            inner = pending.pop()
            names = self.names_in.get(f"{start}/{inner}".strip("/"), Names([], []))
            prefix = f"{inner}/" if inner else ""
            found += [prefix + name for name in names.files if is_image_name(name)]
            pending += [prefix + name for name in names.folders]
        return sorted(found)

    def is_file(self, path: str) -> bool:
        """Return whether a file was listed."""
        return self.prefix + path in self.there

    def is_folder(self, path: str) -> bool:
        """Return whether anything was listed below."""
        return self._whole(path) in self.names_in

    def exists(self, path: str) -> bool:
        """Return whether there is either."""
        return self.is_file(path) or self.is_folder(path)

    def relative(self, path: str) -> str | None:
        """Return None: paths of this machine name none of these files."""
        return None

    def _whole(self, path: str) -> str:
        """Return a path as it was listed."""
        return self.prefix.rstrip("/") if path in ("", ".") else self.prefix + path
