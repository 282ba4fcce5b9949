"""The six ways to steer a backbone, by name: what each can be told, what it trains, how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import UsageError, WeightsError
from stackbone.extract.steerings.steering import HEAD, METHODS

if TYPE_CHECKING:
    from torch import nn


OPTIMISERS = ("sgd", "adamw")
"""SGD with momentum, and Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101)."""


@dataclass(frozen=True)
class Recipe:
    """How a method is trained unless told otherwise.

    Attributes
    ----------
    rates
        For each of `OPTIMISERS` the learning rate at its highest, of the head and of whatever the method trains. The
        first optimiser is the method's own.
    body_rate
        Times that, for what the method trains; the head keeps the whole.
    options
        What the method can be told, with its default.
    """

    rates: Mapping[str, float]
    body_rate: float
    options: Mapping[str, Any]

    @property
    def optimiser(self) -> str:
        """The method's own."""
        return next(iter(self.rates))


RECIPES: dict[str, Recipe] = {
    "toast": Recipe({"sgd": 0.03, "adamw": 2e-3}, 1.0, {"value_bias": True}),
    "toast-lite": Recipe({"sgd": 0.03, "adamw": 5e-3}, 1.0, {"value_bias": True, "rank": 4}),
    "linear": Recipe({"sgd": 0.01, "adamw": 1e-3}, 1.0, {}),
    # Its authors train it with Adam. Momentum's steps grow with the square of its factors, and can end at chance.
    "lora": Recipe({"adamw": 1e-3, "sgd": 0.01}, 1.0, {"rank": 4}),
    "vpt": Recipe({"sgd": 0.1, "adamw": 3e-3}, 1.0, {"n_prompts": 10}),
    # A thousandth for the head and a hundred-thousandth for what is unfrozen, as people fine-tune with Adam.
    "finetune": Recipe({"adamw": 1e-3, "sgd": 0.01}, 1e-2, {"blocks": None}),
}
MOST_PROMPTS = 1_000
"""Five times what the paper of VPT tries at most; attention takes memory with the square of its tokens."""
TRAINS_THE_HEAD_FIRST = ("finetune",)
"""Methods that leave the backbone alone while the learning rate warms up: a new head would only disturb it."""


def check_method(method: str) -> None:
    """Raise `UsageError` unless `method` is one of `METHODS`."""
    if method not in METHODS:
        message = f"unknown method {method!r}: known are {', '.join(METHODS)}"
        raise UsageError(message)


def check_options(method: str, options: Mapping[str, Any]) -> None:
    """Raise `UsageError` if the method cannot be told one of `options`, or not that."""
    check_method(method)
    known = RECIPES[method].options
    for name, value in options.items():
        if name not in known:
            takes = f"takes {', '.join(map(_flag, known))}" if known else "takes none"
            message = f"the method {method} has no option {_flag(name)}: it {takes}"
            raise UsageError(message)
        most = MOST_PROMPTS if name == "n_prompts" else math.inf
        is_count = type(value) is int and 1 <= value <= most
        sound = isinstance(value, bool) if name == "value_bias" else is_count or (name == "blocks" and value is None)
        if not sound:
            expected = "True or False" if name == "value_bias" else "a whole number from 1"
            expected += f" to {most:,}" if name == "n_prompts" else ""
            message = f"{_flag(name)} of the method {method} is {value!r}, expected is {expected}"
            raise UsageError(message)


def _flag(option: str) -> str:
    return "--prompts" if option == "n_prompts" else f"--{option.replace('_', '-')}"


def default_options(method: str, body: nn.Module) -> dict[str, Any]:
    """Return what a method can be told of this network, with its defaults."""
    check_method(method)
    options = dict(RECIPES[method].options)
    if "value_bias" in options and not _is_vit(body):
        del options["value_bias"]  # there are no values without attention
    return options


def supports(method: str, body: nn.Module) -> None:
    """Raise `UsageError` if a method cannot steer a network, such as VPT one without tokens."""
    check_method(method)
    if method in ("linear", "finetune") or (method.startswith("toast") and _is_convnext(body)):
        return
    if _is_vit(body):
        _check_projections(method, body)
        return
    takes = "a timm VisionTransformer" + (" or ConvNeXt" if method.startswith("toast") else "")
    message = (
        f"the method {method} steers {takes}, and this backbone's network is {type(_plain(body)).__name__}. "
        "Choose a ViT such as --backbone vit_base, or --method finetune, which takes any network"
    )
    raise UsageError(message)


