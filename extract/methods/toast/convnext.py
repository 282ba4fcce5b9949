"""TOAST for ConvNeXt: there is no attention to steer, so each stage gets the top-down input beside its own.

Method: Shi, Gai, Darrell, Wang, "TOAST: Transfer Learning via Attention Steering", 2023, arXiv 2305.15542, where it
is applied to ConvNeXt. In the shapes, stage s turns (B, c, h, w) into (B, c', h', w'); C is the last stage's c'.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn
from torch.nn import functional as F

from stackbone.cache import UsageError
from stackbone.extract.methods.toast.module import TopDown


class Deconvolution(nn.Module):
    """A transposed convolution without bias whose kernel is as wide as its stride.

    With a `rank` it is frozen, and one that passes through so many channels is trained beside it: what
    `LowRankLinear` is to a matrix. That one starts at zero.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, rank: int | None) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.zeros(c_in, c_out, stride, stride), requires_grad=rank is None)
        if rank is not None:
            self.down = nn.Parameter(torch.empty(c_in, rank, 1, 1).normal_(std=c_in**-0.5))
            self.up = nn.Parameter(torch.zeros(rank, c_out, stride, stride))
        self.rank = rank

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, c_out, stride * h, stride * w) of (B, c_in, h, w)."""
        wide: Tensor = F.conv_transpose2d(x, self.weight, stride=self.stride)
        if self.rank is None:
            return wide
        narrow = F.conv_transpose2d(x, self.down)  # (B, rank, h, w)
        return wide + F.conv_transpose2d(narrow, self.up, stride=self.stride)


class ToastConvNext(TopDown):
    """TOAST around timm's own `ConvNeXt`.

    1. First pass: features z (B, C, h', w') of the last stage, normed over channels.
    2. Selection as in a ViT, the positions of z being the tokens.
    3. Feedback from the last stage to the first: h_s = W_s h_{s+1}, a transposed convolution whose stride is that of
       the stage, so that h_s has the shape of the stage's input; top-down input td_s = U_s h_s, a 1 by 1 convolution.
    4. Second pass: stage s takes x + td_s.
    5. Features: the pooled last stage of the second pass.

    **Start.** U = 0, at which the features are the plain network's, bit for bit; P = I; W random, so that it keeps
    the mean square of what it carries.

    Parameters
    ----------
    body
        A timm `ConvNeXt` without classifier.
    lite
        W and U are frozen, and low-rank convolutions beside them are trained.
    rank
        Of those.

    Raises
    ------
    UsageError
        If `body` is not such a network.
    """

    def __init__(self, body: nn.Module, *, lite: bool = False, rank: int = 4) -> None:
        if not isinstance(body, ConvNeXt):
            message = (
                f"this variant of TOAST is for timm's ConvNeXt, and {type(body).__name__} is not one. "
                "Choose a ConvNeXt such as --backbone timm:convnext_tiny.fb_in22k, or --method finetune, which takes "
                "any network"
            )
            raise UsageError(message)
        convnext = cast("Any", body)
        super().__init__(body, int(convnext.num_features))

        feedback, output = [], []
        c_in = int(convnext.stem[-2].out_channels)  # the last convolution of every kind of stem; a norm follows
        for stage, info in zip(convnext.stages, convnext.feature_info, strict=True):
            c_out = int(info["num_chs"])
            # A stage that changes neither the size nor the channels has no module here.
            stride = 1 if isinstance(stage.downsample, nn.Identity) else int(stage.downsample[1].stride[0])
            feedback.append(Deconvolution(c_out, c_in, stride, rank if lite else None))
            output.append(Deconvolution(c_in, c_in, 1, rank if lite else None))
            nn.init.normal_(feedback[-1].weight, std=c_out**-0.5)
            c_in = c_out
        self.feedback, self.output = nn.ModuleList(feedback), nn.ModuleList(output)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, C) of normalised images (B, 3, H, W)."""
        inputs, z = self.first_pass(x)  # 4 times (B, c, h, w), and (B, C, h', w')
        states = self.feed_back(self.select_positions(z), inputs)  # 4 times (B, c, h, w)
        z = self.second_pass(inputs[0], states)  # (B, C, h', w')
        return cast("Tensor", self.body.forward_head(z, pre_logits=True))  # (B, C)

    @torch.no_grad()
    def first_pass(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the inputs of the stages, (B, c, h, w), and the last one's output, normed over channels."""
        stream = [self.body.stem(x)]
        for stage in self.body.stages:
            stream.append(stage(stream[-1]))
        z = self.body.norm_pre(stream.pop())
        # timm's usual ConvNeXt norms after the pool, in its head; then norm_pre is the identity.
        return stream, self.body.head.norm(z) if hasattr(self.body.head, "norm") else z

    def select_positions(self, z: Tensor) -> Tensor:
        """Return z̃ (B, C, h', w') of z (B, C, h', w')."""
        selected = self.selection(z.flatten(2).transpose(1, 2))  # (B, h' * w', C)
        return selected.transpose(1, 2).reshape(z.shape)

    def feed_back(self, selected: Tensor, inputs: list[Tensor]) -> list[Tensor]:
        """Return h_4, ..., h_1, each of the shape (B, c, h, w) of its stage's input: h_s = W_s h_{s+1}."""
        states = []
        for feedback, below in zip(reversed(self.feedback), reversed(inputs), strict=True):
            selected = self._predict(feedback, selected, below)
            states.append(selected)
        return states

    def second_pass(self, x: Tensor, states: list[Tensor]) -> Tensor:
        """Return the last stage's output (B, C, h', w') after the steered stages; uses `states` up."""
        self._stream = [x] if self._records else []
        for stage, output in zip(self.body.stages, self.output, strict=True):
            x = stage(x + output(states.pop()))
            if self._records:
                self._stream.append(x.detach())
        return cast("Tensor", self.body.norm_pre(x))

    def _predict(self, feedback: nn.Module, above: Tensor, below: Tensor) -> Tensor:
        down: Tensor = feedback(above)
        # A stage drops the last row or column of an odd-sized input: nothing is known of it from above.
        return F.pad(down, (0, below.shape[-1] - down.shape[-1], 0, below.shape[-2] - down.shape[-2]))
