"""Fine-tuning: a backbone whose last blocks, or all of them, are trained further; or none, for a linear probe."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from stackbone.cache import UsageError
from stackbone.cache.text import counted
from stackbone.extract.networks.network import Pooled

_WITH_THE_ONE_BEFORE = (99999,)  # in timm's patterns of parameter names


class FineTuned(nn.Module):
    """Any timm model, of which the last blocks are trained.

    It stays in evaluation mode: batch norm keeps the statistics of its pretraining, which small batches of a small
    dataset would spoil; its scales and shifts are trained like all else.

    Parameters
    ----------
    body
        A timm model without classifier, or one in `Pooled`.
    blocks
        How many blocks are trained, counted from the last; None trains everything, 0 nothing. A block is what timm
        takes for one layer of the model: of a ViT a transformer block, of a ResNet a residual block, of Xception a
        block, of VGG a convolution. What follows the last block, such as a norm, belongs to it.

    Raises
    ------
    UsageError
        If the model has fewer blocks.
    """

    def __init__(self, body: nn.Module, *, blocks: int | None = None) -> None:
        super().__init__()
        self.body = body.requires_grad_(requires_grad=False).eval()
        names = _block_parameters(body.body if isinstance(body, Pooled) else body)
        if blocks is not None and blocks > len(names):
            message = (
                f"the backbone has {counted(len(names), 'block')}, and the last {blocks} should be trained: name fewer"
            )
            raise UsageError(message)
        for block in names[len(names) - (len(names) if blocks is None else blocks) :]:
            for parameter in block:
                parameter.requires_grad = True

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but the body."""
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        features: Tensor = self.body(x)
        return features


def _block_parameters(model: Any) -> list[list[nn.Parameter]]:  # noqa: ANN401 - timm's models share no type
    """Return the parameters of each block, the first block first, the stem being the first."""
    from timm.models import group_parameters

    parameters = dict(model.named_parameters())
    matcher = model.group_matcher(coarse=False)
    if isinstance(matcher, dict):
        # What no pattern names, such as a norm behind the pool, would be a block of its own.
        matcher = {**matcher, "rest": [(r".", _WITH_THE_ONE_BEFORE)]}
    groups: dict[int, list[str]] = group_parameters(model, matcher)
    return [[parameters[name] for name in groups[key]] for key in sorted(groups)]