def build_method(method: str, body: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    """Return the module of a method around a backbone: normalised images (B, 3, H, W) to features (B, dim).

    What it trains requires gradients, all else is frozen.

    Parameters
    ----------
    body
        As `extract.networks.network.build_body` returns it.
    options
        All of the method's, or some: the others have their defaults.

    Raises
    ------
    UsageError
        If the method does not take this network or one of the options.
    """
    check_options(method, options)
    supports(method, body)
    defaults = default_options(method, body)
    useless = [name for name in options if name not in defaults]
    if useless:
        message = (
            f"the option {_flag(useless[0])} of the method {method} is about the values of an attention, and this "
            f"backbone, a {type(_plain(body)).__name__}, has none. Leave it out"
        )
        raise UsageError(message)
    told = {**defaults, **options}
    width = int(cast("Any", _plain(body)).num_features)
    if told.get("rank", 0) > width:
        message = (
            f"{_flag('rank')} of the method {method} is {told['rank']:,}, and this backbone, a "
            f"{type(_plain(body)).__name__}, has {width:,} channels: expected is a whole number from 1 to {width:,}"
        )
        raise UsageError(message)
    if method in ("linear", "finetune"):
        from stackbone.extract.methods.finetune import FineTuned

        return FineTuned(body, **{"blocks": 0, **told})
    if method == "lora":
        from stackbone.extract.methods.lora import LoraViT

        return LoraViT(body, **told)
    if method == "vpt":
        from stackbone.extract.methods.vpt import PromptedViT

        return PromptedViT(body, **told)
    lite = method == "toast-lite"
    if _is_vit(body):
        from stackbone.extract.methods.toast import ToastViT

        return ToastViT(body, lite=lite, **told)
    from stackbone.extract.methods.toast_convnext import ToastConvNext

    return ToastConvNext(body, lite=lite, **told)


def steering_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return what a steering file holds of a method's module, by name.

    What it trains, and what it adds to the backbone without training it, such as the frozen matrices of TOAST-Lite.
    """
    return {
        name: parameter
        for name, parameter in module.named_parameters()
        if parameter.requires_grad or not name.startswith("body.")
    }


def load_parameters(module: nn.Module, tensors: Mapping[str, NDArray[np.float32]], file: str) -> None:
    """Set a method's parameters to those of a steering file, one for one; the head's are passed over.

    Raises
    ------
    WeightsError
        If a tensor is absent, too many, or of another shape; the message names it and the file.
    """
    import torch

    own = steering_parameters(module)
    tensors = {name: array for name, array in tensors.items() if name not in HEAD}
    for name in sorted(own.keys() | tensors.keys()):
        found = tensors[name].shape if name in tensors else None
        expected = tuple(own[name].shape) if name in own else None
        if found != expected:
            message = (
                f"{file} does not steer this network: its tensor {name} has the shape {found}, expected is {expected} "
                "(None: there is none). Make the steering again with `stackbone steer`"
            )
            raise WeightsError(message)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.from_numpy(tensors[name]))


def _check_projections(method: str, body: nn.Module) -> None:
    from torch import nn

    for block in cast("Any", body).blocks:
        if method != "vpt" and not isinstance(getattr(getattr(block, "attn", None), "qkv", None), nn.Linear):
            message = (
                f"the method {method} works on attention with one projection attn.qkv, and the blocks of this ViT "
                f"({type(block).__name__}) have none. Choose another ViT, or --method vpt or finetune"
            )
            raise UsageError(message)


def _plain(body: nn.Module) -> nn.Module:
    from stackbone.extract.networks.network import Pooled

    return body.body if isinstance(body, Pooled) else body


def _is_vit(body: nn.Module) -> bool:
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(body, VisionTransformer)


def _is_convnext(body: nn.Module) -> bool:
    from timm.models.convnext import ConvNeXt

    return isinstance(body, ConvNeXt)
