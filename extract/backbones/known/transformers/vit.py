"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929): the class token after the final norm."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import IMAGENET, INCEPTION, Backbone, Transform

BACKBONES = (
    Backbone(
        name="vit_base",
        architecture="vit_base_patch16_224.augreg2_in21k_ft_in1k",
        transform=Transform((224, 224), 0.9, "bicubic"),
        **INCEPTION,
        pooling="model",
        hub="timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
        width=768,
        parameters=85.8,
        gflop=35.1,
        licence="apache-2.0",
    ),
    # DeiT-B's shape (Touvron et al. 2021, arXiv 2012.12877) and normalisation, of which TOAST's authors released
    # checkpoints; their weights lie on no hub, and such a checkpoint holds them.
    Backbone(
        name="vit_base_imagenet",
        architecture="vit_base_patch16_224",
        transform=Transform((224, 224), 0.875, "bicubic"),
        **IMAGENET,
        pooling="model",
        hub="",
        width=768,
        parameters=85.8,
        gflop=35.1,
    ),
)
