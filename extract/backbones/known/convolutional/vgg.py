"""VGG (Simonyan and Zisserman 2015, arXiv 1409.1556): the mean of its last convolution, not its wide layers."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform

BACKBONES = Backbone(
    name="vgg19",
    architecture="vgg19.tv_in1k",
    transform=Transform((224, 224), 0.875, "bilinear"),
    **IMAGENET,
    pooling="avg",
    hub="timm/vgg19.tv_in1k",
)
