"""Swin transformers (Liu et al. 2021, arXiv 2103.14030); the base one with the weights of ImageNet-22k alone."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _swin(size: str, tag: str, width: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"swin_{size}",
        architecture=f"swin_{size}_patch4_window7_224.{tag}",
        transform=Transform((224, 224), 0.9, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub=f"timm/swin_{size}_patch4_window7_224.{tag}",
        width=width,
        parameters=parameters,
        gflop=gflop,
        licence="mit",
    )


BACKBONES = (_swin("tiny", "ms_in1k", 768, 27.5, 8.98), _swin("base", "ms_in22k", 1024, 86.7, 30.9))
