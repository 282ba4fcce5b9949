"""Which picture is meant by what was typed: a file, a path of the dataset, or a SHA-256."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stackbone.cache import as_keys, sha256_file
from stackbone.cache.choices import nearest
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import counted
from stackbone.stack.exploring.explored import Explored

_DIGITS = re.compile(r"[0-9a-fA-F]{8,64}")


@dataclass(frozen=True)
class Query:
    """A picture to look for.

    Attributes
    ----------
    text : str
        As it was given.
    file : ListedFile
        Where it lies, and the SHA-256 of its bytes.
    """

    text: str
    file: ListedFile


def resolve(texts: Sequence[str], explored: Explored) -> tuple[list[Query], dict[str, str]]:
    """Return the pictures that are meant, and of texts that mean none the reason.

    A file that is there goes before a path of the dataset, and that before a digest.
    """
    queries, failed = [], {}
    rows = {path: row for row, path in enumerate(explored.index.path)}
    for text in texts:
        found = _file(text) or _listed(text, rows, explored) or _digest(text, explored)
        if isinstance(found, Query):
            queries.append(found)
        else:
            failed[text] = found or _unknown(text, explored)
    return queries, failed


def _file(text: str) -> Query | str | None:
    try:
        path = Path(text)
        if path.is_dir():
            return "is a folder: name image files, such as those that your shell makes of FOLDER/*.jpg"
        if not path.is_file():
            return None
        whole = os.path.abspath(path)
        return Query(text, ListedFile(os.path.dirname(whole), os.path.basename(whole), sha256_file(path)))
    except OSError as exc:
        return f"could not be read: {exc.strerror or exc}"
    except ValueError:  # a name that no file can have
        return None


def _listed(text: str, rows: dict[str, int], explored: Explored) -> Query | str | None:
    if text not in rows:
        return None
    row, index = rows[text], explored.index
    if not index.ok[row]:
        return f"could not be read when the dataset was extracted: {index.reason[row]}"
    return Query(text, ListedFile(index.root, text, index.image_sha256[row].tobytes()))


def _digest(text: str, explored: Explored) -> Query | str | None:
    if not _DIGITS.fullmatch(text):
        return None
    whole = bytes.fromhex(text[: len(text) // 2 * 2])
    keys = as_keys(explored.digests)
    order = np.argsort(keys)
    first = int(np.searchsorted(keys, whole.ljust(32, b"\0"), sorter=order))
    last = int(np.searchsorted(keys, whole.ljust(32, b"\xff"), side="right", sorter=order))
    found = [int(i) for i in order[first:last] if explored.digests[i].tobytes().hex().startswith(text.lower())]
    if len(found) > 1:
        return f"{counted(len(found), 'image')} of the dataset have a SHA-256 that begins so: give more digits"
    if not found:
        return f"no image of the dataset {explored.index.name!r} has a SHA-256 that begins so"
    return Query(text, explored.file(found[0]))


def _unknown(text: str, explored: Explored) -> str:
    near = nearest(text, explored.paths[:20_000], cutoff=0.75)
    meant = f"; did you mean {near!r}?" if near else ""
    return (
        f"there is no such file, and the dataset {explored.index.name!r} has no such path or SHA-256{meant}"
        f"{'' if meant else '. Name an image file, or a path as `stackbone similar --csv FILE` lists them'}"
    )
