"""A steering in memory, and the checks that a description from a file must pass to become one.

A description comes from a file that anybody may have written: each value is of its type, and each number
within bounds, before anything is made of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, SeenRecord, feature_set_id
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.records.division import parse_division
from stackbone.cache.tensor_file import header_json
from stackbone.extract.backbones.backbone import check_name
from stackbone.extract.methods.method import HEAD, RECIPES

STAGES = ("pretune", "tune")
SEEN = "seen"
"""The tensor of the digests of the images that were seen."""
FIELDS = {"method", "stage", "backbone", "spec", "options", "classes", "division", "training", "history"}
"""What a description says: every field but the arrays."""
MOST_SEED = (1 << 32) - 1

_NOT_RECIPE = {"versions", "seed", "parent_seen", "head", "start_accuracy"}
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_.]{1,100})?")
_WEIGHTS = re.compile(r"sha256:[0-9a-f]{64}|random\([0-9]{1,18}\)")
_LARGEST_INPUT = 4096
_SIZES = ("rank", "n_prompts")  # options that are a side of trained tensors
_LARGEST_NUMBER = 1e30
_T = TypeVar("_T")


class UnsoundError(Exception):
    """A description or a tensor is not what a steering has; the text says in what."""


@dataclass(frozen=True, eq=False)
class Steering:
    """Parameters trained on labels that make a plain backbone a task's own.

    Attributes
    ----------
    method, stage
        Of `RECIPES` and `STAGES`.
    backbone, spec
        Name of the plain backbone, such as ``vit_base`` or ``timm:MODEL``, and what its fp32 features are.
    options
        JSON-able: what rebuilds the module of the method.
    classes
        Of the head, in the order of its outputs.
    seen
        (n, 32) uint8: the images whose labels it saw, those of its parent included.
    division
        Which part of a dataset it was trained on (JSON-able), or None for everything.
    training
        JSON-able: epochs, learning rate, ..., ``seed``, ``parent`` (SHA-256 of the steering that it started from, or
        None), ``versions`` of libraries. Of one that started from a head on the frozen backbone: ``head`` (SHA-256 of
        its file), ``head_recipe``, and ``start_accuracy``, the head's on the validation part.
    history
        Of each epoch: losses, accuracies, learning rate; no times, so that the same training gives the same file.
    tensors
        Trained parameters by their name in the method's module, float32, and the head's (`HEAD`).
    """

    method: str
    stage: str
    backbone: str
    spec: FeatureSpec
    options: dict[str, Any]
    classes: list[str]
    seen: Digests
    division: dict[str, Any] | None
    training: dict[str, Any]
    history: list[dict[str, float]]
    tensors: dict[str, NDArray[np.float32]]

    @property
    def name(self) -> str:
        """Name of the steered backbone, such as ``vit_toast``, ``vit_base_lora`` or ``resnet50_finetune``."""
        return RECIPES[self.method].steered_name(self.method, self.backbone, self.spec.architecture)

    @property
    def recipe(self) -> str:
        """Hex digest of how it was made, whatever the images and the seed: the steerings of all folds share it."""
        training = {key: value for key, value in self.training.items() if key not in _NOT_RECIPE}
        made = [self.method, self.stage, self.spec.to_json(), self.options, training]
        return hashlib.sha256(header_json(made).encode()).hexdigest()

    def record(self, sha256: str) -> SeenRecord:
        """Return what a feature set keeps of it, given the SHA-256 of its file."""
        description = {
            "method": self.method,
            "stage": self.stage,
            "backbone": self.backbone,
            "recipe": self.recipe,
            "division": self.division,
            "seed": self.training.get("seed"),
            "parent_seen": self.training.get("parent_seen"),
        }
        return SeenRecord(sha256, self.seen, description)


def parse_steering(raw: object, tensors: Mapping[str, NDArray[Any]]) -> Steering:
    """Return the steering of a description and tensors, every type, number and shape checked.

    Raises
    ------
    UnsoundError, CacheError, UsageError
        If they are none.
    """
    described = _as(dict, raw, "the description")
    if set(described) != FIELDS:
        message = f"the keys of its description differ from the format's in {sorted(set(described) ^ FIELDS)}"
        raise UnsoundError(message)
    method, stage, division = described["method"], described["stage"], described["division"]
    if method not in RECIPES or stage not in STAGES:
        message = (
            f"its method is {method!r} in stage {stage!r}, expected one of {', '.join(RECIPES)} in {', '.join(STAGES)}"
        )
        raise UnsoundError(message)
    spec = FeatureSpec.from_json(json.dumps(described["spec"]))
    check_name(_as(str, described["backbone"], "backbone"))
    _check_spec(spec)
    if spec.steering is not None or spec.precision != "fp32":
        message = "its spec is not that of the plain backbone's fp32 features"
        raise UnsoundError(message)
    seen = tensors.get(SEEN)
    if seen is None or seen.dtype != np.uint8 or seen.ndim != 2 or seen.shape[1] != DIGEST_BYTES:
        message = f"its tensor {SEEN!r}, the digests of the images that it saw, is not (n, {DIGEST_BYTES}) uint8"
        raise UnsoundError(message)
    trained = {name: array for name, array in tensors.items() if name != SEEN}
    other = sorted(name for name, array in trained.items() if array.dtype != np.float32 or not np.isfinite(array).all())
    if other:
        message = f"its tensors {other} are not of finite float32 numbers"
        raise UnsoundError(message)
    steering = Steering(
        method=method,
        stage=stage,
        backbone=_as(str, described["backbone"], "backbone"),
        spec=spec,
        options=_options(described["options"], trained),
        classes=[_as(str, each, "a class") for each in _as(list, described["classes"], "classes")],
        seen=seen,
        division=None if division is None else parse_division(division),
        training=_training(described["training"]),
        history=_history(described["history"]),
        tensors=trained,
    )
    feature_set_id(steering.name, spec)
    return steering


def _check_spec(spec: FeatureSpec) -> None:
    """Refuse a spec that no network is built from: a name that is a place, a size that is none."""
    numbers = (spec.crop_fraction, *spec.mean, *spec.std)
    sound = {
        "architecture": _ARCHITECTURE.fullmatch(spec.architecture),
        "weights": _WEIGHTS.fullmatch(spec.weights),
        "input_size": all(0 < side <= _LARGEST_INPUT for side in spec.input_size),
        "crop_fraction": 0.1 <= spec.crop_fraction <= 2,
        "mean and std": all(abs(number) < 1e3 for number in numbers) and min(spec.std) > 1e-6,
        "crop_mode": spec.crop_mode in ("center", "squash"),
        "interpolation": spec.interpolation in ("bilinear", "bicubic"),
        "pooling": spec.pooling in ("avg", "model"),
        "view": spec.view == "plain",
    }
    if wrong := [name for name, holds in sound.items() if not holds]:
        message = f"its spec has no {wrong[0]} of a timm model's"
        raise UnsoundError(message)


def _options(raw: object, trained: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the options of a method; one that decides how large the method's tensors are is a side of those here."""
    options = _scalars(raw, "options")
    sides = {side for name, array in trained.items() if name not in HEAD for side in array.shape}
    for name in _SIZES:
        if name in options and (type(options[name]) is not int or options[name] not in sides):
            message = f"its option {name} is {options[name]!r}, and none of its tensors has such a side"
            raise UnsoundError(message)
    return options


