"""What every steering method declares, and how the module of any of them is built and filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import UsageError, WeightsError
from stackbone.cache.choices import check_choice
from stackbone.cache.plugins import Plugins

if TYPE_CHECKING:
    from torch import nn


OPTIMISERS = ("sgd", "adamw")
"""SGD with momentum, and Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101)."""
HEAD = ("head.weight", "head.bias")
"""The classifier's tensors in a steering file; features do without them."""
_MOST_ALPHA = 1_000_000


_ALWAYS_NAMED = object()


@dataclass(frozen=True)
class Option:
    """Something that can be set about a method.

    Attributes
    ----------
    flag
        As typed on the command line.
    default
        Its value unless it is set.
    expected
        What it may be, in words.
    allows
        Whether it may be this value.
    unnamed
        Of an option that came later than the method: its value in steerings that do not name it. They are those of
        earlier versions, and those of this one, where it has this value: so they stay the same to the byte.
    """

    flag: str
    default: Any
    expected: str
    allows: Callable[[object], bool]
    unnamed: Any = _ALWAYS_NAMED


def count(flag: str, default: int | None, most: int | None = None) -> Option:
    """Return an option that is a whole number from 1 on, to `most`; where the default is None, that is allowed too."""

    def allows(value: object) -> bool:
        is_count = type(value) is int and value >= 1 and (most is None or value <= most)
        return is_count or (value is None and default is None)

    return Option(flag, default, f"a whole number from 1{'' if most is None else f' to {most:,}'}", allows)


def switch(flag: str, *, default: bool, unnamed: Any = _ALWAYS_NAMED) -> Option:  # noqa: ANN401 - as of `Option`
    """Return an option that is True or False."""
    return Option(flag, default, "True or False", lambda value: isinstance(value, bool), unnamed)


def alpha() -> Option:
    """Return the option of a sum of low rank that scales it by alpha / rank; by default it is not scaled."""

    def allows(value: object) -> bool:
        return value is None or (type(value) in (int, float) and 0 < cast("float", value) <= _MOST_ALPHA)

    return Option("--alpha", None, f"a number above 0, to {_MOST_ALPHA:,}", allows, unnamed=None)


def name_after_backbone(method: str, backbone: str, _architecture: str) -> str:
    """Return the usual name of a steered backbone, such as ``vit_base_lora`` or ``resnet50_finetune``."""
    return f"{backbone.removeprefix('timm:')}_{method}".replace("-", "_")


@dataclass(frozen=True)
class Recipe:
    """A method: what can be set, what it trains and how, and which network it takes; known without torch.

    Attributes
    ----------
    name
        As typed by users.
    rates
        For each of `OPTIMISERS` the learning rate at its highest, of the head and of whatever the method trains. The
        first optimiser is the method's own.
    build
        Given the plain network and all of the method's options that the network has a use for, returns the module:
        normalised images (B, 3, H, W) to features (B, dim). What it trains requires gradients, all else is frozen.
    check_network
        Raises `UsageError` if the method cannot steer a network.
    options
        What can be set, by name.
    body_rate
        Times the learning rate, for what the method trains; the head keeps the whole.
    idle_options
        Names of those options that a network has no use for.
    trains_head_first
        Whether the backbone is left alone while the learning rate warms up: a new head would only disturb it.
    changes_features
        Whether it trains anything but the head.
    continues
        Methods, beside itself, whose steerings it can start from.
    takes_released
        Whether it can start from a checkpoint that TOAST's authors released.
    released
        Options that ``--recipe released`` sets; None where there is no such recipe. Its module then has a
        ``train_as_released``.
    version
        Given the architecture, the version of its training: raised when the same inputs would give another result.
    steered_name
        Given its name, the plain backbone's name and architecture, returns the steered backbone's name.
    """

    name: str
    rates: Mapping[str, float]
    build: Callable[[nn.Module, Mapping[str, Any]], nn.Module]
    check_network: Callable[[nn.Module], None]
    options: Mapping[str, Option] = field(default_factory=dict)
    body_rate: float = 1.0
    idle_options: Callable[[nn.Module], tuple[str, ...]] = lambda _network: ()
    trains_head_first: bool = False
    changes_features: bool = True
    continues: tuple[str, ...] = ()
    takes_released: bool = False
    released: Mapping[str, Any] | None = None
    version: Callable[[str], int] = lambda _architecture: 1
    steered_name: Callable[[str, str, str], str] = name_after_backbone

    @property
    def optimiser(self) -> str:
        """The method's own."""
        return next(iter(self.rates))


RECIPES = Plugins(Recipe, "stackbone.methods", "stackbone.extract.methods", "RECIPE", module="recipe")
"""Every method by name: each folder of this one holds a ``recipe`` without torch, and a ``module`` of torch code."""


def check_method(method: str) -> None:
    """Raise `UsageError` unless `method` is one of `RECIPES`."""
    if method not in RECIPES:
        check_choice("method", method, RECIPES)


def check_options(method: str, options: Mapping[str, Any]) -> None:
    """Raise `UsageError` if one of `options` cannot be set about the method, or not to that value."""
    check_method(method)
    known = RECIPES[method].options
    for name, value in options.items():
        if name not in known:
            takes = f"takes {', '.join(each.flag for each in known.values())}" if known else "takes none"
            message = f"the method {method} has no option {_flag(name)}: it {takes}"
            raise UsageError(message)
        if not known[name].allows(value):
            message = f"{known[name].flag} of the method {method} is {value!r}, expected {known[name].expected}"
            raise UsageError(message)


def _flag(option: str) -> str:
    """Return what is typed for an option of any method."""
    return next(
        (recipe.options[option].flag for recipe in RECIPES.values() if option in recipe.options),
        f"--{option.replace('_', '-')}",
    )


def default_options(method: str, body: nn.Module) -> dict[str, Any]:
    """Return what can be set about a method on this network, with its defaults."""
    check_method(method)
    recipe = RECIPES[method]
    idle = recipe.idle_options(body)
    return {name: option.default for name, option in recipe.options.items() if name not in idle}


def with_unnamed(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a steering file names, and what those stand at that it need not name.

    They may be more than the network has a use for.
    """
    later = {name: each.unnamed for name, each in RECIPES[method].options.items() if each.unnamed is not _ALWAYS_NAMED}
    return {**later, **options}


def without_unnamed(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a method's options that a steering file names."""
    known = RECIPES[method].options
    return {name: value for name, value in options.items() if known[name].unnamed != value}


def rebuild_method(method: str, body: nn.Module, options: Mapping[str, Any]) -> nn.Module:
    """Return the module of a steering file's method and options around a backbone; errors as of `build_method`."""
    useful = default_options(method, body)
    meant = {name: value for name, value in with_unnamed(method, options).items() if name in {*useful, *options}}
    return build_method(method, body, meant)


def supports(method: str, body: nn.Module) -> None:
    """Raise `UsageError` if a method cannot steer a network, such as VPT one without tokens."""
    check_method(method)
    RECIPES[method].check_network(body)


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
    idle = [name for name in options if name not in defaults]
    if idle:
        from stackbone.extract.networks.network import plain_network

        message = (
            f"the option {_flag(idle[0])} of the method {method} changes nothing on this backbone, a "
            f"{type(plain_network(body)).__name__}. Leave it out"
        )
        raise UsageError(message)
    return RECIPES[method].build(body, {**defaults, **options})


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
                f"{file} does not steer this network: its tensor {name} has the shape {found}, expected {expected} "
                "(None: there is none). Make the steering again with `stackbone steer`"
            )
            raise WeightsError(message)
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.from_numpy(tensors[name]))
