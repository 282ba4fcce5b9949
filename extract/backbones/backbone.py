"""The backbones by name: architecture, transform and pooling, known without importing torch.

Each family declares its backbones in a file of `known`; other packages add theirs through entry points of the group
``stackbone.backbones``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict

from stackbone.cache import FeatureSpec, UsageError
from stackbone.cache.backbone_groups import ALL, GROUPS, expand_groups
from stackbone.cache.choices import nearest
from stackbone.cache.plugins import Plugins
from stackbone.cache.records.feature_name import POOLED, parse_feature_name
from stackbone.extract.backbones.own_module import OwnModule, check_own_input, module_in_memory
from stackbone.extract.backbones.timm_tag import read_tag

if TYPE_CHECKING:
    from torch import nn

TIMM_PREFIX = "timm:"
LETTERBOX = "letterbox"
"""The `Transform.crop_mode` that shows an image whole, with its own ratio."""


class Normalisation(TypedDict):
    """Mean and standard deviation per RGB channel, for values from 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET: Normalisation = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""By the mean and standard deviation of ImageNet's training images."""
INCEPTION: Normalisation = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""To values from -1 to 1, with which Google's networks are trained."""
CLIP: Normalisation = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
"""By the mean and standard deviation of the images that CLIP was trained on."""


@dataclass(frozen=True)
class Transform:
    """How an image becomes the network's input; two backbones with equal ones share the work.

    Attributes
    ----------
    input_size
        (height, width) in pixels.
    crop_fraction
        Share of the resized side that the crop keeps.
    crop_mode
        ``center`` or ``squash``; or ``letterbox``: the whole image in the middle of the input, with its own ratio.
    interpolation
        ``bilinear`` or ``bicubic``, antialiased.
    fill
        Level from 0 to 255 of each RGB channel around an image in a letterbox.
    """

    input_size: tuple[int, int]
    crop_fraction: float
    interpolation: str
    crop_mode: str = "center"
    fill: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class SteeredBy:
    """What made a plain backbone a task's own.

    Attributes
    ----------
    path
        The steering file.
    sha256
        Of its bytes, hex.
    plain
        Name of the plain backbone.
    weights
        Identity of the weights that it was trained on; it fits no others.
    """

    path: Path
    sha256: str
    plain: str
    weights: str


@dataclass(frozen=True)
class Backbone:
    """A frozen pretrained network, its input and its output.

    Attributes
    ----------
    name
        As typed by users: a name of the table, or ``timm:MODEL``.
    architecture
        timm model with its pretrained tag.
    transform
        The evaluation transform of that tag.
    mean, std
        Of the normalisation, per RGB channel, for values from 0 to 1.
    pooling
        ``avg`` (mean over positions of the last feature map) or ``model`` (the model's own, without classifier).
    hub
        Repository on the model hub, or the address of the weights file.
    package
        Installed package that carries the weights, and the class in it that knows their path; or None.
    steering
        What steers it, or None for a plain backbone.
    width
        Columns of its pooled features; None where it is not declared, as of ``timm:MODEL``, like the next two.
    parameters
        Millions of them, in what computes the pooled features.
    gflop
        Billions of floating-point operations that these take an image: a multiplication and an addition are two.
    licence
        Of the weights, as their model card names it; empty where it is not known.
    gated
        Whether the hub gives the weights to those alone who accepted their licence.
    own
        The code behind a network of the user's own; None for one of timm's.
    """

    name: str
    architecture: str
    transform: Transform
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pooling: str
    hub: str
    package: str | None = None
    steering: SteeredBy | None = None
    width: int | None = None
    parameters: float | None = None
    gflop: float | None = None
    licence: str = ""
    gated: bool = False
    own: OwnModule | None = None

    @classmethod
    def from_module(
        cls,
        network: nn.Module,
        transform: Transform,
        *,
        name: str,
        mean: tuple[float, ...] = IMAGENET["mean"],
        std: tuple[float, ...] = IMAGENET["std"],
        version: str = "",
    ) -> Self:
        """Return a backbone of a network in memory, for `extract`, `embed_for` and `recompute` as one of `modules`.

        Its features are keyed by the tensors of the network, by its code (see `own_module`) and by transform, mean and
        std; not by its name. The network is copied before it is run, and not changed.

        Parameters
        ----------
        network
            In evaluation mode it gives features ``(B, dim)`` of normalised images ``(B, 3, H, W)`` float32.
        transform
            How an image becomes its input.
        name
            Of its features; letters, digits, ``.`` and ``_``.
        mean, std
            Of the normalisation, per RGB channel, for values from 0 to 1; by default ImageNet's.
        version
            Stands for the code, where its source cannot be read or changes for other reasons: give another one
            whenever the features change.

        Raises
        ------
        UsageError
            If the name is taken, an argument is out of range, or the code has no key.
        """
        own = module_in_memory(network, version)
        check_own_name(name)
        check_own_input(name, transform, mean, std)
        return cls(name, own.architecture, transform, tuple(mean), tuple(std), "model", hub="", own=own)

    @property
    def key(self) -> str:
        """What distinguishes it within a run: its name, its steering file's SHA-256, the size of its frame."""
        name = f"{self.name} {self.steering.sha256}" if self.steering else self.name
        return f"{name} {LETTERBOX} {self.transform.input_size[0]}" if self.is_framed else name

    @property
    def is_framed(self) -> bool:
        """Whether its input is the whole image in a square frame, as for maps of it."""
        return self.transform.crop_mode == LETTERBOX

    def framed(self, side: int) -> Self:
        """Return it with another input: the whole image in a frame of `side` x `side` pixels of its mean colour."""
        red, green, blue = (round(255 * mean) for mean in self.mean)
        frame = Transform((side, side), 1.0, self.transform.interpolation, LETTERBOX, (red, green, blue))
        return replace(self, transform=frame)

    @property
    def plain(self) -> str:
        """Name of the network whose weights it takes: its own, or that of the plain backbone that was steered."""
        return self.steering.plain if self.steering else self.name

    def spec(self, weights: str, precision: str = "fp32", output: str = POOLED) -> FeatureSpec:
        """Return the identity of its features of one output, given the identity of the weights (``sha256:...``)."""
        return FeatureSpec(
            architecture=self.architecture,
            weights=weights,
            input_size=self.transform.input_size,
            crop_fraction=self.transform.crop_fraction,
            crop_mode=self.transform.crop_mode,
            interpolation=self.transform.interpolation,
            mean=self.mean,
            std=self.std,
            pooling=self.pooling,
            precision=precision,
            steering=self.steering.sha256 if self.steering else None,
            output=output,
        )


