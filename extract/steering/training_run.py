"""Put one training run together, the network of a method, its batches, its trainer, and estimate what runs cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stackbone.cache.progress import Progress
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.text import counted
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.engines.devices import pick_device
from stackbone.extract.methods.method import RECIPES, build_method, default_options, without_unnamed
from stackbone.extract.networks.network import FeatureNetwork, build_body
from stackbone.extract.steering.batches import PixelStore, split_for_validation
from stackbone.extract.steering.mixed_precision import choose_autocast, mixed_precision, set_fast_attention
from stackbone.extract.steering.options import RELEASED, EpochReport, SteerOptions
from stackbone.extract.steering.starting_point import StartingHead, StartingPoint
from stackbone.extract.steering.training import Trainer
from stackbone.extract.steering.training_data import FeatureBatches, ImageBatches, embed_once

_TRIED_STEPS = 3  # the first also allocates what the others use again
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Trained:
    """The outcome of a run.

    Attributes
    ----------
    options
        Those of the method that a file names.
    tensors
        What a steering file holds, by name, float32.
    history
        As of `Steering`.
    precision
        ``fp32`` or ``bf16``: what ``auto`` became.
    n_tuned, n_parameters, resumed_from
        As of `SteerReport`.
    start_accuracy
        Of a head that it started from, on the validation part, 0 to 1; None without either.
    """

    options: dict[str, Any]
    tensors: dict[str, NDArray[np.float32]]
    history: list[dict[str, float]]
    precision: str
    n_tuned: int
    n_parameters: int
    resumed_from: int
    start_accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network ready to be trained, before any image is decoded.

    Attributes
    ----------
    method
        The method's module around the backbone, at its start.
    options
        Those of the method that a file names.
    network
        What turns pixels (B, H, W, 3) uint8 into features (B, dim) float32, by way of `method`.
    dim
        Of the features.
    device, autocast
        Where and in what it computes; None for float32.
    start
        Of a released checkpoint that it starts from, what was read of the file, in words.
    head
        The head that it starts with; None for one of zeros.
    """

    method: nn.Module
    options: dict[str, Any]
    network: nn.Module
    dim: int
    device: torch.device
    autocast: torch.dtype | None
    start: str | None
    head: StartingHead | None = None


def prepare(
    backbone: Backbone, weights: Weights, options: SteerOptions, point: StartingPoint, device_name: str
) -> Prepared:
    """Build the network that is to be trained; parameters and errors as of `extract.steering.steer.steer`."""
    device = pick_device(device_name)
    autocast = choose_autocast(options.precision, device)
    method, chosen = _build_method(backbone, weights, options, point)
    start = point.load(method)
    network = _around(method, backbone, device, autocast)
    return Prepared(method, chosen, network, _width(network, backbone, device), device, autocast, start, point.head)


