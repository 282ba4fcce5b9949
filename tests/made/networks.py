"""Small networks of random weights, without classifier, in evaluation mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.convnext import ConvNeXt
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def make_vit(*, seed: int = 0, **options: Any) -> Any:  # noqa: ANN401 - timm has no types
    """Return a ViT for 16 x 16 pixels: 4 patches, 16 wide, 2 blocks, unless the options say otherwise."""
    torch.manual_seed(seed)
    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0}
    return VisionTransformer(**sizes | options).eval()


def make_cnn(*, channels: tuple[int, int, int, int] = (8, 8, 8, 8)) -> Any:  # noqa: ANN401 - timm has no types
    """Return a ResNet of one block a stage."""
    return ResNet(BasicBlock, layers=(1, 1, 1, 1), channels=channels, stem_width=8, num_classes=0).eval()


def make_convnext(**options: Any) -> Any:  # noqa: ANN401 - timm has no types
    """Return a ConvNeXt of one block a stage, 8 to 16 channels wide, unless the options say otherwise."""
    sizes = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "num_classes": 0}
    return ConvNeXt(**sizes | options).eval()


def randomise(module: nn.Module, seed: int, scale: float = 0.2) -> None:
    """Give every parameter random values, biases and scales too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def own_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return what a method adds to a backbone."""
    return {name: p for name, p in network.named_parameters() if not name.startswith("body.")}


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference, as a share of the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