def _scalars(raw: object, what: str) -> dict[str, Any]:
    found = _as(dict, raw, what)
    if wrong := [name for name, value in found.items() if type(value) not in (str, int, float, bool, type(None))]:
        message = f"{wrong[0]!r} of {what} is a JSON {type(found[wrong[0]]).__name__}, expected one value"
        raise UnsoundError(message)
    if wrong := [name for name, value in found.items() if not _is_bounded(value)]:
        message = f"{wrong[0]!r} of {what} is a number beyond all bounds"
        raise UnsoundError(message)
    return found


def _is_bounded(value: object) -> bool:
    return not isinstance(value, int | float) or (-_LARGEST_NUMBER < value < _LARGEST_NUMBER)


def _training(raw: object) -> dict[str, Any]:
    training = _as(dict, raw, "training")
    versions = _as(dict, training.get("versions", {}), "versions")
    if wrong := [name for name, value in versions.items() if type(value) is not str]:
        message = f"the version of {wrong[0]!r} is not text"
        raise UnsoundError(message)
    _scalars({name: value for name, value in training.items() if name != "versions"}, "training")
    for name, kind in (("seed", int), ("parent", str), ("parent_seen", str)):
        if training.get(name) is not None:
            _as(kind, training[name], name)
    if not 0 <= (training.get("seed") or 0) <= MOST_SEED:
        message = f"its seed is {training['seed']}, expected 0 to {MOST_SEED:,}"
        raise UnsoundError(message)
    return training


def _history(raw: object) -> list[dict[str, float]]:
    epochs = [_numbers(each) for each in _as(list, raw, "history")]
    facts = {name for epoch in epochs for name in epoch}
    if any(set(epoch) != facts for epoch in epochs) or ("validation_accuracy" in facts) != ("validation_loss" in facts):
        message = "its epochs do not tell the same facts"
        raise UnsoundError(message)
    return epochs


def _numbers(raw: object) -> dict[str, float]:
    epoch = _as(dict, raw, "an epoch")
    if wrong := [name for name, value in epoch.items() if type(value) not in (int, float) or not _is_bounded(value)]:
        message = f"{wrong[0]!r} of an epoch is not a number within bounds"
        raise UnsoundError(message)
    return epoch


def _as(kind: type[_T], value: object, what: str) -> _T:
    if type(value) is not kind:
        message = f"{what} is a JSON {type(value).__name__}, expected {kind.__name__}"
        raise UnsoundError(message)
    return value
