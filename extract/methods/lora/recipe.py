"""The recipe of LoRA: a rank, and Adam, with which its authors train it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.method import Recipe, count
from stackbone.extract.methods.vit import check_joint_projection, check_rank, check_vit

if TYPE_CHECKING:
    from torch import nn


def _check_network(network: nn.Module) -> None:
    check_vit("lora", network)
    check_joint_projection("lora", network)


def _build(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    from stackbone.extract.methods.lora.module import LoraViT

    check_rank("lora", network, options["rank"])
    return LoraViT(network, **options)


RECIPE = Recipe(
    name="lora",
    # Its authors train it with Adam. Momentum's steps grow with the square of its factors, and can end at chance.
    rates={"adamw": 1e-3, "sgd": 0.01},
    build=_build,
    check_network=_check_network,
    options={"rank": count("--rank", 4)},
)
