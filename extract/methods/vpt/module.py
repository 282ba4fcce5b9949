"""Visual prompt tuning: a frozen ViT whose every block reads some learned tokens beside the image's."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn


class Prompt(nn.Module):
    """The learned tokens of one block.

    Parameters
    ----------
    n
        How many.
    d
        Width of a token.
    bound
        They start uniform in ±bound.
    """

    def __init__(self, n: int, d: int, bound: float) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(n, d).uniform_(-bound, bound))

    def append(self, _block: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """Return the block's input (B, N, d) with the prompt behind it, (B, N + n, d); a hook before the block."""
        x = inputs[0]
        return (torch.cat([x, self.tokens.to(x.dtype).expand(x.shape[0], -1, -1)], dim=1),)

    def drop(self, _block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        """Return the block's output (B, N + n, d) without the prompt's, (B, N, d); a hook behind the block."""
        return output[:, : -len(self.tokens)]


class PromptedViT(nn.Module):
    """VPT-Deep: each block has a prompt of its own, in the place of what became of the block before's.

    Method: Jia et al., "Visual Prompt Tuning", ECCV 2022, arXiv 2203.12119, section 3.2, equation 5; start as
    there: uniform as by Xavier, for a patch's pixels and a token's width. Attention does not know the order of its
    tokens, so that the prompt may stand behind the image's and every prefix token keeps its place. ``body`` stays
    frozen and in evaluation mode, under timm's names.

    Parameters
    ----------
    body
        A timm `VisionTransformer` without classifier.
    n_prompts
        Tokens of a prompt.
    """

    body: Any

    def __init__(self, body: nn.Module, *, n_prompts: int = 10) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        height, width = self.body.patch_embed.patch_size
        d = int(self.body.embed_dim)
        bound = (6.0 / (3 * height * width + d)) ** 0.5
        self.prompts = nn.ModuleList(Prompt(n_prompts, d, bound) for _ in self.body.blocks)
        for block, prompt in zip(self.body.blocks, self.prompts, strict=True):
            block.register_forward_pre_hook(prompt.append)
            block.register_forward_hook(prompt.drop)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        features: Tensor = self.body(x)
        return features
