"""What the methods for ViTs ask of a network before they steer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from stackbone.cache import UsageError

if TYPE_CHECKING:
    from torch import nn


def is_vit(network: nn.Module) -> bool:
    """Return whether a network is timm's `VisionTransformer`."""
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(network, VisionTransformer)


def check_vit(method: str, network: nn.Module, *, or_else: str = "") -> None:
    """Raise `UsageError` unless a network is timm's `VisionTransformer`; `or_else` names what else the method takes."""
    from stackbone.extract.networks.network import plain_network

    if not is_vit(network):
        takes = "a timm VisionTransformer" + (f" or {or_else}" if or_else else "")
        message = (
            f"the method {method} steers {takes}, and this backbone's network is "
            f"{type(plain_network(network)).__name__}. "
            "Choose a ViT such as --backbone vit_base, or --method finetune, which takes any network"
        )
        raise UsageError(message)


def check_joint_projection(method: str, vit: nn.Module) -> None:
    """Raise `UsageError` unless the attention of each block of a ViT has one projection ``attn.qkv``."""
    from torch import nn

    for block in cast("Any", vit).blocks:
        if not isinstance(getattr(getattr(block, "attn", None), "qkv", None), nn.Linear):
            message = (
                f"the method {method} works on attention with one projection attn.qkv, and the blocks of this ViT "
                f"({type(block).__name__}) have none. Choose another ViT, or --method vpt or finetune"
            )
            raise UsageError(message)


def check_rank(method: str, network: nn.Module, rank: int) -> None:
    """Raise `UsageError` if a trained update of this rank would be wider than the network."""
    from stackbone.extract.networks.network import plain_network

    plain = plain_network(network)
    width = int(cast("Any", plain).num_features)
    if rank > width:
        message = (
            f"--rank of the method {method} is {rank:,}, and this backbone, a {type(plain).__name__}, has {width:,} "
            f"channels: expected a whole number from 1 to {width:,}"
        )
        raise UsageError(message)
