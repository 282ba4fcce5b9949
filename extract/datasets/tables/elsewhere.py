"""Files that are not where a table says, known by their names and by what is left of their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path

from stackbone.cache.splits import SPLITS, canonical_split
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.tables.disk import alike, walk
from stackbone.extract.datasets.tables.written import plain_path

MOST_ENTRIES = 2_000_000
"""Files and folders below a root that are looked through, at most."""

_USUAL = ("images", "image", "imgs", "img", "photos", "pictures", "JPEGImages", "jpg")
_UNFIT = -1


class Elsewhere:
    """Files below a root, by the names of images that a table has lost.

    Where none of them is there, those are looked through that lie beside the root in a folder such as ``images``.

    Attributes
    ----------
    ambiguous
        Of lost paths that fit several files equally well, these files' paths.
    is_bounded
        Whether there is more below the root than was looked through.
    """

    def __init__(self, root: Path, lost: Iterable[str]) -> None:
        self.ambiguous: dict[str, list[str]] = {}
        self.is_bounded = False
        self._anchor = Anchor(root)
        self._root = root
        self._wanted = {alike(plain_path(path).rpartition("/")[2]) for path in lost} - {""}
        self._files: dict[str, list[tuple[str, str]]] = {}  # the folder below what was looked through, and the path
        self._fitness = cache(_fitness)  # a million files lie in some thousand folders
        self._parts = cache(_parts)
        if self._wanted:
            self._look_through(root)
            if not self._files:
                for usual in _USUAL:
                    self._look_through(root.parent / usual)

    def find(self, path: str, marks: tuple[str, str, str]) -> str | None:
        """Return the one file that a lost path can mean, relative to the root or absolute; None without just one.

        A file fits that has the path's name, or that and an extension, and lies in the last of the path's folders or in
        all of them, unless these are those of another machine. Of several, those are meant that share most folders with
        the path, that lie in no folder of another split than the image's, and in a folder of its label.
        """
        written, _, name = plain_path(path).rpartition("/")
        best: dict[int, list[tuple[str, str]]] = {}
        for folder, at in self._files.get(alike(name), ()):
            there = os.path.join(self._root, at).rpartition("/")[0]
            best.setdefault(self._fitness(written, there), []).append((folder, at))
        best.pop(_UNFIT, None)
        fits = best[max(best)] if best else []
        label, split, _ = marks
        if split in SPLITS:
            fits = [each for each in fits if not _splits_of(self._parts(each[0])) - {split}]
        if len(fits) > 1 and label:
            fits = [each for each in fits if alike(label) in self._parts(each[0])] or fits
        if len(fits) > 1:
            self.ambiguous[path] = sorted(at for _, at in fits)
        return fits[0][1] if len(fits) == 1 else None

    def _look_through(self, top: Path) -> None:
        # Whatever is not below the root is absolute.
        above = "" if top == self._root else f"{self._anchor.relative(str(top))}/"
        entries = walk(str(top))
        for folder, name in islice(entries, MOST_ENTRIES):
            if name.endswith("/"):
                continue
            known = alike(name)
            if known in self._wanted:
                self._files.setdefault(known, []).append((folder, f"{above}{folder}{name}"))
            stem, dot, _ = known.rpartition(".")
            if dot and stem in self._wanted and is_image_name(name):
                self._files.setdefault(stem, []).append((folder, f"{above}{folder}{name}"))
        self.is_bounded |= next(entries, None) is not None


def _fitness(written: str, folder: str) -> int:
    """Return how many folders a file's has in common with those written, from the last one up, or `_UNFIT`."""
    parts, there = _parts(written), _parts(folder)
    n = 0
    while n < min(len(parts), len(there)) and parts[-1 - n] == there[-1 - n]:
        n += 1
    rest = iter(there)
    is_within = all(part in rest for part in parts)  # in their order
    is_foreign = os.path.isabs(f"{written}/") and not os.path.isdir(f"{written}/")
    return n if n or is_within or is_foreign else _UNFIT


def _parts(folder: str) -> list[str]:
    return [alike(part) for part in folder.split("/") if part not in ("", ".", "..")]


def _splits_of(parts: list[str]) -> set[str]:
    return {canonical_split(part) for part in parts} & set(SPLITS)
