"""Paths as people and other systems write them into tables."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stackbone.cache.errors import DatasetError
from stackbone.cache.text import counted

_REMOTE = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://")
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")


def local_paths(file: Path, column: str, paths: list[str]) -> list[str]:
    """Return paths with those that are ``file://`` addresses as plain ones.

    Raises
    ------
    DatasetError
        If any is the address of something on another machine.
    """
    if not any("://" in path for path in paths):
        return paths
    local, remote = [], []
    for path in paths:
        scheme = _REMOTE.match(path)
        if scheme and scheme[1].lower() == "file":
            path = unquote(urlsplit(path.strip()).path)
        elif scheme:
            remote.append(path)
        local.append(path)
    if remote:
        msg = (
            f"The column {column!r} of {str(file)!r} holds {counted(len(remote), 'address', 'addresses')} such as "
            f"{remote[0].strip()[:80]!r}. Expected files on this machine: nothing is downloaded. Download the images, "
            "put their paths into a column of the table, and name it with --path-column."
        )
        raise DatasetError(msg)
    return local


def plain_path(path: str) -> str:
    r"""Return a path without white space around it, with ``/`` for ``\``, the home folder for ``~``, and no drive.

    ``C:\photos\a.jpg`` becomes ``/photos/a.jpg``.
    """
    path = path.strip().replace("\\", "/")
    return _DRIVE.sub("", os.path.expanduser(path) if path.startswith("~") else path, count=1)
