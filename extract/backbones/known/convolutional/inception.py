"""Inception (Szegedy et al. 2016, arXiv 1512.00567)."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import INCEPTION, Backbone, Transform

BACKBONES = Backbone(
    name="inception_v3",
    architecture="inception_v3.tv_in1k",
    transform=Transform((299, 299), 0.875, "bicubic"),
    **INCEPTION,
    pooling="avg",
    hub="timm/inception_v3.tv_in1k",
    width=2048,
    parameters=21.8,
    gflop=11.4,
    licence="apache-2.0",
)
