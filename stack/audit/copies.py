"""Files that show the same picture: byte for byte, or alike to every plain backbone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import as_keys
from stackbone.stack.audit.audited import Audited
from stackbone.stack.folds.groups import ROUNDING, SAME_PICTURE
from stackbone.stack.models.unlike.novelty import unit_rows

Related = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""``(n,)`` rows of the index to ``(n, n)``: which pairs of them are meant."""


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
        return "byte for byte" if self.is_exact else f"cosine {self.cosine:.3f} or more in every plain backbone"


def closest_copies(audited: Audited, related: Related) -> list[Copy]:
    """Return for each file the closest one that shows the same picture and is related to it; each pair once."""
    found: dict[tuple[int, int], Copy] = {}
    for rows, cosines, is_exact in _groups(audited):
        meant = related(rows) & (cosines >= SAME_PICTURE - ROUNDING)
        np.fill_diagonal(meant, val=False)
        closest = np.where(meant, cosines + is_exact, -np.inf)  # equal bytes before all else
        for place in np.flatnonzero(meant.any(axis=1)):
            other = int(closest[place].argmax())
            later, earlier = max(rows[place], rows[other]), min(rows[place], rows[other])
            pair = int(later), int(earlier)
            found[pair] = Copy(*pair, min(1.0, float(cosines[place, other])), bool(is_exact[place, other]))
    return list(found.values())


def _groups(audited: Audited) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield the rows of files that may show one picture, their cosines, and which have the same bytes."""
    index = audited.index
    sound = np.flatnonzero(index.ok)
    _, image = np.unique(as_keys(index.image_sha256[sound]), return_inverse=True)
    place_of = {int(each): place for place, each in enumerate(image[np.searchsorted(sound, audited.rows)])}
    near = audited.near if audited.compares else np.full(len(audited.rows), -1)
    members: dict[tuple[bool, int], list[int]] = defaultdict(list)
    for row, each in zip(sound.tolist(), image.tolist(), strict=True):
        group = int(near[place_of[each]])
        members[group >= 0, group if group >= 0 else each].append(row)
    image_of = dict(zip(sound.tolist(), image.tolist(), strict=True))
    for (are_near, _), own in members.items():
        if len(own) < 2:
            continue
        images = np.array([image_of[row] for row in own])
        is_exact = images[:, None] == images
        cosines = is_exact.astype(np.float64)
        if are_near:
            places = np.array([place_of[each] for each in images.tolist()])
            alike = [each @ each.T for each in (unit_rows(x[places]) for x in audited.blocks.values())]
            cosines = np.where(is_exact, 1.0, np.min(alike, axis=0))
        yield np.array(own), cosines, is_exact
