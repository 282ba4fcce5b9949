"""VGG (Simonyan and Zisserman 2015, arXiv 1409.1556): the mean of its last convolution, not its wide layers."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform


def _vgg(depth: int, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"vgg{depth}",
        architecture=f"vgg{depth}.tv_in1k",
        transform=Transform((224, 224), 0.875, "bilinear"),
        **IMAGENET,
        pooling="avg",
        hub=f"timm/vgg{depth}.tv_in1k",
        width=512,
        parameters=parameters,
        gflop=gflop,
        licence="bsd-3-clause",
    )


BACKBONES = (_vgg(16, 14.7, 30.7), _vgg(19, 20.0, 39.0))
