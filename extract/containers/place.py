"""Which part of an image's path names a container, and which the member in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache

from stackbone.cache.disk.reading import place_in
from stackbone.extract.containers.container import CONTAINERS, ContainerKind

_SLASHES_BEFORE_PATH = 2  # of a URL, whose server may be called as a container is


@cache
def _kinds() -> dict[str, ContainerKind]:
    """Return the kinds by extension, the longest first: ``.tar.gz`` is asked before ``.gz``."""
    found = {extension: kind for kind in CONTAINERS.values() for extension in kind.extensions}
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def kind_of(name: str) -> ContainerKind | None:
    """Return the kind of container that a file's name has the extension of, in any case of letters."""
    name = name.lower()
    return next((kind for extension, kind in _kinds().items() if name.endswith(extension)), None)


def container_extensions() -> tuple[str, ...]:
    """Return the extensions of all containers, in lower case with their dots."""
    return tuple(_kinds())


def split_place(root: str, path: str) -> tuple[str, str] | None:
    """Return the place of the container that an image lies in, and the image's name in it; None for a plain file.

    Parameters
    ----------
    root, path
        Of the dataset, and of the image relative to it, or absolute. A folder may have a container's extension; it is
        a folder.
    """
    for end in _ends(path):
        place = place_in(root, path[:end])
        if os.path.isfile(place) if "://" not in place else place.count("/") > _SLASHES_BEFORE_PATH:
            return place, path[end + 1 :]
    return None


def _ends(path: str) -> Iterator[int]:
    """Yield where those parts of a path end that have a container's extension and more behind them."""
    for found in _pattern().finditer(path.lower()):
        yield found.end()


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(f"(?:{'|'.join(map(re.escape, container_extensions()))})(?=/)")
