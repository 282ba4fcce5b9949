"""LoRA: a frozen ViT whose attention's projections get a trained sum of low rank."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LowRankSum(nn.Module):
    """What is added to a frozen linear layer: x → up · down · x; zero at first, since `up` is.

    Parameters
    ----------
    linear
        The layer, (d_in) to (d_out).
    rank
        Of the sum, r.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)  # (r, d_in)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))  # (d_out, r)

    def add(self, _linear: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """Return the layer's output (B, N, d_out) plus the sum; a forward hook of the layer."""
        return output + F.linear(F.linear(inputs[0], self.down), self.up)


class LoraViT(nn.Module):
    """LoRA on the projections ``qkv`` and ``proj`` of every block's attention.

    Method: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv 2106.09685, section 4.1,
    the sum not scaled. ``body`` stays frozen and in evaluation mode, under timm's names.

    Parameters
    ----------
    body
        A timm `VisionTransformer` without classifier.
    rank
        Of the sums, r.
    """

    body: Any

    def __init__(self, body: nn.Module, *, rank: int = 4) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        self.qkv = nn.ModuleList(LowRankSum(block.attn.qkv, rank) for block in self.body.blocks)
        self.proj = nn.ModuleList(LowRankSum(block.attn.proj, rank) for block in self.body.blocks)
        for block, qkv, proj in zip(self.body.blocks, self.qkv, self.proj, strict=True):
            block.attn.qkv.register_forward_hook(qkv.add)
            block.attn.proj.register_forward_hook(proj.add)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        features: Tensor = self.body(x)
        return features
