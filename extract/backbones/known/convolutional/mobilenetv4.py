"""MobileNetV4 (Qin et al. 2024, arXiv 2404.10518), trained by timm's author: the authors released no weights."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, Backbone, Transform

BACKBONES = (
    Backbone(
        name="mobilenetv4_small",
        architecture="mobilenetv4_conv_small.e2400_r224_in1k",
        transform=Transform((224, 224), 0.875, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub="timm/mobilenetv4_conv_small.e2400_r224_in1k",
        width=1280,
        parameters=2.5,
        gflop=0.37,
        licence="apache-2.0",
    ),
    Backbone(
        name="mobilenetv4_medium",
        architecture="mobilenetv4_conv_medium.e500_r256_in1k",
        transform=Transform((256, 256), 0.95, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub="timm/mobilenetv4_conv_medium.e500_r256_in1k",
        width=1280,
        parameters=8.4,
        gflop=2.16,
        licence="apache-2.0",
    ),
)
