"""A plain backbone as a torch module: uint8 pixels in, pooled features out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from stackbone.cache import UsageError, WeightsError
from stackbone.cache.text import counted, typed
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights, seed_of
from stackbone.extract.networks.joint import JOINT, PROJECTION, find_projection, joint_width
from stackbone.extract.networks.own_network import own_body
from stackbone.extract.networks.state_dict import first_mismatch, read_state_dict

# Parts that checkpoints carry and features do without, beyond the classifier that timm names.
_TRAINING_ONLY = ("AuxLogits.",)
_SEED = 0


class Pooled(nn.Module):
    """A timm model without classifier that gives pooled features.

    Parameters
    ----------
    pooling
        ``avg``: the mean over positions of the last feature map; ``model``: what the model itself gives.
    """

    def __init__(self, body: nn.Module, pooling: str) -> None:
        super().__init__()
        self.body = body
        self.pooling = pooling

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, dim) of normalised images (B, 3, H, W)."""
        if self.pooling == "avg":
            x = cast("Any", self.body).forward_features(x)  # (B, dim, h, w)
            return x.mean((2, 3))
        return cast("Tensor", self.body(x))


class FeatureNetwork(Pooled):
    """Normalise, run the frozen network, pool.

    Parameters
    ----------
    body
        A timm model without classifier, or whatever else gives features of normalised images.
    backbone
        Its mean, std and pooling.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, body: nn.Module, backbone: Backbone) -> None:
        super().__init__(body, backbone.pooling)
        mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
        self.register_buffer("scale", (1.0 / (255.0 * std)).view(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return the network's input (B, 3, H, W), channels last in memory, of pixels (B, H, W, 3) uint8."""
        return pixels.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.shift

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (B, dim) float32 of pixels (B, H, W, 3) uint8."""
        return super().forward(self.normalise(pixels)).float()


def build_body(backbone: Backbone, weights: Weights, *, joint: bool = False) -> nn.Module:
    """Return the plain network of a backbone, whose forward gives features of normalised images, for `build_method`.

    Where the pooling is ``model`` it is the timm model itself, else that model in `Pooled`.

    Parameters
    ----------
    joint
        Whether to keep its projection into the space of a text encoder, where it has one, as `PROJECTION`.

    Raises
    ------
    WeightsError
        If the file is not a checkpoint, or its tensors are not this architecture's; the message names the first
        tensor that does not fit.
    """
    if backbone.own is not None:
        return own_body(backbone, backbone.own, weights)
    body = _load_body(backbone, weights, joint=joint)
    if backbone.is_framed and hasattr(body, "set_input_size"):
        _resize_input(body, backbone)
    return (body if backbone.pooling == "model" else Pooled(body, backbone.pooling)).eval()


def _resize_input(body: nn.Module, backbone: Backbone) -> None:
    """Fit a network whose input has one size to that of a frame: timm resizes what it has learnt of positions."""
    try:
        cast("Any", body).set_input_size(img_size=backbone.transform.input_size)
    except (AssertionError, RuntimeError, TypeError, ValueError) as exc:
        if any(each.is_meta for each in body.parameters()):
            raise
        message = (
            f"{backbone.name} cannot be made to take images {backbone.transform.input_size[0]} pixels wide and high "
            f"({exc}). Choose another --map-size, or a convolutional backbone"
        )
        raise UsageError(message) from exc


def plain_network(body: nn.Module) -> nn.Module:
    """Return the timm model itself of what `build_body` returned."""
    return body.body if isinstance(body, Pooled) else body


def _load_body(backbone: Backbone, weights: Weights, *, joint: bool) -> nn.Module:
    """Return the timm model of a backbone with its weights, without classifier."""
    path = weights.path
    body = _create(backbone, seed_of(weights) or 0) if path is None else _load(backbone, weights, path, joint=joint)
    projection = find_projection(body) if joint else None
    _drop_classifier(body, backbone.pooling)
    if projection is not None:
        body.add_module(PROJECTION, projection)
    return body


def load_classifier(backbone: Backbone, weights: Weights) -> nn.Module:
    """Return the whole timm model with its classifier, in evaluation mode; errors as `build_body`."""
    if weights.path is None:
        message = f"{backbone.name}: random weights do not classify"
        raise WeightsError(message)
    return _load(backbone, weights, weights.path).eval()


def _create(backbone: Backbone, seed: int, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's own options
    name = backbone.architecture.partition(".")[0]
    if not timm.is_model(name):  # a name such as hf-hub:... would have timm ask the network for it
        message = f"{backbone.name}: timm has no architecture {backbone.architecture!r}. Install the timm that has it"
        raise WeightsError(message)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = timm.create_model(backbone.architecture, **options)
        return model


def _drop_classifier(body: nn.Module, pooling: str) -> None:
    cast("Any", body).reset_classifier(0)
    if pooling == "avg" and isinstance(getattr(body, "pre_logits", None), nn.Module):
        body.pre_logits = nn.Identity()  # VGG's two wide layers: half a gigabyte that `avg` never runs


def _load(backbone: Backbone, weights: Weights, path: Path, *, joint: bool = False) -> nn.Module:
    state = read_state_dict(backbone.name, path, weights.identity)
    body = _create(backbone, _SEED)
    expected = body.state_dict()
    if weights.by_order:
        state = _rename_by_order(backbone.name, path, state, expected)
    heads = _head_names(body)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(_TRAINING_ONLY)}
    # A fine-tuned file may have another number of classes, or none: the classifier is not used for features.
    for name in [name for name in expected if name.startswith(heads)]:
        if name in state and state[name].shape == expected[name].shape:
            continue
        if joint and joint_width(body):
            message = (
                f"{path} has no projection of {backbone.name} into the space of a text encoder: {name} "
                f"{tuple(expected[name].shape)} is not in it. Give the whole tower's file, or leave @{JOINT} out"
            )
            raise WeightsError(message)
        state[name] = expected[name]
    problem = first_mismatch(state, expected)
    if not problem:
        body.load_state_dict(state)
        return body
    return _load_foreign_names(backbone, path, state, expected, problem)


def _load_foreign_names(
    backbone: Backbone, path: Path, state: dict[str, Tensor], expected: Mapping[str, Tensor], problem: str
) -> nn.Module:
    """Let timm convert a checkpoint that names its tensors otherwise, such as torchvision's of VGG."""
    refusal = WeightsError(
        f"{path} does not hold weights of {backbone.architecture}: {problem}. "
        f"Give the file of this architecture with --weights {typed(backbone.name)}=FILE"
    )
    try:
        body = _create(backbone, _SEED, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except Exception as exc:  # each of timm's converters fails in its own way on what is not its own
        raise refusal from exc
    heads = _head_names(body)
    for name, parameter in body.named_parameters():
        # Still at its random start (drawn with the same seed): the file did not set it.
        is_random = parameter.numel() > 1 and bool((parameter != parameter.flatten()[0]).any())
        if is_random and not name.startswith(heads) and torch.equal(parameter, expected[name]):
            raise refusal
    return body


def _rename_by_order(
    name: str, path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    pairs = list(zip(expected.items(), state.values(), strict=False))
    for (key, wanted), tensor in pairs:
        if wanted.shape != tensor.shape:
            message = (
                f"{path} does not hold weights of {name}: in the place of {key} {tuple(wanted.shape)} "
                f"is a tensor of shape {tuple(tensor.shape)}"
            )
            raise WeightsError(message)
    if len(expected) != len(state):
        found = counted(len(state), "tensor")
        message = f"{path} does not hold weights of {name}: it has {found}, the network has {len(expected)}"
        raise WeightsError(message)
    return {key: tensor for (key, _), tensor in pairs}


def _head_names(body: nn.Module) -> tuple[str, ...]:
    classifier = cast("Any", body).pretrained_cfg.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)
