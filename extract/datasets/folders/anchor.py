"""Paths as people write them, and the files that they mean."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path


class Anchor:
    """Turns paths as people write them into posix-style paths relative to one absolute folder."""

    def __init__(self, root: Path) -> None:
        self._folder = root.as_posix().rstrip("/") + "/"
        self._real: dict[str, str] = {}

    def relative(self, path: str) -> str:
        """Return `path` relative to the folder, or absolute where it lies outside."""
        path = path.replace(os.sep, "/")
        # Nearly every path of a large table is already as it should be.
        if not os.path.isabs(path) and "./" not in path and "//" not in path:
            return path
        full = self._folder + path if not os.path.isabs(path) else path
        if "/../" in full:
            # Behind a link, `..` is not the folder written before it: only the file system knows.
            folder, _, name = full.rpartition("/")
            full = f"{self._resolve(folder)}/{name}"
        full = os.path.normpath(full).replace(os.sep, "/")
        for prefix in (self._folder, self._resolve(self._folder) + "/"):
            if full.startswith(prefix):
                return full[len(prefix) :]
        return full

    def _resolve(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder).replace(os.sep, "/").rstrip("/")
        return self._real[folder]


class DiskNames:
    """Finds files whose names are written in another Unicode form than on disk.

    macOS writes an accent as a sign of its own (NFD), most others write the letter with its accent (NFC); an archive or
    a table from one names no file on the other.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> str:
        """Return a path as it is on disk, if only the form of its letters differs; else as it was given."""
        if path.isascii() or os.path.lexists(os.path.join(self._root, path)):
            return path
        found = "/" if path.startswith("/") else ""
        for part in path.strip("/").split("/"):
            name = part
            if not part.isascii() and not os.path.lexists(os.path.join(self._root, found, part)):
                name = self._names_in(found).get(unicodedata.normalize("NFC", part), "")
            if not name:
                return path
            found = os.path.join(found, name)
        return found

    def _names_in(self, folder: str) -> dict[str, str]:
        if folder not in self._names:
            try:
                names = sorted(os.listdir(os.path.join(self._root, folder)))
            except OSError:
                names = []
            self._names[folder] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._names[folder]
