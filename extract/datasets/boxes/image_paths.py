"""Paths of images as annotations name them: relative to some folder of the dataset, and never out of it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable

from stackbone.extract.datasets.files.files import Files

MOST_LISTED_BYTES = 256 << 20
"""Of a list of images or of their names, a line each."""

_DRIVE = re.compile(r"[A-Za-z]:")


def inside(*parts: str) -> str | None:
    """Return a path below the dataset's folder, posix-style, that parts of it make up; None if they lead out of it.

    Annotations made on Windows separate folders by backslashes.
    """
    joined = "/".join(part.replace("\\", "/") for part in parts if part not in ("", "."))
    if joined.startswith("/") or _DRIVE.match(joined) or "\0" in joined:
        return None
    if any(part.startswith(("/", "\\")) or _DRIVE.match(part) for part in parts):
        return None
    path = posixpath.normpath(joined)
    return None if path == ".." or path.startswith("../") else path


def within(files: Files, path: str) -> str | None:
    """Return a path relative to the dataset's folder, of one that may be absolute; None if it leads elsewhere."""
    if not os.path.isabs(path):
        return inside(path)
    relative = files.relative(path)
    return None if relative is None else inside(relative)


def find_image(files: Files, folders: Iterable[str], name: str) -> str | None:
    """Return the path of an image in the first of some folders of a dataset that has it; None where none has."""
    for folder in folders:
        path = inside(folder, name)
        if path is not None and files.is_file(path):
            return path
    return None
