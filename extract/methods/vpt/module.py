"""Visual prompt tuning: a frozen ViT whose blocks read some learned tokens beside the image's."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn


class Prompt(nn.Module):
    """Learned tokens that stand behind the class token.

    Parameters
    ----------
    n
        How many.
    d
        Width of a token.
    bound
        They start uniform in ±bound.
    place
        Tokens before them: the class token and what else precedes the patches.
    """

    def __init__(self, n: int, d: int, bound: float, place: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(n, d).uniform_(-bound, bound))
        self.place = place

    def insert(self, _block: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """Return a block's input (B, N, d) with the prompt in it, (B, N + n, d); a hook before the block."""
        x = inputs[0]
        prompt = self.tokens.to(x.dtype).expand(x.shape[0], -1, -1)
        return (torch.cat([x[:, : self.place], prompt, x[:, self.place :]], dim=1),)

    def drop(self, _block: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        """Return a block's output (B, N + n, d) without the prompt's, (B, N, d); a hook behind the block."""
        return torch.cat([output[:, : self.place], output[:, self.place + len(self.tokens) :]], dim=1)


class PromptedViT(nn.Module):
    """VPT-Deep: each block has a prompt of its own, in the place of what became of the block before's.

    Or VPT-Shallow: the first block alone has one, and what becomes of it goes through all. Method: Jia et al., "Visual
    Prompt Tuning", ECCV 2022, arXiv 2203.12119, section 3.2, equations 4 and 5; place and start as there: behind the
    class token, and uniform as by Xavier, for a patch's pixels and a token's width. ``body`` stays frozen and in
    evaluation mode, under timm's names.

    Parameters
    ----------
    body
        A timm `VisionTransformer` without classifier.
    n_prompts
        Tokens of a prompt.
    shallow
        Whether the first block alone has a prompt.
    """

    body: Any

    def __init__(self, body: nn.Module, *, n_prompts: int = 10, shallow: bool = False) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        height, width = self.body.patch_embed.patch_size
        d, place = int(self.body.embed_dim), int(self.body.num_prefix_tokens)
        bound = (6.0 / (3 * height * width + d)) ** 0.5
        blocks = list(self.body.blocks)
        prompted = [(blocks[0], blocks[-1])] if shallow else [(block, block) for block in blocks]
        self.prompts = nn.ModuleList(Prompt(n_prompts, d, bound, place) for _ in prompted)
        for (first, last), prompt in zip(prompted, self.prompts, strict=True):
            first.register_forward_pre_hook(prompt.insert)
            last.register_forward_hook(prompt.drop)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        features: Tensor = self.body(x)
        return features
