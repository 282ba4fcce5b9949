"""Make a steering file from labelled images and a plain backbone: the main job of steering."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import DatasetError, FeatureSpec, UsageError, as_keys
from stackbone.cache.progress import Progress, silent
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.images.decode import quiet_pillow
from stackbone.extract.images.limits import limits_of
from stackbone.extract.methods.method import RECIPES
from stackbone.extract.steering.batches import PixelStore
from stackbone.extract.steering.checkpoints import checkpoint_path, remove_checkpoint
from stackbone.extract.steering.options import EpochReport, SteerOptions, TrainingImages
from stackbone.extract.steering.report import SteerReport
from stackbone.extract.steering.starting_point import StartingPoint, read_start
from stackbone.extract.steering_files.file import read_steering, write_steering
from stackbone.extract.steering_files.steering import Steering

__all__ = ["EpochReport", "SteerOptions", "SteerReport", "TrainingImages", "steer", "steering_path"]

_SUFFIX = ".safetensors"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")  # in names of files
_UNREAD = (
    "it could not be read when this steering was made. To train with it, name another --out, or remove the steering"
)


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
    if backbone.steering is not None or out.suffix != _SUFFIX:
        message = (
            f"{backbone.name} is already steered: name the plain backbone, and give the steering with --start"
            if backbone.steering is not None
            else f"{out} would not be taken for a steering file: name one that ends in {_SUFFIX}"
        )
        raise UsageError(message)
    spec = backbone.spec(weights.identity)
    point = read_start(start, backbone, spec, options) if start else StartingPoint()
    inputs = _fingerprint(images, spec, options, point, division)
    finished = _finished(out, inputs, images, time.monotonic() - started)
    if finished is not None:
        return finished

    distinct, failures = images.distinct()
    _check_classes(distinct)
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
        failures += [(distinct.paths[row], reason) for row, reason in failed.items()]
        readable = distinct.without(failed)
        _check_classes(readable)
        labels = {row: label for row, label in enumerate(distinct.labels) if row not in failed}
        trained = train_on_images(
            prepared,
            store,
            labels,
            distinct.groups,
            options,
            checkpoint_path(out),
            f"{inputs} {readable.fingerprint}",
            on_epoch,
            report,
        )

    steering = Steering(
        method=options.method,
        stage=options.stage,
        backbone=backbone.name,
        spec=spec,
        options=trained.options,
        classes=sorted(set(readable.labels)),
        seen=np.unique(np.concatenate([readable.digests, point.seen]), axis=0),
        division=division,
        training=_describe(options, point, prepared.start, trained.precision, inputs),
        history=trained.history,
        tensors=trained.tensors,
    )
    sha256 = write_steering(out, steering)
    remove_checkpoint(checkpoint_path(out))
    return SteerReport(
        path=out,
        sha256=sha256,
        steering=steering,
        best_epoch=_best_epoch(steering.history),
        n_tuned=trained.n_tuned,
        n_parameters=trained.n_parameters,
        seconds=time.monotonic() - started,
        resumed_from=trained.resumed_from,
        already_done=False,
        failures=failures,
    )


def steering_path(
    folder: Path, dataset: str, backbone: Backbone, options: SteerOptions, division: Mapping[str, Any] | None
) -> Path:
    """Return where in a folder the steering of one part of a dataset belongs, for people to tell files apart.

    Such as ``vit_base-toast-birds-seed0-cv3-fold1.safetensors``. Runs that differ in other options have the same
    place, where `steer` refuses to replace one with the other: a folder holds the steerings of one recipe.
    """
    part = division or {}
    parts = [backbone.name, options.method, *(["pretune"] if options.stage == "pretune" else []), dataset]
    parts.append(f"seed{options.seed}")
    parts += [f"cv{part['cv']}", f"fold{part['fold']}"] if "fold" in part else []
    parts += [f"without-{part['split']}"] if "split" in part else []
    parts += [f"inner{part['inner']}"] if "inner" in part else []
    return folder / f"{_UNSAFE.sub('_', '-'.join(parts))}{_SUFFIX}"


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


def _finished(out: Path, inputs: str, images: TrainingImages, seconds: float) -> SteerReport | None:
    """Return the report of a run that was finished before, or None if there is no file."""
    if not out.exists():
        return None
    steering, sha256 = read_steering(out)
    if steering.training.get("versions", {}).get("inputs") != inputs or not steering.history:
        message = (
            f"{out} is a finished steering of other images, options or weights, and features may have been made "
            "with it. Name another --out, or remove it first"
        )
        raise UsageError(message)
    distinct, failures = images.distinct()
    unseen = np.flatnonzero(~np.isin(as_keys(distinct.digests), as_keys(steering.seen)))
    failures += [(distinct.paths[row], _UNREAD) for row in unseen]
    return SteerReport(
        path=out,
        sha256=sha256,
        steering=steering,
        best_epoch=_best_epoch(steering.history),
        n_tuned=0,
        n_parameters=0,
        seconds=seconds,
        resumed_from=0,
        already_done=True,
        failures=failures,
    )


def _describe(
    options: SteerOptions, point: StartingPoint, read: str | None, precision: str, inputs: str
) -> dict[str, Any]:
    training = {key: value for key, value in options.described().items() if key not in ("method", "stage")}
    del training["method_options"]
    training |= {"warmup": options.warmup_epochs, "precision": precision}
    training |= {"optimiser": options.chosen_optimiser, "learning_rate": options.highest_rate}
    training |= {"parent": point.sha256, "parent_seen": point.remark}
    training |= {"parent_read": read} if read else {}
    # The inputs beside the libraries: the data's version, which differs among the folds of one recipe.
    versions = {name: version(name) for name in ("stackbone", "torch", "timm", "pillow")} | {"inputs": inputs}
    return training | {"versions": versions}


def _best_epoch(history: list[dict[str, float]]) -> int:
    """Return the epoch, from 1, that a trainer kept: the first of the best ones; without validation, the last."""
    if "validation_accuracy" not in history[-1]:
        return len(history)
    quality = [(each["validation_accuracy"], -each["validation_loss"]) for each in history]
    return quality.index(max(quality)) + 1
