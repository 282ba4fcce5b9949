"""The recipe of TOAST-Lite: TOAST with a rank, and larger steps with Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.method import Recipe, alpha, count, switch
from stackbone.extract.methods.toast.recipe import (
    AS_RELEASED,
    build,
    check_network,
    idle_options,
    steered_name,
    training_version,
)
from stackbone.extract.methods.vit import check_rank

if TYPE_CHECKING:
    from torch import nn


def _build(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    check_rank("toast-lite", network, options["rank"])
    return build(network, options, lite=True)


RECIPE = Recipe(
    name="toast-lite",
    rates={"sgd": 0.03, "adamw": 5e-3},
    build=_build,
    check_network=lambda network: check_network("toast-lite", network),
    options={
        "value_bias": switch("--value-bias", default=True),
        "rank": count("--rank", 4),
        "alpha": alpha(),
        "as_released": AS_RELEASED,
    },
    idle_options=idle_options,
    continues=("toast",),
    takes_released=True,
    released={"alpha": 1},
    version=training_version,
    steered_name=steered_name,
)
