"""The network of the `conv` head: lateral connections, two towers that all levels share, three outputs.

After Tian et al. 2019 (FCOS, arXiv 1904.01355) on the top-down pyramid of Lin et al. 2017 (arXiv 1612.03144).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stackbone.stack.detection.moments import Moments

WIDTH = 64
"""Channels of all levels within the head."""

DEPTH = 2
"""Convolutions of each tower."""

_GROUPS = 16  # of channels that are normalised together
_PRIOR = 0.01  # probability of every class at the start, so that the many cells of background do not drown the rest


class ConvHead(nn.Module):
    """Raw outputs for every cell of a pyramid.

    Parameters
    ----------
    depths : sequence of int
        Channels of each level's map, the finest first.
    n_classes : int
        Classes to be found.
    width, depth : int
        Channels, and convolutions of each tower.
    """

    def __init__(self, depths: Sequence[int], n_classes: int, width: int = WIDTH, depth: int = DEPTH) -> None:
        super().__init__()
        for level, channels in enumerate(depths):
            self.register_buffer(f"mean{level}", torch.zeros(channels))
            self.register_buffer(f"scale{level}", torch.ones(channels))
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in depths)
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, width) for _ in depths)
        self.class_tower = _tower(width, depth)
        self.box_tower = _tower(width, depth)
        self.class_logits = nn.Conv2d(width, n_classes, 3, padding=1)
        self.edges = nn.Conv2d(width, 4, 3, padding=1)
        self.centre = nn.Conv2d(width, 1, 3, padding=1)
        self.level_scales = nn.Parameter(torch.ones(len(depths)))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what each cell says.

        Parameters
        ----------
        maps : sequence of Tensor
            ``(b, depth, height, width)`` of each level, the finest first.

        Returns
        -------
        tuple of Tensor
            ``(b, n_cells, n_classes)`` logits, ``(b, n_cells, 4)`` distances to left, top, right and bottom in strides
            of the cell's level, ``(b, n_cells)`` logits of centre-ness; cells in the order of `cells.Cells`.
        """
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for level, merged in enumerate(self._pyramid(maps)):
            classes, boxes = self.class_tower(merged), self.box_tower(merged)
            edges = (self.edges(boxes).float() * self.level_scales[level]).exp()
            found.append((_flat(self.class_logits(classes)), _flat(edges), _flat(self.centre(boxes))))
        logits, distances, centre = (torch.cat(parts, dim=1).float() for parts in zip(*found, strict=True))
        return logits, distances, centre[..., 0]

    def _pyramid(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels at a common width, each with all coarser ones added."""
        merged: list[Tensor] = []
        for level in reversed(range(len(maps))):
            mean, scale = self.get_buffer(f"mean{level}"), self.get_buffer(f"scale{level}")
            lateral = self.laterals[level]((maps[level] - mean[:, None, None]) * scale[:, None, None])
            if merged:
                lateral = lateral + functional.interpolate(merged[0], size=lateral.shape[-2:], mode="nearest")
            merged.insert(0, lateral)
        return [torch.relu(norm(each)) for norm, each in zip(self.norms, merged, strict=True)]


def initialise(head: ConvHead, seed: int) -> None:
    """Draw the weights, from a generator of our own: torch's is one for the whole process."""
    rng = np.random.default_rng([seed, 0xDE7EC7])
    with torch.no_grad():
        for layer in head.modules():
            if isinstance(layer, nn.Conv2d):
                fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
                drawn = rng.normal(0, math.sqrt(2 / fan_in), tuple(layer.weight.shape))
                layer.weight.copy_(torch.from_numpy(drawn))
                if layer.bias is not None:
                    layer.bias.zero_()
        for output in (head.class_logits, head.edges, head.centre):
            output.weight.mul_(0.1)
        assert head.class_logits.bias is not None
        assert head.edges.bias is not None
        head.class_logits.bias.fill_(-math.log((1 - _PRIOR) / _PRIOR))
        head.edges.bias.fill_(math.log(2.0))


def set_moments(head: ConvHead, moments: Sequence[Moments]) -> None:
    """Set what each level's channels are standardised by: ``(x - mean) * scale``."""
    with torch.no_grad():
        for level, each in enumerate(moments):
            head.get_buffer(f"mean{level}").copy_(torch.from_numpy(each.mean))
            head.get_buffer(f"scale{level}").copy_(torch.from_numpy(each.scale))


def as_tensors(maps: Sequence[NDArray[np.float16]]) -> list[Tensor]:
    """Return ``(b, height, width, depth)`` maps as float32 tensors ``(b, depth, height, width)``."""
    return [torch.from_numpy(np.ascontiguousarray(each)).float().permute(0, 3, 1, 2) for each in maps]


def _tower(width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, width), nn.ReLU()]
    return nn.Sequential(*layers)


def _flat(values: Tensor) -> Tensor:
    """Return ``(b, height * width, c)`` of ``(b, c, height, width)``."""
    return values.flatten(2).transpose(1, 2)
