"""What made a feature: the fields that identify a feature set, and their fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from stackbone.cache.errors import CacheError, NewerVersionError, UsageError
from stackbone.cache.records.feature_name import (
    POOLED,
    FeatureName,
    from_folder,
    is_output,
    parse_feature_name,
    to_folder,
)

SPEC_VERSION = 1
FINGERPRINT_LENGTH = 12  # hex digits of a SHA-256 that name a feature set's folder


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that changes a feature, and nothing else.

    Engine, device, batch size and library versions do not belong here: they are provenance.

    Attributes
    ----------
    architecture
        timm model with its pretrained tag, such as ``resnet50.tv_in1k``.
    weights
        ``sha256:`` and the hex digest of the weights file, or ``random(SEED)``, for tests.
    input_size
        (height, width) in pixels that the network sees.
    crop_fraction
        Share of the resized image's side that the crop keeps.
    crop_mode
        ``center``: the shorter side is resized; ``squash``: both sides are; ``letterbox``: the longer side is, and the
        rest of the input is filled with the mean colour.
    interpolation
        ``bilinear`` or ``bicubic``, with Pillow's antialiasing.
    mean, std
        Of the normalisation, per RGB channel, in units of the range 0 to 1.
    pooling
        ``avg``: mean over positions of the last feature map; ``model``: the model's own head without its
        classifier, such as a ViT's class token.
    precision
        ``fp32``, ``bf16`` or ``fp16``.
    view
        ``plain``, or the name of a test-time view such as ``hflip``.
    steering
        SHA-256 of the steering file, or None.
    output
        ``pooled``, or which other output of the network: ``stages``, ``blocks``, ``layer:blocks.3``, ...
    version
        Of the meaning of these fields.
    """

    architecture: str
    weights: str
    input_size: tuple[int, int]
    crop_fraction: float
    crop_mode: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pooling: str
    precision: str = "fp32"
    view: str = "plain"
    steering: str | None = None
    output: str = POOLED
    version: int = SPEC_VERSION

    def to_json(self) -> str:
        """Return the canonical JSON: keys sorted, no white space, ASCII; 1 and 1.0 are one number.

        A field that came later is left out where it has its usual value, so that no spec ever becomes another one.
        """
        plain = {name: value for name, value in asdict(self).items() if name not in _LATER or value != _LATER[name]}
        for name, convert in _NUMBERS.items():
            value = plain[name]
            plain[name] = [convert(each) for each in value] if isinstance(value, tuple) else convert(value)
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote.

        Raises
        ------
        CacheError
            If the text is not a JSON object, lacks a field, or has an unknown one or one of another type.
        NewerVersionError
            If it is of a newer version.
        """
        try:
            raw: Any = json.loads(text)
        except (ValueError, RecursionError) as exc:
            message = "the spec is not JSON"
            raise CacheError(message) from exc
        if not isinstance(raw, dict):
            message = f"the spec is a JSON {type(raw).__name__}, not an object"
            raise CacheError(message)
        if type(raw.get("version")) is int and raw["version"] > SPEC_VERSION:
            message = f"its spec has version {raw['version']}, this Stackbone reads {SPEC_VERSION}"
            raise NewerVersionError(message)
        if raw.get("version") != SPEC_VERSION or isinstance(raw["version"], bool):
            message = f"the spec has version {raw.get('version')!r}, this Stackbone reads {SPEC_VERSION}"
            raise CacheError(message)
        names = {field.name for field in fields(cls)}
        if set(raw) | set(_LATER) != names:
            message = f"the spec's fields differ from the format's in {sorted((set(raw) | set(_LATER)) ^ names)}"
            raise CacheError(message)
        wrong = sorted(key for key, value in raw.items() if not _has_type(key, value))
        if wrong:
            message = f"the spec's fields {wrong} do not have the types that the format gives them"
            raise CacheError(message)
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        return cls(**plain)

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:FINGERPRINT_LENGTH]


_LATER = {"output": POOLED}
"""Fields that came after the first release, with the value that goes without saying."""
_NUMBERS: dict[str, type[int] | type[float]] = {"input_size": int, "crop_fraction": float, "mean": float, "std": float}
_LENGTHS = {"input_size": 2, "mean": 3, "std": 3}


def _has_type(name: str, value: object) -> bool:
    if name in _LENGTHS:
        return isinstance(value, list) and len(value) == _LENGTHS[name] and all(_is_number(name, n) for n in value)
    if name in _NUMBERS:
        return _is_number(name, value)
    if name == "output":
        return isinstance(value, str) and is_output(value)
    return name == "version" or isinstance(value, str) or (name == "steering" and value is None)


def _is_number(name: str, value: object) -> bool:
    # Python's parser takes NaN, Infinity and 1e400, which no canonical JSON holds.
    return type(value) is _NUMBERS[name] and (not isinstance(value, float) or math.isfinite(value))


_SET_ID = re.compile(rf"(?P<name>.+)-(?P<fingerprint>[0-9a-f]{{{FINGERPRINT_LENGTH}}})")


def full_name(name: str, spec: FeatureSpec) -> FeatureName:
    """Return the name of a feature set, given that of its backbone, or its own, and its spec."""
    return FeatureName(parse_feature_name(name).backbone, spec.output, spec.view)


def feature_set_id(name: str, spec: FeatureSpec) -> str:
    """Return ``NAME-XXXXXXXXXXXX``, a folder name on every file system (``timm:M`` becomes ``timm.M``).

    Parameters
    ----------
    name
        Of the backbone, or of one of its feature sets; which output and which view it is, the spec says.

    Raises
    ------
    UsageError
        If the name would not be found again in the folder's.
    """
    named = full_name(name, spec)
    identity = f"{to_folder(named)}-{spec.fingerprint}"
    if parse_feature_set_id(identity) != (str(named), spec.fingerprint):
        message = (
            f"{str(named)!r} cannot name a feature set: use letters, digits, '.' and '_', with no leading '.' or '_', "
            "or timm:MODEL"
        )
        raise UsageError(message)
    return identity


def parse_feature_set_id(text: str) -> tuple[str, str] | None:
    """Return (name as it is typed, fingerprint) of a feature set's folder name, or None if it is none."""
    match = _SET_ID.fullmatch(text)
    found = from_folder(match["name"]) if match else None
    return (str(found), match["fingerprint"]) if match and found else None
