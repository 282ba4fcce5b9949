"""The space that a network shares with a text encoder: which of timm's models have one, and where it begins.

timm keeps the projection of a CLIP-like image tower in the classifier's place. What the network gives without it, its
pooled features, cannot be compared with text; what the projection makes of them can. SigLIP has no projection: what
its attention pools is compared with text as it is.
"""

from __future__ import annotations

from typing import Any

from timm.data import infer_imagenet_subset
from timm.layers import AttentionPoolLatent
from torch import nn

JOINT = "joint"
"""Name of the output."""
PROJECTION = "joint_projection"
"""Attribute of a timm model that keeps its projection, where that was asked for."""

_WIDEST = 2048  # of the spaces there are; more outputs than these are labels


def joint_width(network: Any) -> int:  # noqa: ANN401 - timm's models share no type
    """Return how many columns features have in a timm model's joint space; 0 if it has none.

    By what timm says of its pretrained weights: as many outputs as no label set of ImageNet has, or none at all behind
    a pool by attention. A tower that was fine-tuned to classify has the labels of its task, and no joint space.
    """
    n_outputs = _n_pretrained(network)
    if n_outputs == 0:
        pools = isinstance(getattr(network, "attn_pool", None), AttentionPoolLatent)
        return int(network.num_features) if pools else 0
    return n_outputs if n_outputs <= _WIDEST and infer_imagenet_subset({"num_classes": n_outputs}) is None else 0


def find_projection(network: Any) -> nn.Module | None:  # noqa: ANN401 - timm's models share no type
    """Return what takes pooled features into the joint space, of a whole timm model; None where there is nothing to."""
    return network.get_classifier() if joint_width(network) and _n_pretrained(network) else None


def _n_pretrained(network: Any) -> int:  # noqa: ANN401 - timm's models share no type
    """Return how many outputs the pretrained network has, as timm's factories note it; 0 for none, or no such note."""
    noted = getattr(network, "pretrained_cfg", None) or {}
    return int(noted.get("num_classes") or 0)
