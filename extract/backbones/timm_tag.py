"""What timm's registry says of a model with pretrained weights."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from stackbone.cache import UsageError


@dataclass(frozen=True)
class TimmTag:
    """A model with its pretrained tag.

    Attributes
    ----------
    architecture
        ``MODEL.TAG``.
    input_size
        (height, width) in pixels.
    crop_fraction, interpolation, crop_mode
        Of the evaluation transform, see `Transform`.
    mean, std
        Of the normalisation, per RGB channel, for values from 0 to 1.
    hub
        Repository on the model hub, or the address of the weights file.
    """

    architecture: str
    input_size: tuple[int, int]
    crop_fraction: float
    interpolation: str
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hub: str


def read_tag(model: str) -> TimmTag:
    """Return what timm says of a model, with its tag or by timm's default one; this imports timm (seconds).

    Raises
    ------
    UsageError
        If timm has no such model, or the model has no weights or takes something else than RGB images.
    """
    import timm
    from timm.data import resolve_data_config

    name = model.split(".", 1)[0]
    if not timm.is_model(name):
        near = difflib.get_close_matches(model, timm.list_models() + timm.list_pretrained(), n=3, cutoff=0.5)
        hint = f"the nearest are {', '.join(near)}" if near else "see timm.list_pretrained()"
        message = f"timm has no model {model!r}: {hint}"
        raise UsageError(message)
    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError as exc:
        tags = ", ".join(timm.list_pretrained(name + ".*")) or "no pretrained weights"
        message = f"timm's model {name!r} has no weights with that tag; it has {tags}"
        raise UsageError(message) from exc
    if config is None or not config.has_weights:
        tags = ", ".join(timm.list_pretrained(name + ".*")) or "none"
        message = f"timm names no pretrained weights for {model!r}; tags with weights: {tags}"
        raise UsageError(message)
    data = resolve_data_config(pretrained_cfg=config.to_dict())
    channels, height, width = data["input_size"]
    crop_mode, interpolation = data["crop_mode"], data["interpolation"]
    if channels != 3 or crop_mode not in ("center", "squash") or interpolation not in ("bilinear", "bicubic"):
        message = (
            f"timm:{model} takes {channels} channels, crop {crop_mode!r}, interpolation {interpolation!r}; "
            "Stackbone feeds RGB images by center or squash, bilinear or bicubic"
        )
        raise UsageError(message)
    return TimmTag(
        architecture=f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture),
        input_size=(height, width),
        crop_fraction=data["crop_pct"],
        interpolation=interpolation,
        crop_mode=crop_mode,
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        hub=config.hf_hub_id or str(config.url or ""),
    )
