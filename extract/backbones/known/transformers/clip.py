"""CLIP's image towers (Radford et al. 2021, arXiv 2103.00020): the class token before the projection.

The weights were trained with QuickGELU, so the architecture is the variant that computes it; timm's plain one, which
the same file fits, does not.
"""

from __future__ import annotations

from stackbone.extract.backbones.backbone import CLIP, Backbone, Transform


def _clip(size: str, patch: int, crop_fraction: float, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"clip_vit_{size}",
        architecture=f"vit_{size}_patch{patch}_clip_quickgelu_224.openai",
        transform=Transform((224, 224), crop_fraction, "bicubic"),
        **CLIP,
        pooling="model",
        hub=f"timm/vit_{size}_patch{patch}_clip_224.openai",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="apache-2.0",
    )


BACKBONES = (_clip("base", 16, 0.9, 768, 85.8, 35.1), _clip("large", 14, 1.0, 1024, 303.2, 162.0))
