"""The network of the `published` head, and its training: one convolution, flatten, one dense layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stackbone.cache.progress import Progress
from stackbone.stack.detection.moments import moments
from stackbone.stack.detection.source import HeldMaps, batches

CHANNELS = 64
"""Of the convolution."""

EPOCHS, BATCH, RATE, DECAY = 40, 16, 1e-3, 1e-2


class PublishedHead(nn.Module):
    """A fixed number of boxes of one image from its last map.

    Parameters
    ----------
    depth, height, width : int
        Of the map.
    n_slots, n_classes : int
        Boxes of an image, and classes of each beside "nothing".
    """

    def __init__(self, depth: int, height: int, width: int, n_slots: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(depth))
        self.register_buffer("scale", torch.ones(depth))
        self.convolution = nn.Conv2d(depth, CHANNELS, 3, padding=1)
        self.dense = nn.Linear(CHANNELS * height * width, n_slots * (n_classes + 5))
        self._n_slots = n_slots

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return of ``(b, height, width, depth)`` maps ``(b, n_slots, n_classes + 1)`` logits, "nothing" first, and
        ``(b, n_slots, 4)`` corners as shares of the frame.
        """  # noqa: D205 - one sentence
        standard = (maps - self.get_buffer("mean")) * self.get_buffer("scale")
        inner = torch.relu(self.convolution(standard.permute(0, 3, 1, 2)))
        outputs = self.dense(inner.flatten(1)).view(len(maps), self._n_slots, -1)
        return outputs[..., 4:], outputs[..., :4].sigmoid()


def train(
    head: PublishedHead,
    maps: HeldMaps,
    codes: NDArray[np.int64],
    corners: NDArray[np.float32],
    seed: int,
    epochs: int,
    on_progress: Progress,
) -> None:
    """Train a head on ``(n, n_slots)`` classes, 0 for nothing, and ``(n, n_slots, 4)`` corners as shares."""
    rng = np.random.default_rng([seed, 0xB0])
    with torch.no_grad():
        for layer in (head.convolution, head.dense):
            fan_in = math.prod(layer.weight.shape[1:])
            layer.weight.copy_(torch.from_numpy(rng.normal(0, math.sqrt(1 / fan_in), tuple(layer.weight.shape))))
            assert layer.bias is not None
            layer.bias.zero_()
        last = moments(maps, len(codes), seed)[-1]
        head.get_buffer("mean").copy_(torch.from_numpy(last.mean))
        head.get_buffer("scale").copy_(torch.from_numpy(last.scale))
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    steps, done = epochs * math.ceil(len(codes) / BATCH), 0
    for _ in range(epochs):
        order = rng.permutation(len(codes))
        for part in batches(len(order), BATCH):
            rows = order[part]
            optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * done / steps))
            logits, found = head(last_map(maps.read(rows)))
            loss = _loss(logits, found, torch.from_numpy(codes[rows]), torch.from_numpy(corners[rows]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
            optimiser.step()
            done += 1
            on_progress("training the head", done, steps)
    head.eval()


def last_map(maps: Sequence[NDArray[np.float16]]) -> Tensor:
    """Return the coarsest of the maps of some images, ``(b, height, width, depth)`` float32."""
    return torch.from_numpy(np.ascontiguousarray(maps[-1])).float()


def _loss(logits: Tensor, found: Tensor, codes: Tensor, corners: Tensor) -> Tensor:
    """Return cross-entropy of the classes, and smooth L1 of the corners of the slots that have an object."""
    of_classes = functional.cross_entropy(logits.flatten(0, 1), codes.flatten())
    has = codes > 0
    if not has.any():
        return of_classes
    return of_classes + 10 * functional.smooth_l1_loss(found[has], corners[has], beta=0.1)
