"""What timm says of the preprocessing of a backbone's weights."""

from __future__ import annotations

from typing import Any

from stackbone.extract.backbones.backbone import Backbone


def pinned_config(backbone: Backbone) -> dict[str, Any]:
    """Return timm's own configuration of the pinned tag; nothing of ours but the name.

    The backbone that no tag is for is of DeiT's kind, with the sizes of DeiT's own evaluation: 256, then 224 of it.
    """
    import timm
    from timm.data import resolve_data_config

    own = {"vit_base_imagenet": ("deit_base_patch16_224.fb_in1k", {"crop_pct": 224 / 256})}
    tag, changes = own.get(backbone.name, (backbone.architecture, {}))
    config: dict[str, Any] = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(tag).to_dict()) | changes
    return config
