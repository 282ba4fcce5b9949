"""One file for what steers a backbone: safetensors, whose metadata hold the rest as JSON; reading it runs no code.

Layout, version 1. Metadata: ``stackbone-steering``, a JSON object of ``format_version``, ``steering`` (every field of
`Steering` but its arrays) and ``sha256`` (over ``steering`` and every tensor's name, type, shape and bytes). Tensors:
``seen`` (n, 32) uint8 and the trained parameters, all float32. The same steering gives the same bytes, so that its
SHA-256, by which features know it, is the same on every machine.

The checksum tells damage, not an author.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    CacheError,
    Digests,
    FeatureSpec,
    NewerVersionError,
    SeenRecord,
    UsageError,
    WeightsError,
    feature_set_id,
    sha256_file,
)
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.records.division import parse_division
from stackbone.extract.backbones.backbone import check_name

METHODS = ("toast", "toast-lite", "linear", "lora", "vpt", "finetune")
STAGES = ("pretune", "tune")
FORMAT_VERSION = 1
HEAD = ("head.weight", "head.bias")
"""The classifier's tensors, of no account for features."""

_METADATA = "stackbone-steering"
_SEEN = "seen"
_KEYS = {"method", "stage", "backbone", "spec", "options", "classes", "division", "training", "history"}
_NOT_RECIPE = {"versions", "seed", "parent_seen"}
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_.]{1,100})?")
_WEIGHTS = re.compile(r"sha256:[0-9a-f]{64}|random\([0-9]{1,18}\)")
_LARGEST_INPUT = 4096
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Steering:
    """Parameters trained on labels that make a plain backbone a task's own.

    Attributes
    ----------
    method, stage
        Of `METHODS` and `STAGES`.
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
        None), ``versions`` of libraries.
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
        is_vit = "convnext" not in self.spec.architecture  # `toast` steers these two families only
        plain = "vit" if self.method.startswith("toast") and is_vit else self.backbone.removeprefix("timm:")
        return f"{plain}_{self.method}".replace("-", "_")

    @property
    def recipe(self) -> str:
        """Hex digest of how it was made, whatever the images and the seed: the steerings of all folds share it."""
        training = {key: value for key, value in self.training.items() if key not in _NOT_RECIPE}
        made = [self.method, self.stage, self.spec.to_json(), self.options, training]
        return hashlib.sha256(_as_json(made).encode()).hexdigest()

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


def write_steering(path: Path, steering: Steering) -> str:
    """Write a steering to one file, whole or not at all, and return the file's SHA-256.

    Raises
    ------
    WeightsError
        If a field is not what a reader would accept.
    CacheError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    described = {key: getattr(steering, key) for key in _KEYS} | {"spec": json.loads(steering.spec.to_json())}
    tensors: dict[str, NDArray[Any]] = {**steering.tensors, _SEEN: steering.seen}
    try:
        _parse(json.loads(_as_json(described)), tensors)
    except (_Unsound, CacheError, UsageError, ValueError, TypeError) as exc:
        message = f"the steering cannot be written to {path}: {exc}. Nothing was written"
        raise WeightsError(message) from exc
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    outer = {"format_version": FORMAT_VERSION, "steering": described, "sha256": _checksum(described, tensors)}
    content = save(tensors, {_METADATA: _as_json(outer)})
    write_output(path, content)
    return hashlib.sha256(content).hexdigest()


def read_steering(path: Path) -> tuple[Steering, str]:
    """Return the steering that `write_steering` wrote, and the SHA-256 (hex) of its file.

    Raises
    ------
    WeightsError
        If there is no such file, or it is no steering, truncated or damaged.
    NewerVersionError
        If a newer Stackbone wrote it.
    """
    try:
        sha256 = sha256_file(path).hex()
        metadata, tensors = _read(path)
        described = _described(path, metadata, tensors)
        return _parse(described, tensors), sha256
    except OSError as exc:
        message = f"the steering {path} cannot be read: {exc.strerror or exc}. Name a file that `stackbone steer` wrote"
        raise WeightsError(message) from exc
    except NewerVersionError:
        raise
    except (_Unsound, CacheError, UsageError, ValueError, RecursionError) as exc:
        message = (
            f"{path} is not a sound steering file: {exc}. Nothing in it was used. "
            "Copy it again from where it is sound, or make it again with `stackbone steer`"
        )
        raise WeightsError(message) from exc


