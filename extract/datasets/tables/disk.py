"""What lies on a disk, asked for a million paths at a price of one listing a folder."""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from collections.abc import Iterator

from stackbone.extract.containers.place import split_place
from stackbone.extract.datasets.folders.pruning import is_system_folder
from stackbone.extract.datasets.folders.walking import is_folder
from stackbone.extract.datasets.tables.encodings import mended


def alike(name: str) -> str:
    """Return what names have in common that some systems do not tell apart: Unicode form, case, and old encodings."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", mended(name)).casefold()


class Disk:
    """Files below a root folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folders: dict[str, str | None] = {"": ""}
        self._names: dict[str, frozenset[str]] = {}  # of the files in each folder
        self._alike: dict[str, dict[str, list[str]]] = {}

    def has(self, path: str) -> bool:
        """Return whether there is a file at a path, or a link, as it is written; nothing is listed for it.

        What lies in a container counts as there if the container is.
        """
        full = os.path.join(self.root, path)
        if os.path.lexists(full):
            return not os.path.isdir(full)
        return split_place(self.root, path) is not None

    def find(self, path: str) -> str | None:
        """Return the path of the one file that is at `path`, in whatever Unicode form and case; None if there is none.

        Parameters
        ----------
        path
            Posix-style, relative to the root or absolute.
        """
        if split_place(self.root, path) is not None:
            return path
        folder, slash, name = path.rpartition("/")
        at = self._folder(folder or slash)
        if at is None:
            return None
        names = self._list(at)
        if name not in names:
            if at not in self._alike:
                kinds: dict[str, list[str]] = {}
                for each in names:
                    kinds.setdefault(alike(each), []).append(each)
                self._alike[at] = kinds
            found = self._alike[at].get(alike(name), ())
            if len(found) != 1:
                return None
            name = found[0]
        return f"{at.rstrip('/')}/{name}" if at else name

    def _folder(self, folder: str) -> str | None:
        if folder not in self._folders:
            self._folders[folder] = self._search(folder)
        return self._folders[folder]

    def _search(self, folder: str) -> str | None:
        if os.path.isdir(os.path.join(self.root, folder)):
            return folder
        above, slash, name = folder.rstrip("/").rpartition("/")
        if not name:
            return None
        at = self._folder(above or slash)
        if at is None:
            return None
        try:
            found = [each for each in os.listdir(os.path.join(self.root, at)) if alike(each) == alike(name)]
        except OSError:
            return None
        there = [f"{at.rstrip('/')}/{each}" if at else each for each in found]
        there = [each for each in there if os.path.isdir(os.path.join(self.root, each))]
        return there[0] if len(there) == 1 else None

    def _list(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                with os.scandir(os.path.join(self.root, folder)) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries if not is_folder(entry))
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]


def walk(root: str) -> Iterator[tuple[str, str]]:
    """Yield folder (``''`` or ending in a slash) and name of what is below a root; a folder's name ends in one, too.

    What is hidden, and folders that systems make, are passed over; a folder that is met again through a link is not
    entered twice.
    """
    pending: deque[str] = deque([""])
    seen: set[tuple[int, int]] = set()
    while pending:
        folder = pending.popleft()
        place = os.path.join(root, folder)
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    slash = "/" if is_folder(entry) else ""
                    if slash and is_system_folder(entry.name):
                        continue
                    if slash:
                        pending.append(f"{folder}{entry.name}/")
                    yield folder, f"{entry.name}{slash}"
        except OSError:
            continue
