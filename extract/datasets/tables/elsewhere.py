"""Files that are not where a table says, known by their names and by what is left of their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
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
        self._root = root
        self._anchor = Anchor(root)
        self._wanted = {alike(_name(path)) for path in lost} - {""}
        self._files: dict[str, list[str]] = {}
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
        written = plain_path(path)
        parts = [alike(part) for part in written.split("/") if part not in ("", ".", "..")]
        is_foreign = os.path.isabs(written) and not os.path.isdir(os.path.dirname(written))
        best: dict[int, list[str]] = {}
        for at in self._files.get(alike(_name(path)), ()):
            folders = [alike(part) for part in os.path.join(self._root, at).split("/")[:-1]]
            n_same = _same_end(parts[:-1], folders)
            if is_foreign or n_same or _is_within(parts[:-1], folders):
                best.setdefault(n_same, []).append(at)
        fits = best[max(best)] if best else []
        label, split, _ = marks
        if split in SPLITS:
            fits = [at for at in fits if not _splits_of(at) - {split}]
        if len(fits) > 1 and label:
            fits = [at for at in fits if alike(label) in map(alike, at.split("/")[:-1])] or fits
        if len(fits) > 1:
            self.ambiguous[path] = sorted(fits)
        return fits[0] if len(fits) == 1 else None

    def _look_through(self, folder: Path) -> None:
        entries = walk(str(folder))
        for below, name in islice(entries, MOST_ENTRIES):
            if name.endswith("/"):
                continue
            stem, dot, _ = name.rpartition(".")
            for known in {alike(name), alike(stem) if dot and is_image_name(name) else ""} & self._wanted:
                place = f"{below}{name}"
                at = place if folder == self._root else self._anchor.relative(str(folder / place))
                self._files.setdefault(known, []).append(at)
        self.is_bounded |= next(entries, None) is not None


def _name(path: str) -> str:
    return plain_path(path).rpartition("/")[2]


def _same_end(parts: list[str], folders: list[str]) -> int:
    """Return how many folders two paths have in common, from the last one up."""
    n = 0
    while n < min(len(parts), len(folders)) and parts[-1 - n] == folders[-1 - n]:
        n += 1
    return n


def _is_within(parts: list[str], folders: list[str]) -> bool:
    """Return whether all parts are among some folders, in their order."""
    rest = iter(folders)
    return all(part in rest for part in parts)


def _splits_of(path: str) -> set[str]:
    return {canonical_split(part) for part in path.split("/")[:-1]} & set(SPLITS)
