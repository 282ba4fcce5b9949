"""ResNet (He et al. 2016, arXiv 1512.03385), with the weights that torchvision published first."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform

BACKBONES = Backbone(
    name="resnet50",
    architecture="resnet50.tv_in1k",
    transform=Transform((224, 224), 0.875, "bilinear"),
    **IMAGENET,
    pooling="avg",
    hub="timm/resnet50.tv_in1k",
    width=2048,
    parameters=23.5,
    gflop=8.17,
    licence="bsd-3-clause",
)
