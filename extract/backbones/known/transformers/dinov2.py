"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193): self-supervised; the class token after the final norm."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _dinov2(size: str, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"dinov2_{size}",
        architecture=f"vit_{size}_patch14_dinov2.lvd142m",
        transform=Transform((518, 518), 1.0, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub=f"timm/vit_{size}_patch14_dinov2.lvd142m",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="apache-2.0",
    )


BACKBONES = (
    _dinov2("small", 384, 22.1, 93.4),
    _dinov2("base", 768, 86.6, 303.1),
    _dinov2("large", 1024, 304.4, 1013.6),
)
