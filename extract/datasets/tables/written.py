"""Paths as people and other systems write them into tables."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

_REMOTE = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)://")
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")


def plain_places(paths: list[str]) -> list[str]:
    """Return paths with those that are ``file://`` addresses as plain ones, and URLs without white space around."""
    if not any("://" in path for path in paths):
        return paths
    places = []
    for path in paths:
        if scheme := _REMOTE.match(path):
            path = path.strip()
            path = unquote(urlsplit(path).path) if scheme[1].lower() == "file" else path
        places.append(path)
    return places


def plain_path(path: str) -> str:
    r"""Return a path without white space around it, with ``/`` for ``\``, the home folder for ``~``, and no drive.

    ``C:\photos\a.jpg`` becomes ``/photos/a.jpg``.
    """
    path = path.strip().replace("\\", "/")
    return _DRIVE.sub("", os.path.expanduser(path) if path.startswith("~") else path, count=1)
