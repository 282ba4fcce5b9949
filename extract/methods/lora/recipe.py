"""The recipe of LoRA: rank, scale and layers, and Adam, with which its authors train it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.lora.targets import TARGETS, USUAL
from stackbone.extract.methods.method import Option, Recipe, alpha, count
from stackbone.extract.methods.vit import check_joint_projection, check_rank, check_vit

if TYPE_CHECKING:
    from torch import nn


_THIRDS = {"q_proj", "k_proj", "v_proj"}


def _are_targets(value: object) -> bool:
    names = value.split(",") if isinstance(value, str) else []
    is_twice = len(names) != len(set(names)) or ("qkv" in names and _THIRDS & set(names))
    return bool(names) and not is_twice and all(name in TARGETS for name in names)


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
    options={
        "rank": count("--rank", 4),
        "alpha": alpha(),
        "targets": Option(
            "--targets",
            USUAL,
            f"names from {', '.join(TARGETS)}, separated by commas, and none twice",
            _are_targets,
            unnamed=USUAL,
        ),
    },
)
