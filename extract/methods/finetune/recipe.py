"""The recipe of fine-tuning: any network, how many of its blocks are trained, and slowly, after the head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.method import Recipe, count

if TYPE_CHECKING:
    from torch import nn


def takes_any_network(_network: nn.Module) -> None:
    """Accept any network."""


def _build(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    from stackbone.extract.methods.finetune.module import FineTuned

    return FineTuned(network, **options)


RECIPE = Recipe(
    name="finetune",
    # A thousandth for the head and a hundred-thousandth for what is unfrozen, as people fine-tune with Adam.
    rates={"adamw": 1e-3, "sgd": 0.01},
    body_rate=1e-2,
    build=_build,
    check_network=takes_any_network,
    options={"blocks": count("--blocks", None)},
    trains_head_first=True,
    continues=("linear",),
)
