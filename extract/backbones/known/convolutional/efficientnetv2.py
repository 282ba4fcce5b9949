"""EfficientNetV2 (Tan and Le 2021, arXiv 2104.00298)."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, INCEPTION, Backbone, Transform

BACKBONES = (
    Backbone(
        name="efficientnetv2_b0",
        architecture="tf_efficientnetv2_b0.in1k",
        transform=Transform((192, 192), 0.875, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub="timm/tf_efficientnetv2_b0.in1k",
        width=1280,
        parameters=5.9,
        gflop=1.05,
        licence="apache-2.0",
    ),
    Backbone(
        name="efficientnetv2_s",
        architecture="tf_efficientnetv2_s.in21k_ft_in1k",
        transform=Transform((300, 300), 1.0, "bicubic"),
        **INCEPTION,
        pooling="model",
        hub="timm/tf_efficientnetv2_s.in21k_ft_in1k",
        width=1280,
        parameters=20.2,
        gflop=10.6,
        licence="apache-2.0",
    ),
)
