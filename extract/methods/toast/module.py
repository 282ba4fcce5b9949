"""TOAST: a frozen ViT looks twice, the second time with its attention steered to the task.

Method: Shi, Gai, Darrell, Wang, "TOAST: Transfer Learning via Attention Steering", 2023, arXiv 2305.15542, section 3;
the variational term is that of Shi, Darrell, Wang, "Top-Down Visual Attention from Analysis by Synthesis", 2023,
arXiv 2303.13043. In the shapes, B is images, N tokens (prefix tokens and patches), d the width, L the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from stackbone.cache import UsageError


class LowRankLinear(nn.Linear):
    """A frozen d-by-d matrix plus a trained one of low rank (Hu et al. 2022, LoRA, arXiv 2106.09685, section 4.1).

    The sum starts at the frozen matrix, since one of the two factors starts at zero.
    """

    def __init__(self, d: int, rank: int) -> None:
        super().__init__(d, d, bias=False)
        self.weight.requires_grad_(False)  # noqa: FBT003 - torch names it otherwise for tensors
        self.down = nn.Parameter(torch.empty(rank, d).normal_(std=d**-0.5))
        self.up = nn.Parameter(torch.zeros(d, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, d) of (B, N, d)."""
        return super().forward(x) + F.linear(F.linear(x, self.down), self.up)


class TopDown(nn.Module):
    """What TOAST adds to any backbone: selection of features, the way back down, and the variational term.

    Every parameter outside ``body`` belongs to the steering, trained or (with TOAST-Lite) not: a file that is to
    rebuild it holds them all. ``body`` stays frozen and in evaluation mode, also while the steering is trained.

    Parameters
    ----------
    body
        The backbone without classifier; its parameters cease to require gradients.
    d
        Width of its last features.

    Attributes
    ----------
    xi
        Task embedding, (d,). Zero until the first pass in training mode, which starts it at the mean direction of
        that batch's features, with length √d: from a random start, all of an image's cosines may be negative and so
        clamped to zero, and then no gradient ever reaches it. At zero nothing is selected.
    select
        Channel selection P, (d, d).
    feedback, output
        One module W and one module U for each layer, the first layer first.
    """

    body: Any
    feedback: nn.ModuleList
    output: nn.ModuleList

    def __init__(self, body: nn.Module, d: int) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        self.xi = nn.Parameter(torch.zeros(d))
        self.select = nn.Parameter(torch.eye(d))
        self._stream: list[Tensor] = []

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body: dropout or batch statistics in it would make another network."""
        super().train(mode)
        self.body.eval()
        return self

    def similarity(self, z: Tensor) -> Tensor:
        """Return clamp(cos(ξ, z_i), 0, 1), (B, N), of features (B, N, d)."""
        # Not as a matrix product, which autocast would compute in bf16, nor by F.cosine_similarity, which OpenVINO
        # does not convert.
        cosine = (F.normalize(self.xi.float(), dim=0) * F.normalize(z.float(), dim=-1)).sum(-1)
        return cosine.clamp(0, 1).to(z.dtype)

    def selection(self, z: Tensor) -> Tensor:
        """Return z̃_i = P · clamp(cos(ξ, z_i), 0, 1) · z_i, (B, N, d), of features (B, N, d)."""
        if self.training and not self.xi.any():
            with torch.no_grad():
                mean = F.normalize(z.float(), dim=-1).mean((0, 1))
                # As long as a normed token: the shorter it is, the further a step turns it, and one that has turned
                # away from all tokens gets no gradient any more.
                self.xi.copy_(F.normalize(mean, dim=0) * len(mean) ** 0.5)
        return F.linear(self.similarity(z)[..., None] * z, self.select)

    def variational_loss(self) -> Tensor:
        """Return Σ_l MSE(W_l(out_l), in_l), a scalar, over the second pass of the last forward in training mode.

        The feedback learns to predict a layer's input from its output: what it carries down then looks like what
        the layer is used to. Input and output are detached, so that W alone is trained by it.

        Raises
        ------
        RuntimeError
            If there was no forward pass in training mode with gradients, or its loss was already asked for.
        """
        if not self._stream:
            message = "no forward pass in training mode, with gradients, since the last variational loss"
            raise RuntimeError(message)
        stream, self._stream = self._stream, []
        terms = [
            F.mse_loss(self._predict(feedback, after, before), before)
            for feedback, before, after in zip(self.feedback, stream, stream[1:], strict=False)
        ]
        return torch.stack(terms).sum()

    @property
    def _records(self) -> bool:
        return self.training and torch.is_grad_enabled()

    def _predict(self, feedback: nn.Module, above: Tensor, below: Tensor) -> Tensor:
        """Return W_l of what is `above` a layer, in the shape of what is `below` it."""
        del below  # the same shape in a ViT
        return cast("Tensor", feedback(above))


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

    Raises
    ------
    UsageError
        If `body` is not such a network.
    """

    def __init__(self, body: nn.Module, *, value_bias: bool = True, lite: bool = False, rank: int = 4) -> None:
        _check_vit(body)
        vit = cast("Any", body)
        d, n_blocks = int(vit.embed_dim), len(vit.blocks)
        super().__init__(body, d)
        self.value_bias = value_bias

        def matrix() -> nn.Linear:
            return LowRankLinear(d, rank) if lite else nn.Linear(d, d, bias=False)

        self.feedback = nn.ModuleList(matrix() for _ in range(n_blocks))
        self.output = nn.ModuleList(matrix() for _ in range(n_blocks))
        for w, u in zip(self.feedback, self.output, strict=True):
            nn.init.eye_(cast("Tensor", w.weight))
            nn.init.zeros_(cast("Tensor", u.weight))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, d) of normalised images (B, 3, H, W)."""
        tokens = self.embed(x)  # (B, N, d)
        z = self.first_pass(tokens)  # (B, N, d)
        states = self.feed_back(self.selection(z))  # L times (B, N, d)
        tokens = self.second_pass(tokens, states)  # (B, N, d)
        return cast("Tensor", self.body.forward_head(tokens, pre_logits=True))  # (B, d)

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
