"""Make a steering file from labelled images and a plain backbone: the main job of steering."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stackbone.cache import DatasetError, FeatureSpec, UsageError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.trainings.checkpoints import checkpoint_path, remove_checkpoint
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.images.decode import quiet_pillow
from stackbone.extract.images.limits import Limits, limits_of
from stackbone.extract.methods.method import RECIPES
from stackbone.extract.steering.batches import PixelStore
from stackbone.extract.steering.options import EpochReport, SteerOptions, TrainingImages
from stackbone.extract.steering.report import SUFFIX, SteerReport, read_finished, steering_path
from stackbone.extract.steering.starting_point import StartingPoint, read_start, start_of_part
from stackbone.extract.steering_files.file import write_steering
from stackbone.extract.steering_files.steering import Steering
from stackbone.extract.views.views import check_fit

if TYPE_CHECKING:
    from stackbone.extract.steering.training_run import Trained

__all__ = ["EpochReport", "SteerOptions", "SteerReport", "TrainingImages", "steer", "steering_path"]


def steer(
    images: TrainingImages,
    backbone: Backbone,
    weights: Weights,
    out: Path,
    options: SteerOptions,
    *,
    start: Path | None = None,
    division: dict[str, Any] | None = None,
    device: str = "auto",
    workers: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_progress: Progress | None = None,
) -> SteerReport:
    """Train what steers a plain backbone to the classes of some labelled images.

    A run that was cut short resumes after its last whole epoch, to the same result, when it is called again with the
    same inputs; one that is finished is not trained again.

    Parameters
    ----------
    images
        Those that may be learned from, and no others; the validation part is taken from them.
    backbone, weights
        The plain backbone.
    out
        The steering file to be made, ``*.safetensors``. The checkpoint lies beside it meanwhile.
    start
        A steering of the same backbone to start from, such as one of the stage ``pretune``, or a checkpoint that
        TOAST's authors released.
    division
        Which part of the dataset the images are, for the file (JSON-able); None for everything.
    device
        As of `make_engine`.
    workers
        Decoding threads; by default one per core.
    allow_truncated, max_pixels
        As of `extract`.
    on_epoch
        Called after every epoch.
    on_progress
        Called with (what is going on, done, in all).

    Returns
    -------
    SteerReport

    Raises
    ------
    UsageError
        If an option is wrong, the method does not take the backbone or the start, or `out` is finished, of other
        inputs.
    DatasetError
        If the images have fewer than two classes, or hardly more images than classes.
    WeightsError
        If the weights, `start` or `out` are not sound, or `start` is of another backbone.
    StackboneError
        If the loss is no longer finite, or there is not enough memory.
    """
    started = time.monotonic()
    report = on_progress or silent
    limits = limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels)
    options.check()
    _check_names(backbone, out)
    spec = backbone.spec(weights.identity)
    if start and start.is_dir():
        start = start_of_part(start, backbone.name, options.method, division)
    point = read_start(start, backbone, spec, options) if start else StartingPoint()
    if point.head and options.learning_rate is None:
        # What is not new is trained as slowly as the backbone would be below a new head.
        rate = options.highest_rate * RECIPES[options.method].body_rate
        options = replace(options, learning_rate=rate)
    check_fit(options.view_names, [backbone])
    inputs = _fingerprint(images, spec, options, point, division)
    finished = read_finished(out, inputs, images, time.monotonic() - started)
    if finished is not None:
        return finished

    learned = _learn(
        images,
        backbone,
        weights,
        options,
        point,
        checkpoint_path(out),
        inputs,
        limits=limits,
        device=device,
        workers=workers,
        on_epoch=on_epoch,
        report=report,
    )
    trained = learned.trained
    steering = Steering(
        method=options.method,
        stage=options.stage,
        backbone=backbone.name,
        spec=spec,
        options=trained.options,
        classes=sorted(set(learned.images.labels)),
        seen=np.unique(np.concatenate([learned.images.digests, point.seen]), axis=0),
        division=division,
        training=_describe(options, point, learned.start, trained, inputs),
        history=trained.history,
        tensors=trained.tensors,
    )
    sha256 = write_steering(out, steering)
    remove_checkpoint(checkpoint_path(out))
    return SteerReport(
        path=out,
        sha256=sha256,
        steering=steering,
        n_tuned=trained.n_tuned,
        n_parameters=trained.n_parameters,
        seconds=time.monotonic() - started,
        resumed_from=trained.resumed_from,
        already_done=False,
        failures=learned.failures,
    )


@dataclass(frozen=True, eq=False)
class _Learned:
    """A training that went to its end.

    Attributes
    ----------
    trained
        What was trained.
    images
        Those that it learned from.
    failures
        (path, reason) of those that could not be read.
    start
        As of `Prepared`.
    """

    trained: Trained
    images: TrainingImages
    failures: list[tuple[str, str]]
    start: str | None


def _learn(
    images: TrainingImages,
    backbone: Backbone,
    weights: Weights,
    options: SteerOptions,
    point: StartingPoint,
    checkpoint: Path,
    inputs: str,
    *,
    limits: Limits,
    device: str,
    workers: int | None,
    on_epoch: Callable[[EpochReport], None] | None,
    report: Progress,
) -> _Learned:
    """Read the images and train on those that can be read; parameters and errors as of `steer`."""
    distinct, failures = images.distinct()
    _check_classes(distinct)
    if point.head:
        point.head.of(sorted(set(distinct.labels)))
    from stackbone.extract.steering.training_run import (  # torch, which a finished run does without
        prepare,
        train_on_images,
    )

    report(f"preparing {backbone.name}", 0, 1)
    prepared = prepare(backbone, weights, options, point, device)  # refused, if at all, before any image is decoded
    report(f"preparing {backbone.name}", 1, 1)
    with quiet_pillow(limits):
        store = PixelStore(distinct.paths, distinct.digests, backbone.transform, workers=workers, limits=limits)
        failed = store.load(partial(report, "reading"))
        readable = distinct.without(failed)
        _check_classes(readable)
        trained = train_on_images(
            prepared,
            store,
            {row: label for row, label in enumerate(distinct.labels) if row not in failed},
            distinct.groups,
            options,
            checkpoint,
            f"{inputs} {readable.fingerprint}",
            on_epoch,
            report,
        )
    failures += [(distinct.paths[row], reason) for row, reason in failed.items()]
    return _Learned(trained, readable, failures, prepared.start)


def _check_names(backbone: Backbone, out: Path) -> None:
    if backbone.steering is not None:
        message = f"{backbone.name} is already steered: name the plain backbone, and give the steering with --start"
        raise UsageError(message)
    if out.suffix != SUFFIX:
        message = f"{out} would not be taken for a steering file: name one that ends in {SUFFIX}"
        raise UsageError(message)


def _check_classes(images: TrainingImages) -> None:
    n_classes, n_images = len(set(images.labels)), len(images.labels)
    if n_classes < 2:
        found = f"all of one class, {images.labels[0]!r}" if n_classes else "none"
        message = f"the images that can be learned from are {found}: steering takes two classes or more"
        raise DatasetError(message)
    if n_images == n_classes:
        message = (
            f"there are {n_images:,} images that can be learned from, and as many classes: no class can be learned "
            "from one image. Are these the labels of the right column or folders?"
        )
        raise DatasetError(message)


def _fingerprint(
    images: TrainingImages,
    spec: FeatureSpec,
    options: SteerOptions,
    point: StartingPoint,
    division: Mapping[str, Any] | None,
) -> str:
    """Return the hex digest of all that the result depends on; known without torch."""
    version = RECIPES[options.method].version(spec.architecture)
    inputs = [version, images.fingerprint, spec.to_json(), options.described(), point.sha256, division]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _describe(
    options: SteerOptions, point: StartingPoint, read: str | None, trained: Trained, inputs: str
) -> dict[str, Any]:
    training = {key: value for key, value in options.described().items() if key not in ("method", "stage")}
    del training["method_options"]
    training |= {"warmup": options.warmup_epochs, "precision": trained.precision}
    training |= {"optimiser": options.chosen_optimiser, "learning_rate": options.highest_rate}
    training |= {"parent": None if point.head else point.sha256, "parent_seen": point.remark}
    if point.head:  # another file in each fold, of one recipe
        training |= {"head": point.sha256, "head_recipe": point.head.recipe, "start_accuracy": trained.start_accuracy}
    training |= {"parent_read": read} if read else {}
    # The inputs beside the libraries: the data's version, which differs among the folds of one recipe.
    versions = {name: version(name) for name in ("stackbone", "torch", "timm", "pillow")} | {"inputs": inputs}
    return training | {"versions": versions}
