"""The recipe of visual prompt tuning: how many prompts, in each block of a ViT or in the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackbone.extract.methods.method import Recipe, count, switch
from stackbone.extract.methods.vit import check_vit

if TYPE_CHECKING:
    from torch import nn

MOST_PROMPTS = 1_000
"""Five times what the paper of VPT tries at most; attention takes memory with the square of its tokens."""


def _build(network: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    from stackbone.extract.methods.vpt.module import PromptedViT

    return PromptedViT(network, **options)


RECIPE = Recipe(
    name="vpt",
    rates={"sgd": 0.1, "adamw": 3e-3},
    build=_build,
    check_network=lambda network: check_vit("vpt", network),
    options={
        "n_prompts": count("--prompts", 10, MOST_PROMPTS),
        "shallow": switch("--shallow", default=False, unnamed=False),
    },
)
