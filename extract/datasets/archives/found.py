"""Which archives a dataset consists of: one, a list of them, or those in a folder that holds no image beside them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache.remote.url import is_url
from stackbone.cache.splits import is_container_name, role_of
from stackbone.cache.text import counted
from stackbone.extract.containers.place import kind_of
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.folders.pruning import is_system_file
from stackbone.extract.datasets.folders.walking import files_below
from stackbone.extract.datasets.kind import Request

_KINDS = {"tar", "compressed tar", "zip"}
_SHARD = re.compile(
    r"(?P<prefix>.*?)(?P<mark>[-_.]?)(?:(?P<number>[0-9]{3,})|(?P<part>[0-9]+)[-_]of[-_][0-9]+)", re.ASCII
)
_NO_CLASSES = {"shard", "shards", "part", "parts", "chunk", "batch", "archive", "volume", "vol"}
_FIRST_NUMBERS = 10  # below which the numbers of shards begin, where some are missing


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
    note
        Whether numbers in their names were taken for those of shards, in a sentence; ``""`` where none has a number.
    beside
        Other files in the folder, which are not taken; relative to `root`.
    """

    title: str
    root: Path
    paths: Sequence[str]
    folders: Sequence[str]
    note: str = ""
    beside: Sequence[str] = ()


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
        return archives_at(root, f"{root.name}-list", paths)
    if os.path.isdir(path):
        files = files_below(path, request.exclude, lambda name: not is_system_file(name))
        paths = [file for file in files if is_archive(file)]
        beside = [file for file in files if not is_archive(file)]
        return archives_at(path, path.name, paths, beside) if paths else None
    if not is_archive(path.name) or not path.is_file():
        return None
    return Archives(_stem(path.name), path.parent, [path.name], [""])


def archives_at(root: Path, title: str, paths: Sequence[str], beside: Sequence[str] = ()) -> Archives:
    """Return archives whose paths in a folder are known, with the folders that they stand for."""
    folders, note = _folders(sorted(paths))
    return Archives(title, root, sorted(paths), folders, note, sorted(beside))


def _stem(name: str) -> str:
    kind = kind_of(name)
    endings = kind.extensions if kind else ()
    return next((name[: -len(each)] for each in endings if name.lower().endswith(each)), name) or name


def _folders(paths: Sequence[str]) -> tuple[list[str], str]:
    """Return the folder that each archive stands for, and what to say of numbers in their names.

    ``train-000000.tar`` and ``cats/000001.tar`` are shards, and say no more than ``train`` and ``cats``; the name of
    ``dogs.zip`` is that of a folder, and so are ``n01440764.tar`` and ``class001.zip``.
    """
    parts = [_parts(path) for path in paths]
    numbers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for above, _, found in parts:
        if found is not None:
            numbers[above, found["prefix"]].append(found["number"] or found["part"])
    shards = {group for group, own in numbers.items() if _are_counted(own)}
    split = [
        (above, found["prefix"], True)
        if found is not None and (above, found["prefix"]) in shards and _is_marked(found)
        else (above, stem, False)
        for above, stem, found in parts
    ]
    said = {prefix for _, prefix, is_shard in split if is_shard}
    is_one = len(said) == 1 and not role_of(next(iter(said)))
    folders = ["/".join(filter(None, (above, "" if is_shard and is_one else name))) for above, name, is_shard in split]
    return folders, _note(paths, parts, [is_shard for *_, is_shard in split])


def _parts(path: str) -> tuple[str, str, re.Match[str] | None]:
    """Return the folder of an archive, its name without the extension, and that with a number, if it ends in one."""
    above, _, name = path.rpartition("/")
    stem = _stem(name)
    return ("" if os.path.isabs(path) else above), stem, _SHARD.fullmatch(stem)


def _is_marked(found: re.Match[str]) -> bool:
    """Return whether a number stands by itself: joined to a word it is a part of a class's name, as in ``class001``."""
    prefix = found["prefix"].casefold()
    is_apart = not prefix or found["mark"] or found["part"]
    return bool(is_apart or prefix in _NO_CLASSES or role_of(prefix) or is_container_name(prefix))


def _are_counted(numbers: Sequence[str]) -> bool:
    """Return whether numbers are those of shards: one after another, or of one width from the first ones on."""
    values = {int(number) for number in numbers}
    is_gapless = max(values) - min(values) + 1 == len(values)
    return is_gapless or (len({len(number) for number in numbers}) == 1 and min(values) < _FIRST_NUMBERS)


def _note(paths: Sequence[str], parts: Sequence[tuple[str, str, re.Match[str] | None]], shards: Sequence[bool]) -> str:
    numbered = [(path, is_shard) for path, (*_, found), is_shard in zip(paths, parts, shards, strict=True) if found]
    taken = [path for path, is_shard in numbered if is_shard]
    left = [path for path, is_shard in numbered if not is_shard]
    said = []
    if taken:
        said.append(
            f"The numbers in the names of {counted(len(taken), 'archive')}, such as {taken[0]!r}, are taken for those "
            "of shards, and say no class. If they are classes, put each archive into a folder of the class's name."
        )
    if left:
        said.append(
            f"The names of {counted(len(left), 'archive')}, such as {left[0]!r}, are taken for those of folders, and "
            "their numbers for no shards'. If they are shards, number them 'shard-000000' and so on."
        )
    return " ".join(said)
