"""What heads standardise the channels of feature maps by: means and deviations over cells of some training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.source import HeldMaps, batches

MOST_IMAGES = 64
"""Of which moments are taken; more change them by next to nothing."""

_LEAST = 0.05  # of the mean deviation: a channel that hardly moves must not be blown up

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Moments:
    """Of one level: ``(x - mean) * scale`` is standard.

    Attributes
    ----------
    mean, scale : NDArray[np.float32]
        ``(depth,)`` of the channels.
    """

    mean: Floats
    scale: Floats


def moments(maps: HeldMaps, n_images: int, seed: int) -> list[Moments]:
    """Return the moments of each level's channels, of up to `MOST_IMAGES` of the images, which are drawn by the seed.

    Parameters
    ----------
    maps : HeldMaps
        Of the training part.
    n_images : int
        In it.
    seed : int
        Of the draw.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(n_images)[:MOST_IMAGES])
    sums: list[NDArray[np.float64]] = []
    for part in batches(len(rows)):
        own = [_sums(each) for each in maps.read(rows[part])]
        sums = [before + each for before, each in zip(sums, own, strict=True)] if sums else own
    return [_moments(each) for each in sums]


def _sums(level: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return ``(3, depth)`` counts, sums and sums of squares of the channels of some images."""
    values = level.reshape(-1, level.shape[-1]).astype(np.float64)
    return np.stack([np.full(values.shape[1], len(values)), values.sum(axis=0), (values**2).sum(axis=0)])


def _moments(sums: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> Moments:
    count, total, squares = sums
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    floor = max(1e-6, _LEAST * float(deviation.mean()))
    return Moments(mean.astype(np.float32), (1 / np.maximum(deviation, floor)).astype(np.float32))
