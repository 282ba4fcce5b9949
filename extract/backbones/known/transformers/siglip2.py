"""SigLIP 2's image towers (Tschannen et al. 2025, arXiv 2502.14786), pooled by attention, as text is compared with."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import INCEPTION, Backbone, Transform


def _siglip2(size: str, patch: int, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"siglip2_{size}",
        architecture=f"vit_{size}_patch{patch}_siglip_224.v2_webli",
        transform=Transform((224, 224), 0.9, "bicubic"),
        **INCEPTION,
        pooling="model",
        hub=f"timm/vit_{size}_patch{patch}_siglip_224.v2_webli",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="apache-2.0",
    )


BACKBONES = (_siglip2("base", 16, 768, 92.9, 35.4), _siglip2("so400m", 14, 1152, 427.7, 220.4))
