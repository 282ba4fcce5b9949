"""One file for a finished detector: safetensors, whose metadata hold the rest as JSON; reading it runs no code.

Layout, version 1. Metadata: ``format`` (``stackbone-detector``), ``format_version``, ``model`` (a JSON object: classes,
head, backbones with their specs, weights, overlap, thresholds, facts of each head, training, score, versions, time) and
``sha256`` (over the three others and every tensor's name, shape and bytes). Tensors: ``head.I.NAME``, float32, of the
head on backbone I, and ``training.seen``, uint8 (n_images, 8): the first bytes of the SHA-256 of each training image,
ascending.

The checksum tells damage, not an author: see `stack.models.model_file`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureSpec, ModelError
from stackbone.cache.errors import StackError
from stackbone.cache.tensor_file import checksum, header_json, is_newer, parse_tensors, read_content, write_tensors
from stackbone.cache.text import from_json, printable
from stackbone.stack.detection.head import HEADS, FittedHead
from stackbone.stack.detection.models.model import DetectionModel
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.json_values import expect, expect_floats
from stackbone.stack.models.model_file import DETECTOR_FORMAT

FORMAT_VERSION = 1

SEEN = "training.seen"
_METADATA = {"format", "format_version", "model", "sha256"}
_KEYS = {
    *(
        "classes",
        "head",
        "backbones",
        "weights",
        "overlap",
        "thresholds",
        "facts",
        "training",
        "score",
        "versions",
        "created",
    ),
}
_Tensors = dict[str, NDArray[Any]]


def save_detection_model(model: DetectionModel, file: Path | str) -> str:
    """Write a model to one file, whole or not at all, replacing what was there; return the SHA-256 of it, in hex.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    tensors: _Tensors = {SEEN: np.ascontiguousarray(model.seen)}
    for number, head in enumerate(model.heads):
        tensors |= {f"head.{number}.{name}": np.ascontiguousarray(each) for name, each in head.to_tensors().items()}
    described = {
        "classes": list(model.classes),
        "head": model.head,
        "backbones": [
            {"name": each.name, "feature_set": each.feature_set, "spec": json.loads(each.spec.to_json())}
            for each in model.backbones
        ],
        "weights": [float(each) for each in model.weights],
        "overlap": float(model.overlap),
        "thresholds": [float(each) for each in model.thresholds],
        "facts": [each.facts for each in model.heads],
        "training": {"n_images": int(model.n_images), "digests_sha256": model.digests_sha256},
        "score": model.score,
        "versions": model.versions,
        "created": model.created,
    }
    metadata = {"format": DETECTOR_FORMAT, "format_version": str(FORMAT_VERSION), "model": header_json(described)}
    return write_tensors(Path(file), tensors, {**metadata, "sha256": _checksum(metadata, tensors)})


def load_detection_model(file: Path | str) -> DetectionModel:
    """Read the model that `save_detection_model` wrote. No code in the file is ever run, whatever it holds.

    Raises
    ------
    ModelError
        If the file does not exist, is no detection model, is damaged or changed, or has a newer version.
    """
    file = Path(file)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        message = f"the model {file} {found}. Name a file that `stackbone detect --save FILE` wrote"
        raise ModelError(message)
    try:
        metadata, tensors = parse_tensors(read_content(file), ("F32", "U8"))
    except ValueError as exc:
        _refuse(file, str(exc), exc)
    except OSError as exc:
        message = f"the model {file} cannot be read: {exc.strerror or exc}. Check its permissions"
        raise ModelError(message) from exc
    _check_metadata(file, metadata)
    if _checksum(metadata, tensors) != metadata["sha256"]:
        _refuse(file, "its checksum does not match: it was damaged or changed after it was written")
    try:
        return _parse(from_json(metadata["model"]), tensors)
    except (StackError, CacheError, ValueError, RecursionError) as exc:
        _refuse(file, str(exc), exc)


def is_detection_model(file: Path | str) -> bool:
    """Return whether a file says that it is a detection model; False of whatever cannot be read."""
    with suppress(OSError, ValueError, RecursionError, AttributeError), Path(file).open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length <= _MOST_HEADER:
            header = json.loads(opened.read(length))
            return bool(header.get("__metadata__", {}).get("format") == DETECTOR_FORMAT)
    return False


