"""Patterns of shards as shells and WebDataset write them: ``shards/{000000..000999}.tar``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.remote.url import is_url, shown
from stackbone.cache.text import counted

MOST_FILES = 1_000_000
_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")


def expanded(paths: Sequence[str]) -> list[str]:
    """Return paths with what each pattern stands for in its place; one that is the name of a file is no pattern.

    Raises
    ------
    UsageError
        If a range runs backwards, or there are more than a million.
    DatasetError
        If there is no file at some of them.
    """
    return [
        path
        for each in paths
        for path in (_expanded(each) if _RANGE.search(each) and not os.path.lexists(each) else [each])
    ]


def _expanded(pattern: str) -> list[str]:
    """Return the paths that a pattern stands for, in their order; numbers have the width of the first one."""
    n = 1
    for first, last in _RANGE.findall(pattern):
        n *= int(last) - int(first) + 1
        if int(last) < int(first) or n > MOST_FILES:
            found = "runs backwards" if int(last) < int(first) else f"stands for more than {MOST_FILES:,} files"
            message = f"{shown(pattern)!r} {found}. Expected a range such as {{000000..000999}}. Correct the range."
            raise UsageError(message)
    paths = list(_numbered(pattern))
    if missing := [path for path in paths if not is_url(path) and not os.path.lexists(path)]:
        raise DatasetError(_missing(pattern, paths, missing))
    return paths


def _numbered(pattern: str) -> Iterator[str]:
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _numbered(f"{pattern[: found.start()]}{number:0{len(first)}d}{pattern[found.end() :]}")


def _missing(pattern: str, paths: Sequence[str], missing: Sequence[str]) -> str:
    there = f"{counted(len(missing), 'file')} of {len(paths):,} that {shown(pattern)!r} names {_are(missing)} not there"
    near = Path(missing[0]).parent
    where = f"{str(near)!r} is there" if near.is_dir() else f"there is no folder {str(near)!r}"
    return (
        f"{there}: the first is {missing[0]!r}, and {where}. Expected all of them. Correct the range, or name the "
        "folder to take the archives in it."
    )


def _are(missing: Sequence[str]) -> str:
    return "is" if len(missing) == 1 else "are"
