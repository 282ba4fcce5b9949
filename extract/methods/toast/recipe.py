"""The recipe of TOAST: what can be set, and which networks it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.method import Recipe, name_after_backbone, switch
from stackbone.extract.methods.vit import check_joint_projection, check_vit, is_vit

if TYPE_CHECKING:
    from torch import nn


def is_convnext(network: nn.Module) -> bool:
    """Return whether a network is timm's `ConvNeXt`."""
    from timm.models.convnext import ConvNeXt

    return isinstance(network, ConvNeXt)


def check_network(method: str, network: nn.Module) -> None:
    """Raise `UsageError` unless a network is a ViT with joint projections, or a ConvNeXt."""
    if not is_convnext(network):
        check_vit(method, network, or_else="ConvNeXt")
        check_joint_projection(method, network)


def build(network: nn.Module, options: Mapping[str, Any], *, lite: bool) -> nn.Module:
    """Return TOAST around a network, or TOAST-Lite."""
    if is_convnext(network):
        from stackbone.extract.methods.toast.convnext import ToastConvNext

        return ToastConvNext(network, lite=lite, **options)
    from stackbone.extract.methods.toast.module import ToastViT

    return ToastViT(network, lite=lite, **options)


def idle_options(network: nn.Module) -> tuple[str, ...]:
    """Return the option about a ConvNeXt for a ViT, and that about an attention's values for a ConvNeXt."""
    return ("as_released",) if is_vit(network) else ("value_bias",)


def training_version(architecture: str) -> int:
    """Return 2 for a ConvNeXt, whose top-down path became that of TOAST's authors."""
    return 2 if "convnext" in architecture else 1


def steered_name(method: str, backbone: str, architecture: str) -> str:
    """Return ``vit_toast`` for any ViT; a ConvNeXt is named after the backbone."""
    is_of_a_vit = "convnext" not in architecture  # TOAST steers these two families only
    return name_after_backbone(method, "vit" if is_of_a_vit else backbone, architecture)


AS_RELEASED = switch("--method-option as_released", default=True, unnamed=False)

RECIPE = Recipe(
    name="toast",
    rates={"sgd": 0.03, "adamw": 2e-3},
    build=lambda network, options: build(network, options, lite=False),
    check_network=lambda network: check_network("toast", network),
    options={"value_bias": switch("--value-bias", default=True), "as_released": AS_RELEASED},
    idle_options=idle_options,
    takes_released=True,
    released={},
    version=training_version,
    steered_name=steered_name,
)
