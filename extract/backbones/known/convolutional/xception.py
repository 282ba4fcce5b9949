"""Xception (Chollet 2017, arXiv 1610.02357), with the weights of Keras."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import INCEPTION, Backbone, Transform

BACKBONES = Backbone(
    name="xception",
    architecture="legacy_xception.tf_in1k",
    transform=Transform((299, 299), 0.8975, "bicubic"),
    **INCEPTION,
    pooling="avg",
    hub="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
    width=2048,
    parameters=20.8,
    gflop=16.7,
    licence="apache-2.0",
)
