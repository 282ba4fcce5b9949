"""Files that show the same picture: byte for byte, or alike to every plain backbone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import as_keys
from stackbone.stack.audit.audited import Audited
from stackbone.stack.folds.groups import ROUNDING, SAME_PICTURE
from stackbone.stack.models.unlike.novelty import unit_rows

Related = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""``(n, 1)`` and ``(m,)`` rows of the index to ``(n, m)``: which pairs of them are meant."""

_TILE_PAIRS = 1 << 22
"""Pairs that are compared at a time: of a picture that is there 100,000 times all pairs would fill the memory."""


@dataclass(frozen=True)
class Copy:
    """Two files that show one picture.

    Attributes
    ----------
    row, other : int
        Rows of the index, the later one first.
    cosine : float
        The least over plain backbones; 1 of the same bytes.
    is_exact : bool
        Whether their bytes are the same.
    """

    row: int
    other: int
    cosine: float
    is_exact: bool

    @property
    def words(self) -> str:
        """How alike they are."""
        if self.is_exact:
            return "byte for byte"
        return f"cosine {int(self.cosine * 1000) / 1000:.3f} or more in every plain backbone"  # rounded down: or more


def codes_of(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each name, alike for like names; -1 for none."""
    numbers = {name: code for code, name in enumerate(dict.fromkeys(filter(None, names)))}
    return np.array([numbers.get(name, -1) for name in names], np.int64)


def differ(codes: NDArray[np.int64], rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each row beside each other whether both have a code, and not the same."""
    own, theirs = codes[rows], codes[others]
    found: NDArray[np.bool_] = (own != theirs) & (own >= 0) & (theirs >= 0)
    return found


def closest_copies(audited: Audited, related: Related) -> list[Copy]:
    """Return for each file the closest one that shows the same picture and is related to it; each pair once."""
    found: dict[tuple[int, int], Copy] = {}
    for rows, images, blocks in _groups(audited):
        step = max(1, _TILE_PAIRS // len(rows))
        for start in range(0, len(rows), step):
            own = slice(start, start + step)
            is_exact = images[own, None] == images
            cosines = is_exact.astype(np.float32)
            if blocks:
                alike = np.min([x[own] @ x.T for x in blocks], axis=0)
                cosines = np.where(is_exact, np.float32(1), alike)
            meant = related(rows[own, None], rows) & (cosines >= SAME_PICTURE - ROUNDING) & (rows[own, None] != rows)
            closest = np.where(meant, cosines + is_exact, -np.inf).argmax(axis=1)  # equal bytes before all else
            for place in np.flatnonzero(meant.any(axis=1)):
                row, other = int(rows[start + place]), int(rows[closest[place]])
                cosine, exact = float(cosines[place, closest[place]]), bool(is_exact[place, closest[place]])
                pair = max(row, other), min(row, other)
                found[pair] = Copy(*pair, min(1.0, cosine), exact)
    return list(found.values())


def _groups(
    audited: Audited,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.float32]]]]:
    """Yield the ``(n,)`` rows of files that may show one picture, which image each is, and ``(n, dim)`` unit features.

    There are no features where the bytes of all are the same.
    """
    index = audited.index
    sound = np.flatnonzero(index.ok)
    _, image = np.unique(as_keys(index.image_sha256[sound]), return_inverse=True)
    place_of = np.empty(len(audited.rows), np.int64)
    place_of[image[np.searchsorted(sound, audited.rows)]] = np.arange(len(audited.rows))
    near = audited.near if audited.compares else np.full(len(audited.rows), -1)
    group = near[place_of[image]]
    members: dict[tuple[bool, int], list[int]] = defaultdict(list)
    for place, each in enumerate(group.tolist()):
        members[each >= 0, each if each >= 0 else int(image[place])].append(place)
    for (are_near, _), own in members.items():
        if len(own) < 2:
            continue
        images = image[own]
        blocks = [unit_rows(x[place_of[images]]) for x in audited.blocks.values()] if are_near else []
        yield sound[own], images, blocks