BACKBONES = Plugins(Backbone, "stackbone.backbones", "stackbone.extract.backbones.known", "BACKBONES")
"""Every backbone with a name of its own, in the order of `known`, and then those that other packages add."""


def parse_backbones(text: str | Sequence[str], steered: Collection[str] = ()) -> list[str]:
    """Return names of backbones, and of their outputs, from a comma-separated list of names and groups, each once.

    They are in order. ``all`` stands for every backbone of the table, and ``NAME@OUTPUT`` for one output. `steered` are
    the names that steering files at hand make.

    Raises
    ------
    UsageError
        If a backbone or an output is unknown; the message suggests the nearest one.
    """
    names = expand_groups(text, lambda suffix: [f"{name}{suffix}" for name in BACKBONES])
    if not names:
        message = (
            f"no backbone was named. Give names from {', '.join(BACKBONES)}, a group "
            f"({', '.join(GROUPS)}, {ALL}) or timm:MODEL"
        )
        raise UsageError(message)
    for name in names:
        check_name(parse_feature_name(name).backbone, steered)
    return names


def check_name(name: str, steered: Collection[str] = ()) -> None:
    """Raise `UsageError`, with a suggestion, unless `name` is in the table or steered, or begins with ``timm:``."""
    if name in BACKBONES or name in steered:
        return
    if name.startswith(TIMM_PREFIX):
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", name.removeprefix(TIMM_PREFIX)):
            return
        message = f"{name!r} is not timm: and the name of a timm model, such as timm:convnext_tiny.fb_in22k"
        raise UsageError(message)
    if name in (*GROUPS, ALL):
        members = GROUPS.get(name, tuple(BACKBONES))
        message = f"{name!r} is a group of backbones, and one backbone is expected: choose from {', '.join(members)}"
        raise UsageError(message)
    known = [*BACKBONES, *GROUPS, ALL]
    near = nearest(name, known, cutoff=0.5)
    hint = f"did you mean {near!r}?" if near else f"choose from {', '.join(known)}."
    message = f"unknown backbone {name!r}: {hint} Any model of timm is named timm:MODEL"
    raise UsageError(message)


def get_backbone(name: str) -> Backbone:
    """Return the backbone of a name.

    For ``timm:MODEL`` this imports timm (seconds); a name of the table needs nothing.

    Raises
    ------
    UsageError
        If the name is unknown, or the timm model has no weights or takes something else than RGB images.
    """
    check_name(name)
    if not name.startswith(TIMM_PREFIX):
        return BACKBONES[name]
    tag = read_tag(name.removeprefix(TIMM_PREFIX))
    transform = Transform(tag.input_size, tag.crop_fraction, tag.interpolation, tag.crop_mode)
    return Backbone(name, tag.architecture, transform, tag.mean, tag.std, "model", tag.hub)


def check_own_name(name: str) -> None:
    """Raise `UsageError` unless a network of the user's own may be called so."""
    if name in (*BACKBONES, *GROUPS, ALL) or name == "timm" or name.startswith(("timm:", "timm.")):
        message = f"the name {name!r} is one of Stackbone's own: give your network another"
        raise UsageError(message)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", name):
        message = f"{name!r} cannot name a network: use letters, digits, '.' and '_', a letter or digit first"
        raise UsageError(message)
