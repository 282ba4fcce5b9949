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
    """Return a sample of each level, drawn by the seed; the maps are read once, some images at a time."""
    cells = Cells.of(source.levels)
    dim = sum(each.depth for each in source.levels)
    room = min(_MOST, SAMPLE_BYTES // (4 * dim)) // 2
    objects = [assign(cells, each) for each in boxes]
    rng = np.random.default_rng([seed, 0x5A])
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in boxes]  # by image, then level: numbers of cells
    weights: list[list[NDArray[np.float64]]] = [[] for _ in boxes]
    for level in range(len(source.levels)):
        here = np.flatnonzero(cells.levels == level)
        kinds = np.array([each[here] for each in objects])
        keep = np.zeros(kinds.shape)  # what a cell that was drawn stands for
        for group in (kinds >= 0, kinds == BACKGROUND):
            members = np.flatnonzero(group)
            drawn = rng.permutation(members)[:room] if len(members) > room else members
            keep.ravel()[drawn] = len(members) / max(1, len(drawn))
        for image, own in enumerate(keep):
            chosen[image].append(here[own > 0])
            weights[image].append(own[own > 0])
    parts: list[list[Sample]] = [[] for _ in source.levels]
    for rows in batches(len(digests)):
        maps = source.read(digests[rows])
        for place, image in enumerate(range(rows.start, rows.stop)):
            for level in range(len(source.levels)):
                numbers = chosen[image][level]
                if len(numbers):
                    features = describe_level([each[place] for each in maps], source.levels, level)
                    own = features[numbers - np.flatnonzero(cells.levels == level)[0]]
                    labels = _labels(cells, boxes[image], numbers, objects[image][numbers])
                    parts[level].append(Sample(own, labels[0], weights[image][level], *labels[1:]))
        on_progress("sampling cells", rows.stop, len(digests))
    return [_joined(each, dim) for each in parts]


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


def _joined(parts: Sequence[Sample], dim: int) -> Sample:
    empty = np.zeros(0, np.int64)
    nothing = Sample(
        np.zeros((0, dim), np.float32), empty, np.zeros(0), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    )
    whole = [nothing, *parts]
    return Sample(
        np.concatenate([each.features for each in whole]),
        np.concatenate([each.codes for each in whole]),
        np.concatenate([each.weights for each in whole]),
        np.concatenate([each.edges for each in whole]),
        np.concatenate([each.centre for each in whole]),
    )
