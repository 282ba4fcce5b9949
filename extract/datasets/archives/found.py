"""Which archives a dataset consists of: one, a list of them, or those in a folder that holds no image beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache.remote.url import is_url
from stackbone.cache.splits import role_of
from stackbone.extract.containers.place import kind_of
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.folders.walking import files_below
from stackbone.extract.datasets.kind import Request

_KINDS = {"tar", "compressed tar", "zip"}
_SHARD = re.compile(r"(?P<prefix>.*?)[-_.]?(?:[0-9]{3,}|[0-9]+[-_]of[-_][0-9]+)")


@dataclass(frozen=True)
class Archives:
    """The archives of a dataset.

    Attributes
    ----------
    title
        What the dataset is called unless the user gives it a name.
    root
        Absolute folder that `paths` are relative to.
    paths
        Of the archives, posix-style, relative to `root` or absolute, sorted.
    folders
        Of each archive, the folder that it stands for: that in which it lies, and what its name says beyond a shard's
        number. ``""`` of an archive that is named by itself.
    """

    title: str
    root: Path
    paths: Sequence[str]
    folders: Sequence[str]


def is_archive(name: str) -> bool:
    """Return whether a file's name has the extension of an archive that is read here."""
    kind = kind_of(name)
    return kind is not None and kind.name in _KINDS


def find_archives(request: Request) -> Archives | None:
    """Return the archives that a request names; None if it names something else, or images lie beside them."""
    if request.images is not None or not request.paths or request.labels is not None or is_url(request.paths[0]):
        return None
    path = request.path
    if path is None:
        if not all(map(is_archive, request.paths)):
            return None
        root = Path(os.path.commonpath([os.path.dirname(each) for each in request.paths]))
        anchor = Anchor(root)
        paths = sorted({anchor.relative(each) for each in request.paths})
        return Archives(f"{root.name}-list", root, paths, _folders(paths))
    if os.path.isdir(path):
        paths = files_below(path, request.exclude, is_archive)
        return Archives(path.name, path, paths, _folders(paths)) if paths else None
    if not is_archive(path.name) or not path.is_file():
        return None
    return Archives(_stem(path.name), path.parent, [path.name], [""])


def archives_at(root: Path, title: str, paths: Sequence[str]) -> Archives:
    """Return archives whose paths in a folder are known, with the folders that they stand for."""
    return Archives(title, root, sorted(paths), _folders(sorted(paths)))


def _stem(name: str) -> str:
    kind = kind_of(name)
    endings = kind.extensions if kind else ()
    return next((name[: -len(each)] for each in endings if name.lower().endswith(each)), name) or name


def _folders(paths: Sequence[str]) -> list[str]:
    """Return the folder that each archive stands for.

    ``train-000000.tar`` and ``cats/000001.tar`` are shards, and say no more than ``train`` and ``cats``; the name of
    ``dogs.zip`` is that of a folder.
    """
    split = [_split(path) for path in paths]
    said = {prefix for _, prefix, is_shard in split if is_shard}
    is_one = len(said) == 1 and not role_of(next(iter(said)))
    return ["/".join(filter(None, (above, "" if is_shard and is_one else name))) for above, name, is_shard in split]


def _split(path: str) -> tuple[str, str, bool]:
    """Return the folder of an archive, what its name says, and whether it is one of several shards by that."""
    above, _, name = path.rpartition("/")
    stem = _stem(name)
    shard = _SHARD.fullmatch(stem)
    return ("" if os.path.isabs(path) else above), (shard["prefix"] if shard else stem), shard is not None
