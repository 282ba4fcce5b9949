"""AIMv2 (Fini et al. 2024, arXiv 2411.14402), trained to continue image and text; distilled from its largest."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import CLIP, Backbone, Transform

BACKBONES = Backbone(
    name="aimv2_large",
    architecture="aimv2_large_patch14_224.apple_pt_dist",
    transform=Transform((224, 224), 1.0, "bicubic"),
    **CLIP,
    pooling="model",
    hub="timm/aimv2_large_patch14_224.apple_pt_dist",
    width=1024,
    parameters=309.2,
    gflop=164.6,
    licence="apple-ascl",
)
