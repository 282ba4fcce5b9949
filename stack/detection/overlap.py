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
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    own = areas(first)[:, None]
    union = own + areas(second)[None] - shared
    if crowd is not None:
        union = np.where(crowd[None], own, union)
    share: Doubles = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def areas(corners: NDArray[np.floating]) -> Doubles:
    """Return ``(n,)`` areas of ``(n, 4)`` corners, 0 where right is not beyond left or bottom not below top."""
    sides = np.clip(np.asarray(corners[:, 2:] - corners[:, :2], np.float64), 0, None)
    return np.asarray(sides.prod(axis=1))
