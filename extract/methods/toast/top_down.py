"""What TOAST adds to any backbone: selection, the way back down, and the variational term.

Method: Shi, Gai, Darrell, Wang, "TOAST: Transfer Learning via Attention Steering", 2023, arXiv 2305.15542, section 3;
the variational term is that of Shi, Darrell, Wang, "Top-Down Visual Attention from Analysis by Synthesis", 2023,
arXiv 2303.13043. In the shapes, B is images, N tokens (or positions), d the width.
"""

from __future__ import annotations

from typing import Any, Self, cast

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn import functional as F

_START = 0.02
_DROP_PATH = 0.1


class LowRankLinear(nn.Linear):
    """A frozen d-by-d matrix plus a trained one of low rank (Hu et al. 2022, LoRA, arXiv 2106.09685, section 4.1).

    The sum starts at the frozen matrix, since one of the two factors starts at zero. `scale` times counts the second.
    """

    def __init__(self, d: int, rank: int, scale: float = 1.0) -> None:
        super().__init__(d, d, bias=False)
        self.scale = scale
        self.weight.requires_grad_(False)  # noqa: FBT003 - torch names it otherwise for tensors
        self.down = nn.Parameter(torch.empty(rank, d).normal_(std=d**-0.5))
        self.up = nn.Parameter(torch.zeros(d, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, d) of (B, N, d)."""
        return super().forward(x) + self.scale * F.linear(F.linear(x, self.down), self.up)


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
    lite
        Whether the large parameters are frozen, and sums of low rank beside them trained.

    Attributes
    ----------
    variational_weight
        What the variational term counts in the loss of pre-tuning.
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
    variational_weight = 0.1

    def __init__(self, body: nn.Module, d: int, *, lite: bool = False) -> None:
        super().__init__()
        self.lite = lite
        self.body = body.requires_grad_(requires_grad=False).eval()
        self.xi = nn.Parameter(torch.zeros(d))
        self.select = nn.Parameter(torch.eye(d))
        self._stream: list[Tensor] = []
        self._drop_paths: list[nn.Module] = []

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, d) of normalised images (B, 3, H, W)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the tokens, or the map, at the end of the second pass."""
        raise NotImplementedError

    def forward_head(self, z: Tensor) -> Tensor:
        """Return the pooled features (B, d) of tokens or a map."""
        return cast("Tensor", self.body.forward_head(z, pre_logits=True))

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body: dropout or batch statistics in it would make another network."""
        super().train(mode)
        self.body.eval()
        for each in self._drop_paths:
            each.train(mode)
        return self

    def train_as_released(self) -> None:
        """Train as TOAST's authors do, see docs/steering.md: P frozen but in Lite, and stochastic depth in both passes.

        Its rate rises evenly from 0 in the first block to .1 in the last (Huang et al. 2016, arXiv 1603.09382). ξ, W
        and U start as a ViT's matrices usually do, from a normal distribution with standard deviation .02; what is
        frozen stays as it is.
        """
        self.select.requires_grad_(self.lite)
        for parameter in (self.xi, *(each.weight for each in (*self.feedback, *self.output))):
            if cast("Tensor", parameter).requires_grad:
                nn.init.trunc_normal_(cast("Tensor", parameter), std=_START)
        blocks = self._blocks()
        for number, block in enumerate(blocks):
            for name in [name for name, _ in block.named_children() if name.startswith("drop_path")]:
                drop_path = DropPath(_DROP_PATH * number / max(1, len(blocks) - 1)).train(self.training)
                self._drop_paths.append(drop_path)
                setattr(block, name, drop_path)

    def _blocks(self) -> list[nn.Module]:
        """Return the residual blocks of the body, the first first."""
        raise NotImplementedError

    def similarity(self, z: Tensor) -> Tensor:
        """Return clamp(cos(ξ, z_i), 0, 1), (B, N), of features (B, N, d)."""
        # Not as a matrix product, which autocast would compute in bf16, nor by F.cosine_similarity, which OpenVINO
        # does not convert.
        cosine = (F.normalize(self.xi.float(), dim=0) * F.normalize(z.float(), dim=-1)).sum(-1)
        return cosine.clamp(0, 1).to(z.dtype)

    def selection(self, z: Tensor, raw: Tensor | None = None) -> Tensor:
        """Return z̃_i = P · clamp(cos(ξ, z_i), 0, 1) · z_i, (B, N, d), of features (B, N, d).

        Where `raw` is given, it is what is fed back in the place of z, which then decides the cosine alone.
        """
        if self.training and not self.xi.any():
            with torch.no_grad():
                mean = F.normalize(z.float(), dim=-1).mean((0, 1))
                # As long as a normed token: the shorter it is, the further a step turns it, and one that has turned
                # away from all tokens gets no gradient any more.
                self.xi.copy_(F.normalize(mean, dim=0) * len(mean) ** 0.5)
        return F.linear(self.similarity(z)[..., None] * (z if raw is None else raw), self.select)

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
