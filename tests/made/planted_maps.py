"""Feature maps in which objects are planted: what is at a cell, and how far away its edges are, with noise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.stack.detection.cells import Cells, assign, distances
from stackbone.stack.detection.framed import FramedBoxes
from tests.made.drawn_boxes import image_boxes

CLASSES = ("cat", "dog")
SIDE = 128


@dataclass(frozen=True)
class PlantedLevel:
    stride: int
    height: int
    width: int
    depth: int


class PlantedMaps:
    """A source of maps that are held in memory.

    Parameters
    ----------
    boxes : sequence of ImageBoxes
        Of each image.
    seed : int
        Of the noise.
    is_mirrored : bool
        Whether they are those of mirrored images.
    noise : float
        Its deviation; signals are about 1.
    """

    def __init__(
        self, boxes: Sequence[ImageBoxes], *, seed: int = 0, is_mirrored: bool = False, noise: float = 0.1
    ) -> None:
        self.side = SIDE
        depth = len(CLASSES) + 5
        self.levels = tuple(PlantedLevel(stride, SIDE // stride, SIDE // stride, depth) for stride in (8, 16, 32))
        self.digests = digests_of(len(boxes))
        self._row = {digest.tobytes(): row for row, digest in enumerate(self.digests)}
        self._maps = [np.zeros((len(boxes), each.height, each.width, depth), np.float16) for each in self.levels]
        self.images_read = 0
        cells, rng = Cells.of(self.levels), np.random.default_rng(seed)
        everywhere = np.zeros(len(cells.centres), np.float32)  # objects of all sizes show on every level
        cells = replace(cells, nearest=everywhere, farthest=everywhere + np.inf)
        for row, each in enumerate(boxes):
            flat = _plant(cells, each, is_mirrored=is_mirrored) + rng.normal(0, noise, (len(cells.centres), depth))
            for level, whole in enumerate(self._maps):
                whole[row] = flat[cells.levels == level].reshape(whole.shape[1:])

    def read(self, digests: NDArray[np.uint8], /) -> list[NDArray[np.float16]]:
        self.images_read += len(digests)
        rows = [self._row[digest.tobytes()] for digest in digests]
        return [whole[rows] for whole in self._maps]


def digests_of(n: int) -> NDArray[np.uint8]:
    """Return ``(n, 32)`` digests of images that there are not."""
    made = [np.frombuffer(hashlib.sha256(str(row).encode()).digest(), np.uint8) for row in range(n)]
    return np.array(made, np.uint8).reshape(-1, 32)


def planted_images(seed: int, n: int, classes: Sequence[str] = CLASSES) -> list[ImageBoxes]:
    """Return annotations of `n` images of 200 x 150 pixels with up to three objects far from each other."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        corners, names = [], []
        for place in rng.permutation(4)[: rng.integers(1, 4)]:
            left, top = (place % 2) * 100 + rng.uniform(2, 30), (place // 2) * 75 + rng.uniform(2, 15)
            wide, high = rng.uniform(20, 65), rng.uniform(20, 55)
            corners.append([left, top, left + wide, top + high])
            names.append(classes[int(rng.integers(len(classes)))])
        found.append(image_boxes(corners, tuple(names)))
    return found


def sizes_of(boxes: Sequence[ImageBoxes]) -> NDArray[np.int64]:
    """Return ``(n, 2)`` width and height of images."""
    return np.array([[each.width, each.height] for each in boxes], np.int64).reshape(-1, 2)


def _plant(cells: Cells, boxes: ImageBoxes, *, is_mirrored: bool) -> NDArray[np.float32]:
    """Return ``(n_cells, depth)``: class, logarithms of distances to the edges, and whether there is anything."""
    signal = np.zeros((len(cells.centres), len(CLASSES) + 5), np.float32)
    corners = Letterbox(boxes.width, boxes.height, SIDE).to_frame(np.array(boxes.corners, np.float32).reshape(-1, 4))
    if is_mirrored:
        corners[:, 0::2] = SIDE - corners[:, 2::-2]
    codes = np.array([CLASSES.index(name) for name in boxes.classes], np.int64)
    objects = assign(cells, FramedBoxes(corners, codes, np.zeros((0, 4), np.float32)))
    has = objects >= 0
    edges = distances(cells.centres[has], corners[objects[has]]) / cells.strides[has, None]
    signal[has, codes[objects[has]]] = 1
    signal[has, -5:-1] = np.log(edges)
    signal[has, -1] = 1
    return signal
