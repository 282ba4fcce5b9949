"""DINOv3 (Simeoni et al. 2025, arXiv 2508.10104): self-supervised; by timm's choice the mean of the patch tokens.

The authors' own repositories on the hub are gated; timm's, which are taken here, are not, under the same licence.
"""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _dinov3(size: str, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"dinov3_{size}",
        architecture=f"vit_{size}_patch16_dinov3.lvd1689m",
        transform=Transform((256, 256), 1.0, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub=f"timm/vit_{size}_patch16_dinov3.lvd1689m",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="dinov3-license",
    )


BACKBONES = (_dinov3("small", 384, 21.6, 12.5), _dinov3("base", 768, 85.6, 47.1), _dinov3("large", 1024, 303.1, 164.7))