def train_on_images(
    prepared: Prepared,
    store: PixelStore,
    labels: Mapping[int, str],
    groups: Sequence[int] | None,
    options: SteerOptions,
    checkpoint: Path,
    fingerprint: str,
    on_epoch: Callable[[EpochReport], None] | None,
    report: Progress,
) -> Trained:
    """Train a method on those rows of a store that have labels.

    Parameters
    ----------
    store, labels
        The images, and the class of each row that is to be learned from.
    groups
        Of every row of the store, if rows belong together.
    checkpoint, fingerprint
        Where the run keeps what it has, and what tells it from other runs.
    on_epoch, report
        As `on_epoch` and `on_progress` of `extract.steering.steer.steer`.

    Raises
    ------
    DatasetError
        If an image can no longer be read.
    StackboneError
        If the loss is no longer finite, there is not enough memory, or the checkpoint cannot be written.
    """
    device, autocast = prepared.device, prepared.autocast
    precision = "fp32" if autocast is None else "bf16"
    classes = sorted(set(labels.values()))
    code_of = {label: code for code, label in enumerate(classes)}
    codes = np.full(max(labels) + 1, -1, np.int64)
    for row, label in labels.items():
        codes[row] = code_of[label]
    training, validation = split_for_validation(labels, options.validation, options.seed, groups)
    if options.validation and not len(validation):
        share = f"{options.validation:.0%} of the {counted(len(labels), 'image')}"
        _log.warning("no class or group is small enough to validate on %s: the last epoch will be kept", share)
    features = prepared.network
    batches: ImageBatches | FeatureBatches
    if not RECIPES[options.method].changes_features:
        rows = np.array(sorted(labels), np.int64)
        views = list(dict.fromkeys([PLAIN, *options.view_names]))  # the plain one validates
        told = partial(report, "embedding")
        embedded = embed_once(features, store, len(codes), rows, views, device, autocast, told)
        learnt = [views.index(view) for view in options.view_names]
        batches = FeatureBatches(embedded, codes, training, validation, options, learnt)
        features = nn.Identity()
    else:
        batches = ImageBatches(store, codes, training, validation, options)
    head = prepared.head.of(classes) if prepared.head else None
    trainer = Trainer(prepared.method, features, prepared.dim, len(classes), options, device, autocast, head)
    resumed = trainer.run(batches, checkpoint, f"{fingerprint} {precision}", on_epoch=on_epoch, on_step=report)
    return Trained(
        options=prepared.options,
        tensors=trainer.tensors(),
        history=trainer.history,
        precision=precision,
        n_tuned=trainer.n_tuned,
        n_parameters=trainer.n_parameters,
        resumed_from=resumed,
        start_accuracy=trainer.start_accuracy,
    )


def estimate_seconds(
    backbone: Backbone, weights: Weights, options: SteerOptions, n_images: Sequence[int], *, device: str = "auto"
) -> float:
    """Return about how many seconds trainings on so many images each take at most, none of them stopping early.

    A few steps are taken on pixels of one grey, and nothing is kept. Reading the images and validating are not in it.

    Raises
    ------
    UsageError
        If the method does not take the backbone.
    """
    n_training = [max(1, round(n * (1 - options.validation))) for n in n_images]
    n_steps = sum(options.epochs * -(-n // options.batch_size) for n in n_training)
    prepared = prepare(backbone, weights, options, StartingPoint(), device)
    size = (min(max(n_training), options.batch_size), *backbone.transform.input_size, 3)
    pixels = torch.full(size, 128, dtype=torch.uint8, device=prepared.device)
    network, seconds = prepared.network.train(), []
    for _ in range(_TRIED_STEPS):
        started = time.perf_counter()
        with mixed_precision(prepared.device, prepared.autocast):
            loss = network(pixels).float().square().mean()
        loss.backward()
        float(loss.detach())  # a GPU is waited for
        seconds.append(time.perf_counter() - started)
    return n_steps * min(seconds)


def _build_method(
    backbone: Backbone, weights: Weights, options: SteerOptions, point: StartingPoint
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the method's module, and those of its options that a file names."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        body = build_body(backbone, weights)
        defaults = default_options(options.method, body)
        started = {name: value for name, value in point.options.items() if name in defaults}
        chosen = {**defaults, **options.recipe_options, **started, **options.method_options}
        method = build_method(options.method, body, chosen)
        if options.recipe == RELEASED:
            cast("Any", method).train_as_released()
    return method, without_unnamed(options.method, chosen)


def _around(method: nn.Module, backbone: Backbone, device: torch.device, autocast: torch.dtype | None) -> nn.Module:
    """Return the network that takes pixels, on its device."""
    network: nn.Module = FeatureNetwork(method, replace(backbone, pooling="model"))
    network = cast("Any", network).to(device, memory_format=torch.channels_last)
    set_fast_attention(network, device, autocast)
    return network


def _width(network: nn.Module, backbone: Backbone, device: torch.device) -> int:
    height, width = backbone.transform.input_size
    with torch.no_grad():
        return int(network.eval()(torch.zeros((1, height, width, 3), dtype=torch.uint8, device=device)).shape[1])
