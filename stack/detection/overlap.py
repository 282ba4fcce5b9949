"""How much boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def overlaps(
    found: NDArray[np.floating], true: NDArray[np.floating], crowd: NDArray[np.bool_] | None = None
) -> Doubles:
    """Return ``(n, m)`` intersection over union of ``(n, 4)`` and ``(m, 4)`` corners.

    Of a crowd it is the share of the found box that lies in it, as in COCO's scores. Boxes without area overlap
    nothing.
    """
    first, second = np.asarray(found, np.float64).reshape(-1, 4), np.asarray(true, np.float64).reshape(-1, 4)
    shared = shared_areas(first.T[:, :, None], second.T[:, None, :])
    own = areas(first)[:, None]
    union = own + areas(second)[None] - shared
    return shares(shared, union if crowd is None else np.where(crowd[None], own, union))


def shared_areas(first: Doubles, second: Doubles) -> Doubles:
    """Return the areas that boxes share: of ``(4, ...)`` left, top, right and bottom of each, in shapes that match."""
    wide = np.minimum(first[2], second[2]) - np.maximum(first[0], second[0])
    high = np.minimum(first[3], second[3]) - np.maximum(first[1], second[1])
    return np.asarray(np.clip(wide, 0, None) * np.clip(high, 0, None))


def shares(shared: Doubles, whole: Doubles) -> Doubles:
    """Return shared areas as shares of whole ones, 0 of those that are 0."""
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def areas(corners: NDArray[np.floating]) -> Doubles:
    """Return ``(n,)`` areas of ``(n, 4)`` corners, 0 where right is not beyond left or bottom not below top."""
    sides = np.clip(np.asarray(corners[:, 2:] - corners[:, :2], np.float64), 0, None)
    return np.asarray(sides.prod(axis=1))
