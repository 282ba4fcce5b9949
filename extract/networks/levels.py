"""Which maps of a network make its pyramid, and how each becomes cells that cover the input evenly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import pad

from stackbone.cache.records.parts import Part, RowForm
from stackbone.extract.networks.reading import Reading

STRIDES = (8, 16, 32)
"""Of the maps that objects are detected on: finer ones are costly and say little, coarser ones there are none."""
_MOST_LACKING = 3  # cells on a side that a network without padding may lose, as Inception's do


@dataclass(frozen=True)
class Level:
    """One map of a pyramid.

    Attributes
    ----------
    stride
        Pixels from one cell to the next.
    height, width
        Cells that cover the input.
    reading
        How the module's result is read.
    module
        Which gives it; None for the features at the end.
    lost
        Rows and columns of cells that the module's result lacks.
    """

    stride: int
    height: int
    width: int
    reading: Reading
    module: str | None
    lost: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and depth."""
        return self.height, self.width, self.reading.width

    def take(self, result: Tensor) -> Tensor:
        """Return (B, height * width * depth) float32, cell by cell from the top left, of a module's result.

        Cells that a network without padding loses at the edges get the features of those nearest to them.
        """
        if self.reading.layout == "tokens":
            return self.reading.positions(result).flatten(1)
        x = result.float()
        if self.reading.layout == "map-last":
            x = x.permute(0, 3, 1, 2)
        down, across = self.lost
        if down or across:
            x = pad(x, (across // 2, across - across // 2, down // 2, down - down // 2), mode="replicate")
        return x.permute(0, 2, 3, 1).flatten(1)


class _Final(Protocol):
    """What is known of the features at the end."""

    final: Reading | None
    grid: tuple[int, int] | None


def find_levels(
    stages: Mapping[str, tuple[int | None, Sequence[int], Reading]], end: _Final, size: Sequence[int]
) -> tuple[Level, ...]:
    """Return the maps of a network, the finest first.

    Parameters
    ----------
    stages
        Module to its stride as timm has it, the shape of its result and how that is read.
    end
        What is at the end of the network: the one map of a network of tokens, at the stride of its patches.
    size
        (height, width) of the input, in pixels.
    """
    height, width = size
    found: dict[int, Level] = {}
    for name, (stride, shape, reading) in stages.items():
        if stride not in STRIDES or not reading.layout.startswith("map"):
            continue
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        h, w = shape[1:3] if reading.layout == "map-last" else shape[2:4]
        lost = rows - h, columns - w
        if min(lost) >= 0 and max(lost) <= _MOST_LACKING:
            found[stride] = Level(stride, rows, columns, reading, name, lost)  # the last of a stride has seen most
    if found or end.final is None or end.final.layout != "tokens" or end.grid is None:
        return tuple(found[stride] for stride in sorted(found))
    rows, columns = end.grid
    stride = height // rows
    if (rows * stride, columns * stride) != (height, width):
        return ()
    return (Level(stride, rows, columns, end.final, None),)


def form_of_levels(levels: Sequence[Level]) -> RowForm:
    """Return what a row of all maps consists of."""
    parts = tuple(Part(f"stride{each.stride}", each.height * each.width * each.reading.width) for each in levels)
    return RowForm(parts, map_shapes=tuple(each.shape for each in levels))
