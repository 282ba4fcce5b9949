"""Backbones that a steering file makes: rebuilt from the file alone, without torch or timm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stackbone.cache import SeenRecord, UsageError
from stackbone.cache.text import typed
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, SteeredBy, Transform, get_backbone
from stackbone.extract.methods.method import RECIPES
from stackbone.extract.steering_files.file import find_steering, list_steering_files, read_steering
from stackbone.extract.steering_files.steering import Steering


@dataclass(frozen=True, eq=False)
class RecordedBackbone:
    """A backbone that a file steers, with the record that its feature sets keep."""

    backbone: Backbone
    record: SeenRecord


def steered_backbone(path: Path) -> tuple[Backbone, Steering]:
    """Return the backbone that a steering file makes, and the steering.

    Its transform and architecture are those that the steering was trained with. Nothing is imported for it, so it
    does not know on which hub weights of ``timm:MODEL`` lie: see `with_hub`.

    Raises
    ------
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    steering, sha256 = read_steering(path)
    return _backbone_of(path, steering, sha256), steering


def _backbone_of(path: Path, steering: Steering, sha256: str) -> Backbone:
    spec = steering.spec
    known = BACKBONES.get(steering.backbone)
    return Backbone(
        name=steering.name,
        architecture=spec.architecture,
        transform=Transform(spec.input_size, spec.crop_fraction, spec.interpolation, spec.crop_mode),
        mean=spec.mean,
        std=spec.std,
        pooling=spec.pooling,
        hub=known.hub if known else "",
        package=known.package if known else None,
        steering=SteeredBy(path, sha256, steering.backbone, spec.weights),
    )


def read_steered(paths: Sequence[Path]) -> list[RecordedBackbone]:
    """Return the backbones that some files, and folders of files, steer; the same file under two names counts once.

    Passed over in a folder are steerings that train a classifier and change no feature, such as linear ones, and those
    of the stage ``pretune``, which are there to start from.

    Raises
    ------
    UsageError
        If there is no such file, a linear steering is named, or a folder holds no others.
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    found: dict[str, RecordedBackbone] = {}
    passed_over = ""
    for path in list_steering_files(paths):
        steering, sha256 = read_steering(path)  # its tensors, maybe hundreds of megabytes, are not kept
        if not RECIPES[steering.method].changes_features:
            passed_over = _no_features(path, steering)
            if path in paths:
                raise UsageError(passed_over)
            continue
        if steering.stage == "pretune" and path not in paths:
            passed_over = (
                f"--steering {typed(path)}: it was trained for others to start from, and its folder holds no other. "
                "Train one on the task with `stackbone steer --start`, or name the file itself"
            )
            continue
        backbone = _backbone_of(path, steering, sha256)
        found[backbone.key] = RecordedBackbone(backbone, steering.record(sha256))
    if passed_over and not found:
        raise UsageError(passed_over)
    return list(found.values())


def with_hub(backbone: Backbone) -> Backbone:
    """Return a steered backbone that knows where its weights lie; for ``timm:MODEL`` this imports timm (seconds)."""
    if backbone.steering is None or backbone.hub or backbone.plain in BACKBONES:
        return backbone
    return replace(backbone, hub=get_backbone(backbone.plain).hub)


def _no_features(path: Path, steering: Steering) -> str:
    return (
        f"--steering {typed(path)}: a {steering.method} steering trains a classifier and leaves the features of "
        f"{steering.backbone} as they are. Use --backbones {typed(steering.backbone)} without it"
    )


def find_steered(sha256: str, name: str, paths: Sequence[Path]) -> RecordedBackbone:
    """Return the backbone of the one among some steering files that has a digest.

    Raises
    ------
    UsageError
        If none has; the message names the digest, the backbone and what to type. Or if it is a linear one.
    WeightsError, NewerVersionError
        As of `read_steering`.
    """
    if found := find_steering(sha256, paths):
        path, steering = found
        if not RECIPES[steering.method].changes_features:
            raise UsageError(_no_features(path, steering))
        return RecordedBackbone(_backbone_of(path, steering, sha256), steering.record(sha256))
    other = "; the one given is another" if len(paths) == 1 else f"; none of the {len(paths)} given is that file"
    given = other if paths else ""
    message = (
        f"the features of {name} were made with the steering file whose SHA-256 is {sha256}{given}. "
        "Give that file: --steering FILE"
    )
    raise UsageError(message)
