"""The frozen network of any backbone: the plain one, or the module of its steering file around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from stackbone.cache import UsageError, WeightsError
from stackbone.cache.errors import says_memory_is_full
from stackbone.extract.backbones.backbone import Backbone, SteeredBy
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.methods.method import load_parameters, rebuild_method
from stackbone.extract.networks.joint import JOINT
from stackbone.extract.networks.network import FeatureNetwork, build_body, plain_network
from stackbone.extract.networks.outputs import OutputNetwork
from stackbone.extract.steering_files.file import read_steering


def build_network(backbone: Backbone, weights: Weights, *, joint: bool = False) -> FeatureNetwork:
    """Return the frozen network of a backbone, in evaluation mode, channels last, without gradients.

    Parameters
    ----------
    joint
        As of `build_body`, of a plain backbone.

    Raises
    ------
    WeightsError
        As of `build_body`. Or if the steering file of a steered backbone does not fit it.
    """
    body = build_body(backbone, weights, joint=joint and backbone.steering is None)
    if backbone.steering is None:
        network = FeatureNetwork(plain_network(body), backbone)
    else:
        network = FeatureNetwork(_steer(body, backbone.steering), replace(backbone, pooling="model"))
        _try_steered(network.eval(), backbone, backbone.steering)
    return network.eval().requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)


def build_outputs(backbone: Backbone, weights: Weights, outputs: Sequence[str]) -> OutputNetwork:
    """Return the same network, which gives several outputs.

    Raises
    ------
    WeightsError
        As of `build_network`.
    UsageError
        If it lacks one of the outputs; the message names those it has.
    """
    network = OutputNetwork(build_network(backbone, weights, joint=JOINT in outputs), backbone, outputs)
    return network.eval().requires_grad_(requires_grad=False)


def _try_steered(network: FeatureNetwork, backbone: Backbone, by: SteeredBy) -> None:
    """Refuse a steering whose input size, which is anybody's word, its network does not take."""
    height, width = backbone.transform.input_size
    try:
        with torch.inference_mode():
            network(torch.zeros((1, height, width, 3), dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as exc:  # each of timm's layers refuses in its own way
        if says_memory_is_full(exc):
            raise MemoryError(str(exc)) from exc
        message = (
            f"{by.path} does not steer {by.plain}: its network does not take images of {width} x {height} pixels "
            f"({exc}). Make it again with `stackbone steer`"
        )
        raise WeightsError(message) from exc


def _steer(body: nn.Module, by: SteeredBy) -> nn.Module:
    """Return the module of a steering file around the plain network that it was trained on."""
    steering, sha256 = read_steering(by.path)
    if sha256 != by.sha256:
        message = f"{by.path} was changed since it was read: its SHA-256 was {by.sha256}, now it is {sha256}. Run again"
        raise WeightsError(message)
    with torch.random.fork_rng(devices=[]):
        try:
            module = rebuild_method(steering.method, body, steering.options)
        except UsageError as exc:
            message = f"{by.path} does not steer {by.plain}: {exc}. Make it again with `stackbone steer`"
            raise WeightsError(message) from exc
    load_parameters(module, steering.tensors, str(by.path))
    return module
