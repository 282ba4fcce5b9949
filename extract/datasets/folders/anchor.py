"""Paths as people write them, and the files that they mean."""

from __future__ import annotations

import os
from pathlib import Path


class Anchor:
    """Turns paths as people write them into posix-style paths relative to one absolute folder."""

    def __init__(self, root: Path) -> None:
        self._folder = root.as_posix().rstrip("/") + "/"
        self._real: dict[str, str] = {}

    def relative(self, path: str) -> str:
        """Return `path` relative to the folder, or absolute where it lies outside."""
        path = path.replace(os.sep, "/")
        if "://" in path or "://" in self._folder:
            return path.removeprefix(self._folder)
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
