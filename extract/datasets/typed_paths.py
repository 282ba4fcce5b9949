"""Paths as they are typed, made absolute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from stackbone.cache.places.place import place_of
from stackbone.cache.remote.url import is_url, protocol_of, refuse_password


def absolute_paths(named: Path | str | Sequence[Path | str]) -> list[str]:
    """Return absolute paths of one file or of several, see `absolute`; URLs stay, but for ``file://``.

    Raises
    ------
    UsageError
        If one is a URL that was made a `Path`, which drops one of its slashes, or that holds a password.
    """
    return [_absolute(path) for path in ([named] if isinstance(named, str | os.PathLike) else named)]


def _absolute(path: Path | str) -> str:
    if isinstance(path, str) and is_url(path) and protocol_of(path) not in ("file", "local"):
        refuse_password(path)
        return path.rstrip("/")
    place = cast(Path, place_of(path))
    return os.path.abspath(place) if ".." not in place.parts else str(absolute(place))


def absolute(path: Path | str) -> Path:
    """Return an absolute path; links are followed only where the path leads up.

    Resolving every link would name the dataset after the link's target instead of what was typed.
    """
    path = Path(path)
    return path.resolve() if ".." in path.parts else path.absolute()
