"""Cells that the `linear` head learns from: how many of which images, what each stands for, the memory they take."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.progress import silent
from stackbone.stack.detection.cells import BACKGROUND, Cells, assign
from stackbone.stack.detection.framed import FramedBoxes, framed_boxes
from stackbone.stack.detection.heads.linear import sampling
from stackbone.stack.detection.heads.linear.sampling import draw_samples
from stackbone.stack.detection.source import Digests, Maps
from tests.made.planted_maps import CLASSES, SIDE, PlantedMaps, planted_images, sizes_of


class NumberedMaps(PlantedMaps):
    """Maps whose every channel is the number of the image, made when they are read."""

    def read(self, digests: Digests, /) -> Maps:
        """See `MapSource`."""
        numbers = digests[:, 0].astype(np.float16) + 256 * digests[:, 1].astype(np.float16)
        return [
            np.broadcast_to(numbers[:, None, None, None], (len(digests), each.height, each.width, each.depth))
            for each in self.levels
        ]


def numbered(n: int) -> Digests:
    digests = np.zeros((n, 32), np.uint8)
    digests[:, 0], digests[:, 1] = np.arange(n) % 256, np.arange(n) // 256
    return digests


def made(n: int) -> tuple[NumberedMaps, Digests, list[FramedBoxes]]:
    boxes = planted_images(0, 8)
    framed = framed_boxes(boxes, sizes_of(boxes), SIDE, CLASSES)
    return NumberedMaps([]), numbered(n), [framed[i % 8] for i in range(n)]


def cells_of(boxes: list[FramedBoxes], level: int) -> list[NDArray[np.int64]]:
    cells = Cells.of(PlantedMaps([]).levels)
    return [assign(cells, each)[cells.levels == level] for each in boxes]


def test_all_cells_are_taken_where_there_is_room() -> None:
    source, digests, boxes = made(16)
    for level, sample in enumerate(draw_samples(source, digests, boxes, 0, silent)):
        kinds = cells_of(boxes, level)
        assert len(sample.codes) == sum(int((each >= BACKGROUND).sum()) for each in kinds)
        assert (sample.codes != BACKGROUND).sum() == sum(int((each >= 0).sum()) for each in kinds)
        assert (sample.weights == 1).all()
        expected = np.repeat(np.arange(16), [int((each >= BACKGROUND).sum()) for each in kinds])
        np.testing.assert_array_equal(sample.features[:, 0], expected)


def test_each_image_gives_its_share_and_what_is_drawn_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_MOST", 200)
    source, digests, boxes = made(40)
    sample = draw_samples(source, digests, boxes, 0, silent)[0]
    kinds = cells_of(boxes, 0)
    for is_background, cells in ((True, [each == BACKGROUND for each in kinds]), (False, [k >= 0 for k in kinds])):
        own = (sample.codes == BACKGROUND) == is_background
        n_each = np.array([int(each.sum()) for each in cells])
        assert own.sum() == min(100, n_each.sum())
        assert sample.weights[own].sum() == pytest.approx(n_each.sum())
        taken = np.bincount(sample.features[own, 0].astype(int), minlength=40)
        assert np.abs(taken - n_each * min(1, 100 / n_each.sum())).max() < 1
    again, other = (draw_samples(source, digests, boxes, seed, silent)[0] for seed in (0, 1))
    assert np.array_equal(sample.edges, again.edges)
    assert not np.array_equal(sample.edges, other.edges)


def test_memory_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_MOST", 200)

    def peak(n: int) -> int:
        asked = made(n)
        tracemalloc.start()
        draw_samples(*asked, 0, silent)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(8)
    assert peak(400) - peak(40) < 360 * 100  # bytes: an image has 336 cells
