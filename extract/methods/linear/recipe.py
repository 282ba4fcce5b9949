"""The recipe of the linear probe: any network, nothing to set, and features that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.finetune.recipe import takes_any_network
from stackbone.extract.methods.method import Recipe

if TYPE_CHECKING:
    from torch import nn


def _build(network: nn.Module, _options: Mapping[str, Any]) -> nn.Module:
    from stackbone.extract.methods.finetune.module import FineTuned

    return FineTuned(network, blocks=0)


RECIPE = Recipe(
    name="linear",
    rates={"sgd": 0.01, "adamw": 1e-3},
    build=_build,
    check_network=takes_any_network,
    changes_features=False,
)
