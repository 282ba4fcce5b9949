"""Engines that need no network: their features tell images apart at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.records.feature_name import POOLED
from stackbone.cache.records.parts import Part, RowForm
from stackbone.extract.backbones.outputs import OutputForm

_GRID = 8
_COLUMNS = _GRID * _GRID * 3
STAGES = RowForm((Part("stage1", 64), Part("stage2", 128)))
"""What the columns of the output ``stages`` are said to be."""
MAP = RowForm(row_shape=(_GRID, _GRID, 3))
"""And those of a map."""


def block_means(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean colours of an 8 x 8 grid, (B, 192) float32, of pixels (B, H, W, 3) uint8."""
    n, height, width, _ = pixels.shape
    cut = pixels[:, : height // _GRID * _GRID, : width // _GRID * _GRID]
    blocks = cut.reshape(n, _GRID, height // _GRID, _GRID, width // _GRID, 3)
    means: NDArray[np.float32] = blocks.mean((2, 4), dtype=np.float32).reshape(n, -1)
    return means


class BlockMeans:
    """An engine whose features are `block_means`, of the k-th output k times; it remembers the sizes of its batches."""

    def __init__(self, outputs: Sequence[str] = (POOLED,)) -> None:
        self.batch_size = 4
        self.is_bound_to_batch = False
        self.provenance = {"engine": "block means", "device": "cpu"}
        self.batches: list[int] = []
        rows = {"stages": STAGES, "map": MAP}
        self.forms = [OutputForm(output, _COLUMNS, rows.get(output, RowForm())) for output in outputs]

    def embed(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the features of every output."""
        features = self.features(pixels)
        return [features * np.float32(k) for k in range(1, len(self.forms) + 1)]

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return those of the first."""
        self.batches.append(len(pixels))
        return block_means(pixels)


class CountingEngine(BlockMeans):
    """Counts images by name, over all its instances that share the counts."""

    def __init__(self, counts: dict[str, int], name: str, outputs: Sequence[str] = (POOLED,)) -> None:
        super().__init__(outputs)
        self.counts, self.name = counts, name

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features, and count the images."""
        self.counts[self.name] = self.counts.get(self.name, 0) + len(pixels)
        return super().features(pixels)
