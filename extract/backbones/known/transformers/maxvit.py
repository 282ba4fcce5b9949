"""MaxViT (Tu et al. 2022, arXiv 2204.01697): convolutions, and attention within blocks and over a grid."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, INCEPTION, Backbone, Normalisation, Transform


def _maxvit(size: str, tag: str, normalisation: Normalisation, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"maxvit_{size}",
        architecture=f"maxvit_{size}_tf_224.{tag}",
        transform=Transform((224, 224), 0.95, "bicubic"),
        **normalisation,
        pooling="model",
        hub=f"timm/maxvit_{size}_tf_224.{tag}",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="apache-2.0",
    )


BACKBONES = (_maxvit("tiny", "in1k", IMAGENET, 512, 30.4, 11.1), _maxvit("base", "in21k", INCEPTION, 768, 118.7, 47.8))
