"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929): the class token after the final norm."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import INCEPTION, Backbone, Transform

BACKBONES = Backbone(
    name="vit_base",
    architecture="vit_base_patch16_224.augreg2_in21k_ft_in1k",
    transform=Transform((224, 224), 0.9, "bicubic"),
    **INCEPTION,
    pooling="model",
    hub="timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
)