def list_steering_files(paths: Sequence[Path]) -> list[Path]:
    """Return the steering files that were named, each once; a folder stands for its ``*.safetensors``.

    Raises
    ------
    UsageError
        If a path does not exist, or a folder holds none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path] if path.is_file() else []
        if not found:
            problem = "the folder holds no *.safetensors" if path.is_dir() else "there is no such file"
            message = f"--steering {path}: {problem}. `stackbone steer` makes steering files"
            raise UsageError(message)
        files += found
    return list(dict.fromkeys(files))


def _read(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return our metadata and the tensors of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as opened:
            metadata = (opened.metadata() or {}).get(_METADATA)
            if metadata is None:
                message = "it is a safetensors file of something else"
                raise _Unsound(message)
            types = {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118 - no dict
            if not set(types.values()) <= {"F32", "U8"}:
                message = f"it holds tensors of the types {sorted(set(types.values()))}, the format has F32 and U8"
                raise _Unsound(message)
            return metadata, {name: opened.get_tensor(name) for name in types}
    except SafetensorError as exc:
        message = f"it is no whole safetensors file ({exc})"
        raise _Unsound(message) from exc


def _described(path: Path, metadata: str, tensors: Mapping[str, NDArray[Any]]) -> object:
    """Return the JSON of a steering, once its version is ours and its checksum holds."""
    outer = _as(dict, json.loads(metadata, parse_constant=_refuse_constant), "its metadata")
    version = outer.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        message = (
            f"the steering file {path} has format version {version}, and this Stackbone reads up to {FORMAT_VERSION}. "
            "Upgrade with `pip install -U stackbone`; nothing is wrong with the file"
        )
        raise NewerVersionError(message)
    if type(version) is not int or version != FORMAT_VERSION or set(outer) != {"format_version", "steering", "sha256"}:
        message = f"its metadata are of version {version!r} with the keys {sorted(outer)}"
        raise _Unsound(message)
    if _checksum(outer["steering"], tensors) != outer["sha256"]:
        message = "its checksum does not match: it was damaged or changed after it was written"
        raise _Unsound(message)
    return outer["steering"]


def _parse(raw: object, tensors: Mapping[str, NDArray[Any]]) -> Steering:
    """Return the steering of a description and tensors, every type and shape checked."""
    described = _as(dict, raw, "the description")
    if set(described) != _KEYS:
        message = f"the keys of its description differ from the format's in {sorted(set(described) ^ _KEYS)}"
        raise _Unsound(message)
    method, stage, division = described["method"], described["stage"], described["division"]
    if method not in METHODS or stage not in STAGES:
        message = f"its method is {method!r} in stage {stage!r}, known are {', '.join(METHODS)} in {', '.join(STAGES)}"
        raise _Unsound(message)
    spec = FeatureSpec.from_json(json.dumps(described["spec"]))
    check_name(_as(str, described["backbone"], "backbone"))
    _check_spec(spec)
    if spec.steering is not None or spec.precision != "fp32":
        message = "its spec is not that of the plain backbone's fp32 features"
        raise _Unsound(message)
    seen = tensors.get(_SEEN)
    if seen is None or seen.dtype != np.uint8 or seen.ndim != 2 or seen.shape[1] != DIGEST_BYTES:
        message = f"its tensor {_SEEN!r}, the digests of the images that it saw, is not (n, {DIGEST_BYTES}) uint8"
        raise _Unsound(message)
    trained = {name: array for name, array in tensors.items() if name != _SEEN}
    other = sorted(name for name, array in trained.items() if array.dtype != np.float32 or not np.isfinite(array).all())
    if other:
        message = f"its tensors {other} are not of finite float32 numbers"
        raise _Unsound(message)
    steering = Steering(
        method=method,
        stage=stage,
        backbone=_as(str, described["backbone"], "backbone"),
        spec=spec,
        options=_scalars(described["options"], "options"),
        classes=[_as(str, each, "a class") for each in _as(list, described["classes"], "classes")],
        seen=seen,
        division=None if division is None else parse_division(division),
        training=_training(described["training"]),
        history=[_numbers(each) for each in _as(list, described["history"], "history")],
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
        "crop_fraction": 0 < spec.crop_fraction <= 2,
        "mean and std": all(abs(number) < 1e3 for number in numbers) and min(spec.std) > 0,
        "crop_mode": spec.crop_mode in ("center", "squash"),
        "interpolation": spec.interpolation in ("bilinear", "bicubic"),
        "pooling": spec.pooling in ("avg", "model"),
        "view": spec.view == "plain",
    }
    if wrong := [name for name, holds in sound.items() if not holds]:
        message = f"its spec has no {wrong[0]} of a timm model's"
        raise _Unsound(message)


def _scalars(raw: object, what: str) -> dict[str, Any]:
    found = _as(dict, raw, what)
    if wrong := [name for name, value in found.items() if type(value) not in (str, int, float, bool, type(None))]:
        message = f"{wrong[0]!r} of {what} is a JSON {type(found[wrong[0]]).__name__}, expected one value"
        raise _Unsound(message)
    return found


def _training(raw: object) -> dict[str, Any]:
    training = _as(dict, raw, "training")
    versions = _as(dict, training.get("versions", {}), "versions")
    if wrong := [name for name, value in versions.items() if type(value) is not str]:
        message = f"the version of {wrong[0]!r} is no text"
        raise _Unsound(message)
    _scalars({name: value for name, value in training.items() if name != "versions"}, "training")
    for name, kind in (("seed", int), ("parent", str), ("parent_seen", str)):
        if training.get(name) is not None:
            _as(kind, training[name], name)
    return training


def _numbers(raw: object) -> dict[str, float]:
    epoch = _as(dict, raw, "an epoch")
    if wrong := [name for name, value in epoch.items() if type(value) not in (int, float)]:
        message = f"{wrong[0]!r} of an epoch is a JSON {type(epoch[wrong[0]]).__name__}, expected a number"
        raise _Unsound(message)
    return epoch


def _checksum(described: object, tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(_as_json(described).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _as_json(value: object) -> str:
    # ASCII: class names may hold bytes of folder names that are not UTF-8, which safetensors would refuse.
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)


def _as(kind: type[_T], value: object, what: str) -> _T:
    if type(value) is not kind:
        message = f"{what} is a JSON {type(value).__name__}, expected {kind.__name__}"
        raise _Unsound(message)
    return value


def _refuse_constant(name: str) -> NoReturn:
    message = f"it holds the number {name}"
    raise _Unsound(message)


class _Unsound(Exception):
    pass
