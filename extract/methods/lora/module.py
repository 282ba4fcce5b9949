"""LoRA: a frozen ViT whose linear layers get a trained sum of low rank."""

from __future__ import annotations

from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stackbone.cache import UsageError
from stackbone.extract.methods.lora.targets import TARGETS, USUAL


class LowRankSum(nn.Module):
    """What is added to a frozen linear layer: x → scale · up · down · x; zero at first, since `up` is.

    Parameters
    ----------
    linear
        The layer, (d_in) to (d_out).
    rank
        Of the sum, r.
    scale
        What the sum counts.
    part
        Number of the third of the layer's output that it is added to, 0 for queries, 1 for keys and 2 for values of
        a joint projection; None for all of the output.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float = 1.0, part: int | None = None) -> None:
        super().__init__()
        d_out = linear.out_features if part is None else linear.out_features // 3
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)  # (r, d_in)
        self.up = nn.Parameter(torch.zeros(d_out, rank))  # (d_out, r), or a third of it
        self.scale = scale
        self.padding = (0, 0) if part is None else (part * d_out, (2 - part) * d_out)

    def add(self, _linear: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """Return the layer's output (B, N, d_out) plus the sum; a forward hook of the layer."""
        found = self.scale * F.linear(F.linear(inputs[0], self.down), self.up)
        return output + (F.pad(found, self.padding) if any(self.padding) else found)


class LoraViT(nn.Module):
    """LoRA on linear layers of every block, by default ``qkv`` and ``proj`` of its attention.

    Method: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv 2106.09685, section 4.1.
    ``body`` stays frozen and in evaluation mode, under timm's names.

    Parameters
    ----------
    body
        A timm `VisionTransformer` without classifier.
    rank
        Of the sums, r.
    alpha
        They count alpha / r times; None for once.
    targets
        Names from `TARGETS`, separated by commas.

    Raises
    ------
    UsageError
        If a block has no such layer.
    """

    body: Any

    def __init__(self, body: nn.Module, *, rank: int = 4, alpha: float | None = None, targets: str = USUAL) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        scale = 1.0 if alpha is None else alpha / rank
        for target in targets.split(","):
            place, part = TARGETS[target]
            layers = [_layer(block, place, target) for block in self.body.blocks]
            self.add_module(target, nn.ModuleList(LowRankSum(layer, rank, scale, part) for layer in layers))
            for layer, found in zip(layers, cast("nn.ModuleList", self.get_submodule(target)), strict=True):
                layer.register_forward_hook(cast("LowRankSum", found).add)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        features: Tensor = self.body(x)
        return features


def _layer(block: nn.Module, place: str, target: str) -> nn.Linear:
    """Return a linear layer of a block, by its name in timm."""
    layer: Any = block
    for name in place.split("."):
        layer = getattr(layer, name, None)
    if not isinstance(layer, nn.Linear):
        message = (
            f"--targets names {target}, the layer {place} of every block, and the blocks of this ViT "
            f"({type(block).__name__}) have none. Leave it out"
        )
        raise UsageError(message)
    return layer
