"""TOAST: a frozen ViT looks twice, the second time with its attention steered to the task.

Method: Shi, Gai, Darrell, Wang, "TOAST: Transfer Learning via Attention Steering", 2023, arXiv 2305.15542, section 3.
In the shapes, B is images, N tokens (prefix tokens and patches), d the width, L the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from stackbone.cache import UsageError
from stackbone.extract.methods.toast.top_down import LowRankLinear, TopDown


class ToastViT(TopDown):
    """TOAST around timm's own `VisionTransformer`.

    Any of them: class token or another pool, registers, DeiT's two tokens, DINO's layer scale, CLIP's norm before
    the blocks. Its blocks are run as they are, and its parameters keep timm's names, under ``body.``. The input
    gets no gradient through the first pass.

    **Start.** W_l = I, U_l = 0, P = I, and ξ as said at `TopDown`. A block changes its input little, so the identity
    is already a fair guess of its inverse and brings the selected tokens to every block undiminished, where random
    matrices would shrink them from block to block. With U = 0 training begins at the plain network (`value_bias`
    aside); of ξ, P, W and U, U alone has a gradient until it has moved, then all have.

    Parameters
    ----------
    body
        A timm `VisionTransformer` without classifier.
    value_bias
        Whether the value projection of the top-down input includes its bias, which then counts twice, as in the
        released checkpoints. Without it and with U = 0 the features are the plain network's, bit for bit.
    lite
        TOAST-Lite: W and U are frozen, and low-rank matrices beside them are trained.
    rank
        Of those matrices.
    alpha
        They count alpha / rank times; None for once.

    Raises
    ------
    UsageError
        If `body` is not such a network.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        value_bias: bool = True,
        lite: bool = False,
        rank: int = 4,
        alpha: float | None = None,
    ) -> None:
        _check_vit(body)
        vit = cast("Any", body)
        d, n_blocks = int(vit.embed_dim), len(vit.blocks)
        super().__init__(body, d, lite=lite)
        self.value_bias = value_bias
        scale = 1.0 if alpha is None else alpha / rank

        def matrix() -> nn.Linear:
            return LowRankLinear(d, rank, scale) if lite else nn.Linear(d, d, bias=False)

        self.feedback = nn.ModuleList(matrix() for _ in range(n_blocks))
        self.output = nn.ModuleList(matrix() for _ in range(n_blocks))
        for w, u in zip(self.feedback, self.output, strict=True):
            nn.init.eye_(cast("Tensor", w.weight))
            nn.init.zeros_(cast("Tensor", u.weight))

    def _blocks(self) -> list[nn.Module]:
        return list(self.body.blocks)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens (B, N, d) after the second pass and the final norm, of normalised images (B, 3, H, W)."""
        tokens = self.embed(x)  # (B, N, d)
        z = self.first_pass(tokens)  # (B, N, d)
        states = self.feed_back(self.selection(z))  # L times (B, N, d)
        return self.second_pass(tokens, states)

    @torch.no_grad()
    def embed(self, x: Tensor) -> Tensor:
        """Return the tokens (B, N, d) that enter the first block; both passes start from them."""
        x = self.body.patch_embed(x)
        x = self.body.patch_drop(self.body._pos_embed(x))
        return cast("Tensor", self.body.norm_pre(x))

    @torch.no_grad()
    def first_pass(self, tokens: Tensor) -> Tensor:
        """Return the tokens z (B, N, d) after the plain network's final norm."""
        for block in self.body.blocks:
            tokens = block(tokens)
        # One of the two is the identity: pooling networks norm after the pool.
        return cast("Tensor", self.body.fc_norm(self.body.norm(tokens)))

    def feed_back(self, selected: Tensor) -> list[Tensor]:
        """Return h_L, ..., h_1, each (B, N, d): h_l = W_l h_{l+1}, from h_{L+1} = z̃ (B, N, d)."""
        states = []
        for feedback in reversed(self.feedback):
            selected = feedback(selected)
            states.append(selected)
        return states

    def second_pass(self, tokens: Tensor, states: list[Tensor]) -> Tensor:
        """Return the tokens (B, N, d) after the steered blocks and the final norm; uses `states` up."""
        self._stream = [tokens] if self._records else []
        for block, output in zip(self.body.blocks, self.output, strict=True):
            with _added_to_values(block.attn.qkv, output(states.pop()), bias=self.value_bias):
                tokens = block(tokens)
            if self._records:
                self._stream.append(tokens.detach())
        return cast("Tensor", self.body.norm(tokens))


@contextmanager
def _added_to_values(qkv: nn.Linear, top_down: Tensor, *, bias: bool) -> Iterator[None]:
    """Have the block's attention use values V(x) + V(td); queries and keys stay those of x.

    `qkv` is the attention's joint projection, (B, N, d) to (B, N, 3a) for queries, keys and values of width a;
    `top_down` is td, (B, N, d).
    """
    a = qkv.out_features // 3
    value_bias = qkv.bias[2 * a :] if bias and qkv.bias is not None else None
    values = F.linear(top_down, qkv.weight[2 * a :], value_bias)  # (B, N, a)

    def add(_module: nn.Module, _inputs: object, joint: Tensor) -> Tensor:
        return torch.cat([joint[..., : 2 * a], joint[..., 2 * a :] + values], dim=-1)  # (B, N, 3a)

    hook = qkv.register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


def _check_vit(body: nn.Module) -> None:
    if not isinstance(body, VisionTransformer):
        message = (
            f"TOAST steers the attention of a timm VisionTransformer, and {type(body).__name__} is not one. "
            "Choose a ViT such as --backbone vit_base, or --method finetune, which takes any network"
        )
        raise UsageError(message)
    for block in body.blocks:
        if not isinstance(getattr(getattr(block, "attn", None), "qkv", None), nn.Linear):
            message = (
                f"TOAST adds to the values of an attention with one projection attn.qkv, and the blocks of this "
                f"VisionTransformer ({type(block).__name__}) have none. Choose another ViT, or --method finetune"
            )
            raise UsageError(message)