_MOST_HEADER = 100 << 20  # as safetensors has it


def _parse(raw: object, tensors: Mapping[str, NDArray[Any]]) -> DetectionModel:
    described = expect(dict, raw, "the description", keys=_KEYS)
    classes = tuple(expect(str, each, "a class") for each in expect(list, described["classes"], "classes"))
    kind = expect(str, described["head"], "head")
    if kind not in HEADS:
        message = f"its heads are of the kind {printable(repr(kind))}, and there are {', '.join(HEADS)} here"
        raise ModelError(message)
    backbones = [_parse_backbone(each) for each in expect(list, described["backbones"], "backbones")]
    facts = [expect(dict, each, "facts of a head") for each in expect(list, described["facts"], "facts")]
    if len(facts) != len(backbones):
        message = f"it has {len(backbones)} backbones and facts of {len(facts)} heads"
        raise ModelError(message)
    training = expect(dict, described["training"], "training", keys={"n_images", "digests_sha256"})
    heads = []
    used = {SEEN}
    for number, each in enumerate(facts):
        prefix = f"head.{number}."
        own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
        used |= {prefix + name for name in own}
        heads.append(_parse_head(kind, own, each))
    if set(tensors) != used:
        message = f"its tensors differ from the format's in {sorted(set(tensors) ^ used)}"
        raise ModelError(message)
    texts = {
        name: {key: expect(str, each, f"{name}.{key}") for key, each in expect(dict, described[name], name).items()}
        for name in ("score", "versions")
    }
    return DetectionModel(
        classes=classes,
        head=kind,
        backbones=backbones,
        heads=heads,
        weights=expect_floats(described["weights"], "weights"),
        overlap=expect(float, described["overlap"], "overlap"),
        thresholds=np.array(expect_floats(described["thresholds"], "thresholds"), np.float64),
        n_images=expect(int, training["n_images"], "training.n_images"),
        digests_sha256=expect(str, training["digests_sha256"], "training.digests_sha256"),
        seen=tensors[SEEN],
        score=texts["score"],
        versions=texts["versions"],
        created=expect(str, described["created"], "created"),
    )


def _parse_head(kind: str, tensors: Mapping[str, NDArray[Any]], facts: dict[str, Any]) -> FittedHead:
    other = [name for name, array in tensors.items() if array.dtype != np.float32]
    if other:
        message = f"its tensors {sorted(other)} are not float32"
        raise ModelError(message)
    return HEADS[kind].from_tensors(tensors, facts)


def _parse_backbone(raw: object) -> ModelBackbone:
    described = expect(dict, raw, "a backbone", keys={"name", "feature_set", "spec"})
    spec = FeatureSpec.from_json(json.dumps(expect(dict, described["spec"], "spec")))
    names = [expect(str, described[key], key) for key in ("name", "feature_set")]
    return ModelBackbone(names[0], names[1], spec)


def _check_metadata(file: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != DETECTOR_FORMAT:
        _refuse(file, "it is a safetensors file of something else, not a detection model of Stackbone")
    version = metadata.get("format_version", "")
    if is_newer(version, FORMAT_VERSION):
        message = (
            f"the model {file} has format version {version}, and this Stackbone reads up to {FORMAT_VERSION}. "
            "Update Stackbone to use it; nothing is wrong with the file"
        )
        raise ModelError(message)
    if version != str(FORMAT_VERSION) or set(metadata) != _METADATA:
        _refuse(file, f"its metadata are version {version!r} with the keys {sorted(metadata)}")


def _checksum(metadata: Mapping[str, str], tensors: _Tensors) -> str:
    return checksum((json.dumps([key, metadata[key]]) for key in sorted(_METADATA - {"sha256"})), tensors)


def _refuse(file: Path, found: str, cause: BaseException | None = None) -> NoReturn:
    message = (
        f"{file} is not a valid detection model: {found}. Nothing in it was run or used. "
        "Copy it again from an intact file, or fit it again with `stackbone detect --save FILE`"
    )
    raise ModelError(message) from cause
