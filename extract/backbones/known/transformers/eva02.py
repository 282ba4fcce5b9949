"""EVA-02 (Fang et al. 2023, arXiv 2303.11331), and its tower of EVA-CLIP (Sun et al. 2023, arXiv 2303.15389)."""

from __future__ import annotations

from stackbone.extract.backbones.backbone import CLIP, Backbone, Transform

BACKBONES = (
    Backbone(
        name="eva02_small",
        architecture="eva02_small_patch14_336.mim_in22k_ft_in1k",
        transform=Transform((336, 336), 1.0, "bicubic"),
        **CLIP,
        pooling="model",
        hub="timm/eva02_small_patch14_336.mim_in22k_ft_in1k",
        width=384,
        parameters=21.7,
        gflop=30.9,
        licence="mit",
    ),
    Backbone(
        name="eva02_base",
        architecture="eva02_base_patch14_448.mim_in22k_ft_in22k_in1k",
        transform=Transform((448, 448), 1.0, "bicubic", "squash"),
        **CLIP,
        pooling="model",
        hub="timm/eva02_base_patch14_448.mim_in22k_ft_in22k_in1k",
        width=768,
        parameters=86.3,
        gflop=213.8,
        licence="mit",
    ),
    Backbone(
        name="eva02_clip_base",
        architecture="eva02_base_patch16_clip_224.merged2b",
        transform=Transform((224, 224), 0.9, "bicubic"),
        **CLIP,
        pooling="model",
        hub="timm/eva02_base_patch16_clip_224.merged2b",
        width=768,
        parameters=85.9,
        gflop=35.1,
        licence="mit",
    ),
)
