"""TOAST for ConvNeXt: there is no attention to steer, so each stage gets the top-down input beside its own.

Method: Shi, Gai, Darrell, Wang, "TOAST: Transfer Learning via Attention Steering", 2023, arXiv 2305.15542, where it
is applied to ConvNeXt. TOAST-Lite for it is an extension of Stackbone's own: the paper has none. In the shapes, stage s
turns (B, c, h, w) into (B, c', h', w'); C is the last stage's c'.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn
from torch.nn import functional as F

from stackbone.cache import UsageError
from stackbone.extract.methods.toast.top_down import TopDown


class Deconvolution(nn.Module):
    """A transposed convolution without bias whose kernel is as wide as its stride.

    With a `rank` it is frozen, and one that passes through so many channels is trained beside it, `scale` times: what
    `LowRankLinear` is to a matrix. That one starts at zero.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, rank: int | None, scale: float = 1.0) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.zeros(c_in, c_out, stride, stride), requires_grad=rank is None)
        if rank is not None:
            self.down = nn.Parameter(torch.empty(c_in, rank, 1, 1).normal_(std=c_in**-0.5))
            self.up = nn.Parameter(torch.zeros(rank, c_out, stride, stride))
        self.rank = rank
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, c_out, stride * h, stride * w) of (B, c_in, h, w)."""
        wide: Tensor = F.conv_transpose2d(x, self.weight, stride=self.stride)
        if self.rank is None:
            return wide
        narrow = F.conv_transpose2d(x, self.down)  # (B, rank, h, w)
        return wide + self.scale * F.conv_transpose2d(narrow, self.up, stride=self.stride)


class ToastConvNext(TopDown):
    """TOAST around timm's own `ConvNeXt`.

    1. First pass: the last stage's map (B, C, h', w'), raw and normed over channels.
    2. Selection: z̃_i = P · clamp(cos(ξ, z_i), 0, 1) · r_i at each position i, where z is the normed map and r the raw.
    3. Feedback from the last stage to the first: h_s = W_s h_{s+1}, a transposed convolution whose stride is that of
       the stage, so that h_s has the shape of the stage's input; top-down input td_s = U_s h_s, a 1 by 1 convolution.
       The first stage begins with the stem: its input is the image, of three channels.
    4. Second pass: stage s takes x + td_s.
    5. Features: the pooled last stage of the second pass.

    Before Stackbone did as the authors do (`as_released`), it fed the normed map back, and the first stage began behind
    the stem: steerings of that time are rebuilt so.

    **Start.** U = 0, at which the features are the plain network's, bit for bit; P = I; W random, so that it keeps
    the mean square of what it carries.

    Parameters
    ----------
    body
        A timm `ConvNeXt` without classifier.
    as_released
        False for a steering of that earlier time.
    lite
        W and U are frozen, and low-rank convolutions beside them are trained.
    rank, alpha
        Of those, as of `ToastViT`.

    Raises
    ------
    UsageError
        If `body` is not such a network.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        as_released: bool = True,
        lite: bool = False,
        rank: int = 4,
        alpha: float | None = None,
    ) -> None:
        if not isinstance(body, ConvNeXt):
            message = (
                f"this variant of TOAST is for timm's ConvNeXt, and {type(body).__name__} is not one. "
                "Choose a ConvNeXt such as --backbone timm:convnext_tiny.fb_in22k, or --method finetune, which takes "
                "any network"
            )
            raise UsageError(message)
        convnext = cast("Any", body)
        super().__init__(body, int(convnext.num_features), lite=lite)
        self.as_released = as_released
        self.variational_weight = 0.01 if as_released else 0.1

        feedback, output = [], []
        low_rank = (rank if lite else None, 1.0 if alpha is None else alpha / rank)
        first = convnext.feature_info[0]
        c_in, below = (3, 1) if as_released else (int(first["num_chs"]), int(first["reduction"]))
        for info in convnext.feature_info:
            c_out, reduction = int(info["num_chs"]), int(info["reduction"])
            feedback.append(Deconvolution(c_out, c_in, reduction // below, *low_rank))
            output.append(Deconvolution(c_in, c_in, 1, *low_rank))
            nn.init.normal_(feedback[-1].weight, std=c_out**-0.5)
            c_in, below = c_out, reduction
        self.feedback, self.output = nn.ModuleList(feedback), nn.ModuleList(output)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map (B, C, h', w') of the second pass, of normalised images (B, 3, H, W)."""
        inputs, raw = self.first_pass(x)  # 4 times (B, c, h, w), and (B, C, h', w')
        states = self.feed_back(self.select_positions(raw), inputs)  # 4 times (B, c, h, w)
        return self.second_pass(inputs[0], states)

    def train_as_released(self) -> None:
        """As of `TopDown`.

        Raises
        ------
        UsageError
            For TOAST-Lite, which the authors have for ViTs alone.
        """
        if self.lite:
            message = (
                "TOAST-Lite for ConvNeXt is Stackbone's own extension, for which TOAST's authors have no recipe: "
                "leave --recipe released out, or choose --method toast"
            )
            raise UsageError(message)
        super().train_as_released()

    def _blocks(self) -> list[nn.Module]:
        return [block for stage in self.body.stages for block in stage.blocks]

    @torch.no_grad()
    def first_pass(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the inputs of the stages, (B, c, h, w), and the last one's output as it is, (B, C, h', w')."""
        stream = [x if self.as_released else self.body.stem(x)]
        for number in range(len(self.body.stages)):
            stream.append(self._run_stage(number, stream[-1]))
        return stream, stream.pop()

    @torch.no_grad()
    def normed(self, raw: Tensor) -> Tensor:
        """Return the last stage's map (B, C, h', w') normed over channels."""
        z = self.body.norm_pre(raw)
        # timm's usual ConvNeXt norms after the pool, in its head; then norm_pre is the identity.
        return cast("Tensor", self.body.head.norm(z) if hasattr(self.body.head, "norm") else z)

    def select_positions(self, raw: Tensor) -> Tensor:
        """Return z̃ (B, C, h', w') of the last stage's map (B, C, h', w')."""

        def tokens(z: Tensor) -> Tensor:
            return z.flatten(2).transpose(1, 2)  # (B, h' * w', C)

        z = tokens(self.normed(raw))
        selected = self.selection(z, tokens(raw) if self.as_released else None)
        return selected.transpose(1, 2).reshape(raw.shape)

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
        for number, output in enumerate(self.output):
            x = self._run_stage(number, x + output(states.pop()))
            if self._records:
                self._stream.append(x.detach())
        return cast("Tensor", self.body.norm_pre(x))

    def _run_stage(self, number: int, x: Tensor) -> Tensor:
        if number == 0 and self.as_released:
            x = self.body.stem(x)
        return cast("Tensor", self.body.stages[number](x))

    def _predict(self, feedback: nn.Module, above: Tensor, below: Tensor) -> Tensor:
        down: Tensor = feedback(above)
        # A stage drops the last rows or columns of an input that its stride does not divide, of which nothing is known
        # from above; or pads it, and what stands over falls away.
        return F.pad(down, (0, below.shape[-1] - down.shape[-1], 0, below.shape[-2] - down.shape[-2]))
