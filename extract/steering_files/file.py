"""One file for what steers a backbone: safetensors, whose header holds the rest as JSON; reading it runs no code.

Layout, version 1. Header: ``stackbone-steering``, a JSON object of ``format_version``, ``steering`` (every field of
`Steering` but its arrays) and ``sha256`` (over ``steering`` and every tensor's name, type, shape and bytes). Tensors:
``seen`` (n, 32) uint8 and the trained parameters, all float32. The same steering gives the same bytes, so that its
SHA-256, by which features know it, is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from stackbone.cache import CacheError, NewerVersionError, UsageError, WeightsError
from stackbone.cache.tensor_file import (
    checksum,
    header_json,
    is_newer,
    parse_tensors,
    read_content,
    write_tensors,
)
from stackbone.cache.text import from_json, typed
from stackbone.extract.steering_files.steering import FIELDS, SEEN, Steering, UnsoundError, parse_steering

FORMAT_VERSION = 1

_METADATA = "stackbone-steering"
_TYPES = ("F32", "U8")


def write_steering(path: Path, steering: Steering) -> str:
    """Write a steering to one file, whole or not at all, and return the file's SHA-256.

    Raises
    ------
    WeightsError
        If a field is not what a reader would accept.
    CacheError
        If the file cannot be written.
    """
    described = {key: getattr(steering, key) for key in FIELDS} | {"spec": json.loads(steering.spec.to_json())}
    tensors: dict[str, NDArray[Any]] = {**steering.tensors, SEEN: steering.seen}
    try:
        parse_steering(json.loads(header_json(described)), tensors)
    except (UnsoundError, CacheError, UsageError, ValueError, TypeError) as exc:
        message = f"the steering cannot be written to {path}: {exc}. Nothing was written"
        raise WeightsError(message) from exc
    outer = {"format_version": FORMAT_VERSION, "steering": described, "sha256": _checksum(described, tensors)}
    return write_tensors(path, tensors, {_METADATA: header_json(outer)})


def read_steering(path: Path) -> tuple[Steering, str]:
    """Return the steering that `write_steering` wrote, and the SHA-256 (hex) of the very bytes that it was read from.

    Raises
    ------
    WeightsError
        If there is no such file, or it is not a steering, truncated or damaged.
    NewerVersionError
        If a newer Stackbone wrote it.
    """
    content = _read(path)
    return _parse(path, content), hashlib.sha256(content).hexdigest()


def find_steering(sha256: str, paths: Sequence[Path]) -> tuple[Path, Steering] | None:
    """Return the one among some steering files, and folders of them, whose bytes have a SHA-256 (hex), or None.

    Of the others nothing but the digest is looked at, so that they need not be sound. Errors as of
    `list_steering_files` and `read_steering`.
    """
    for path in list_steering_files(paths):
        content = _read(path)
        if hashlib.sha256(content).hexdigest() == sha256:
            return path, _parse(path, content)
    return None


def list_steering_files(paths: Sequence[Path], option: str = "--steering") -> list[Path]:
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
            message = f"{option} {typed(path)}: {problem}. `stackbone steer` makes steering files"
            raise UsageError(message)
        files += found
    return list(dict.fromkeys(files))


def _read(path: Path) -> bytes:
    try:
        return read_content(path)
    except OSError as exc:
        message = f"the steering {path} cannot be read: {exc.strerror or exc}. Name a file that `stackbone steer` wrote"
        raise WeightsError(message) from exc


def _parse(path: Path, content: bytes) -> Steering:
    try:
        header, tensors = parse_tensors(content, _TYPES)
        if _METADATA not in header:
            message = "it is a safetensors file of something else"
            raise UnsoundError(message)
        return parse_steering(_described(path, header[_METADATA], tensors), tensors)
    except NewerVersionError:
        raise
    except (UnsoundError, CacheError, UsageError, ValueError, RecursionError) as exc:
        message = (
            f"{path} is not a sound steering file: {exc}. Nothing in it was used. "
            "Copy it again from where it is sound, or make it again with `stackbone steer`"
        )
        raise WeightsError(message) from exc


def _described(path: Path, metadata: str, tensors: Mapping[str, NDArray[Any]]) -> object:
    """Return the JSON of a steering, once its version is ours and its checksum holds."""
    outer = from_json(metadata)
    if type(outer) is not dict:
        message = f"its metadata are a JSON {type(outer).__name__}, expected an object"
        raise UnsoundError(message)
    version = outer.get("format_version")
    if is_newer(version, FORMAT_VERSION):
        message = (
            f"the steering file {path} has format version {version}, and this Stackbone reads up to {FORMAT_VERSION}. "
            "Upgrade with `pip install -U stackbone`; nothing is wrong with the file"
        )
        raise NewerVersionError(message)
    if type(version) is not int or version != FORMAT_VERSION or set(outer) != {"format_version", "steering", "sha256"}:
        message = f"its metadata are of version {version!r} with the keys {sorted(outer)}"
        raise UnsoundError(message)
    if _checksum(outer["steering"], tensors) != outer["sha256"]:
        message = "its checksum does not match: it was damaged or changed after it was written"
        raise UnsoundError(message)
    return outer["steering"]


def _checksum(described: object, tensors: Mapping[str, NDArray[Any]]) -> str:
    return checksum([header_json(described)], tensors, with_types=True)
