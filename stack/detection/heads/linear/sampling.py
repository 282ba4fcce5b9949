"""Cells that the `linear` head learns from: all that are to find an object, and some of the many that are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.detection.cells import BACKGROUND, Cells, assign, centre_ness, distances
from stackbone.stack.detection.framed import FramedBoxes
from stackbone.stack.detection.heads.linear.descriptors import describe_level
from stackbone.stack.detection.source import Digests, MapSource, batches

SAMPLE_BYTES = 256 << 20
"""What the sample of one level may take."""

_MOST = 40_000  # cells of a level, half of them of objects

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sample:
    """Cells of one level.

    Attributes
    ----------
    features : NDArray[np.float32]
        ``(n, dim)``.
    codes : NDArray[np.int64]
        ``(n,)`` number of the class, `BACKGROUND` for none.
    weights : NDArray[np.float64]
        ``(n,)`` how many cells each stands for.
    edges : NDArray[np.float32]
        ``(n, 4)`` distances to the object's edges in strides, 0 without one.
    centre : NDArray[np.float32]
        ``(n,)`` centre-ness, 0 without an object.
    """

    features: Floats
    codes: NDArray[np.int64]
    weights: NDArray[np.float64]
    edges: Floats
    centre: Floats


def draw_samples(
    source: MapSource, digests: Digests, boxes: Sequence[FramedBoxes], seed: int, on_progress: Progress
) -> list[Sample]:
    """Return a sample of each level, drawn by the seed; the maps are read once, some images at a time.

    Nothing is held of the cells that are not drawn: how many there are is counted first, and each image then gives its
    share.
    """
    cells = Cells.of(source.levels)
    dim = sum(each.depth for each in source.levels)
    room = min(_MOST, SAMPLE_BYTES // (4 * dim)) // 2
    starts = np.searchsorted(cells.levels, np.arange(len(source.levels) + 1)).tolist()
    rng = np.random.default_rng([seed, 0x5A])
    draws = [[_Draw(total, room, rng) for total in totals] for totals in _count_cells(cells, boxes, len(source.levels))]
    samples = [_Filled(of_level, dim) for of_level in draws]
    for rows in batches(len(digests)):
        maps = source.read(digests[rows])
        for place, image in enumerate(range(rows.start, rows.stop)):
            objects = assign(cells, boxes[image])
            for level, sample in enumerate(samples):
                start, own = starts[level], objects[starts[level] : starts[level + 1]]
                taken = [draw.take(np.flatnonzero(kind)) for draw, kind in zip(draws[level], _kinds(own), strict=True)]
                numbers = np.sort(np.concatenate(taken))
                if len(numbers):
                    features = describe_level([each[place] for each in maps], source.levels, level)
                    labels = _labels(cells, boxes[image], start + numbers, own[numbers])
                    sample.add(features[numbers], *labels)
        on_progress("sampling cells", rows.stop, len(digests))
    return [each.sample for each in samples]


def _kinds(objects: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which cells are to find an object, and which are background."""
    return objects >= 0, objects == BACKGROUND


def _count_cells(cells: Cells, boxes: Sequence[FramedBoxes], n_levels: int) -> list[list[int]]:
    """Return for each level how many cells of all images are to find an object, and how many are background."""
    counts = np.zeros((2, n_levels), np.int64)
    for each in boxes:
        for count, kind in zip(counts, _kinds(assign(cells, each)), strict=True):
            count += np.bincount(cells.levels[kind], minlength=n_levels)
    return counts.T.tolist()


class _Draw:
    """Cells of one kind on one level: all, or `room` of them, to which each image gives the share that it has of them.

    Parameters
    ----------
    total : int
        Such cells of all images.
    room : int
        How many may be drawn.
    rng : Generator
        Draws them.
    """

    def __init__(self, total: int, room: int, rng: np.random.Generator) -> None:
        self.n, self._total, self._rng = min(total, room), total, rng
        self._seen, self._taken = 0, 0
        self._shift = int(rng.integers(total)) if total > room else 0  # so that rounding favours no image

    def take(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which of the next image's cells are drawn."""
        if self.n == self._total:
            return members
        self._seen += len(members)
        until = (self._seen * self.n + self._shift) // self._total
        wanted, self._taken = until - self._taken, until
        return self._rng.permutation(members)[:wanted]

    @property
    def weight(self) -> float:
        """How many cells each that was drawn stands for."""
        return self._total / max(1, self.n)


class _Filled:
    """The sample of a level, filled image by image."""

    def __init__(self, draws: Sequence[_Draw], dim: int) -> None:
        n = sum(each.n for each in draws)
        self._weights = [each.weight for each in draws]
        self._n = 0
        self.sample = Sample(
            np.empty((n, dim), np.float32),
            np.empty(n, np.int64),
            np.empty(n),
            np.empty((n, 4), np.float32),
            np.empty(n, np.float32),
        )

    def add(self, features: Floats, codes: NDArray[np.int64], edges: Floats, centre: Floats) -> None:
        """Fill the next rows."""
        rows, sample = slice(self._n, self._n + len(codes)), self.sample
        of_objects, of_background = self._weights
        sample.features[rows], sample.codes[rows] = features, codes
        sample.weights[rows] = np.where(codes == BACKGROUND, of_background, of_objects)
        sample.edges[rows], sample.centre[rows] = edges, centre
        self._n = rows.stop


def _labels(
    cells: Cells, boxes: FramedBoxes, numbers: NDArray[np.int64], objects: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return codes, distances to edges and centre-ness of some cells of an image."""
    codes, has = np.full(len(numbers), BACKGROUND), objects >= 0
    edges, centre = np.zeros((len(numbers), 4), np.float32), np.zeros(len(numbers), np.float32)
    codes[has] = boxes.classes[objects[has]]
    apart = distances(cells.centres[numbers[has]], boxes.corners[objects[has]])
    edges[has] = apart / cells.strides[numbers[has], None]
    centre[has] = centre_ness(apart)
    return codes, edges, centre
