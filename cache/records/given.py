"""Features that a user gives, instead of having them made from images: their spec, and what is asked of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.backbone_groups import ALL, GROUPS
from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import UsageError
from stackbone.cache.records.provenance import CUT, RATE
from stackbone.cache.records.spec import FeatureSpec

GIVEN = "given"
"""The architecture in the spec of features that were given."""

_RESERVED = (CUT, RATE, "created", "stackbone", "engine", "weights")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * DIGEST_BYTES}}}")
_MOST_CHARACTERS = 20_000  # of a provenance; an attribute of a shard has 60,000 bytes
_NO_INPUT = (0.0, 0.0, 0.0)


def given_spec(provenance: Mapping[str, str], dtype: np.dtype[np.floating]) -> FeatureSpec:
    """Return the spec of features that were given: what the user says of them, and their precision.

    Raises
    ------
    UsageError
        If the provenance is empty, too long, or does not map texts to texts.
    """
    if not isinstance(provenance, Mapping) or not provenance:
        message = (
            "say where the features come from, as a dict of texts that is their key, such as "
            f"{{'model': 'my_net', 'weights file': 'run 7'}}; not {provenance!r}"
        )
        raise UsageError(message)
    for key, value in provenance.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key:
            message = f"the provenance has {key!r}: {value!r}, where texts are expected. Write str({key!r}): str(...)"
            raise UsageError(message)
        if key in _RESERVED:
            message = f"the provenance has the key {key!r}, which Stackbone writes itself. Call it otherwise"
            raise UsageError(message)
    text = json.dumps(dict(provenance), sort_keys=True)
    if len(text) > _MOST_CHARACTERS:
        message = (
            f"the provenance has {len(text):,} characters, and at most {_MOST_CHARACTERS:,} are kept. Name a file in it"
        )
        raise UsageError(message)
    digest = hashlib.sha256(text.encode()).hexdigest()
    precision = "fp16" if dtype == np.float16 else "fp32"
    return FeatureSpec(GIVEN, f"sha256:{digest}", (0, 0), 0.0, GIVEN, GIVEN, _NO_INPUT, _NO_INPUT, GIVEN, precision)


def is_given(spec: FeatureSpec) -> bool:
    """Return whether features were given, so that they cannot be made again from images."""
    return spec.architecture == GIVEN


def given_message(name: str) -> str:
    """Return why features that were given cannot be made here, and what to do."""
    return (
        f"the features {name} were given with FeatureStore.add_features, and cannot be made from images. Add those of "
        "these images in the same way: with the same name and the same provenance"
    )


def check_given_name(name: str) -> None:
    """Raise `UsageError` unless features that were given may be called so."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.startswith("timm.") or name in (*GROUPS, ALL):
        message = (
            f"{name!r} cannot name features: use letters, digits, '.' and '_', a letter or digit first, and neither "
            f"timm. nor a group ({', '.join([*GROUPS, ALL])})"
        )
        raise UsageError(message)


def given_digests(digests: Digests | Sequence[str]) -> Digests:
    """Return (n, 32) uint8 digests of what may be texts of 64 hex digits.

    Raises
    ------
    UsageError
        If they are neither, or an image comes twice.
    """
    found = digests if isinstance(digests, np.ndarray) and digests.dtype == np.uint8 else _from_hex(list(digests))
    if found.ndim != 2 or found.shape[1] != DIGEST_BYTES:
        message = (
            f"digests are {found.shape} {found.dtype}; expected (n, {DIGEST_BYTES}) uint8 or n texts of "
            f"{2 * DIGEST_BYTES} hex digits: the SHA-256 of each image file's bytes, as index.image_sha256 has them"
        )
        raise UsageError(message)
    found = np.ascontiguousarray(found)
    distinct, first, counts = np.unique(found, axis=0, return_index=True, return_counts=True)
    if len(distinct) < len(found):
        row = int(first[counts > 1].min())
        n = len(found) - len(distinct)
        message = (
            f"{n:,} of {len(found):,} digests are doubles, the first of row {row} ({found[row].tobytes().hex()}). "
            "Give each image once: of copies, one row serves all"
        )
        raise UsageError(message)
    if not found.any(axis=1).all():
        row = int((~found.any(axis=1)).argmax())
        message = f"the digest of row {row} is zero: that image could not be read. Leave out what index.ok is False for"
        raise UsageError(message)
    return found


def given_features(features: NDArray[np.floating], n_digests: int) -> NDArray[np.float32]:
    """Return (n, dim) float32 or float16 features, once they are known to be such and finite.

    Raises
    ------
    UsageError
        If they are not, or not as many as digests.
    """
    if not isinstance(features, np.ndarray) or features.dtype not in (np.float32, np.float16):
        kind = f"{features.dtype}" if isinstance(features, np.ndarray) else type(features).__name__
        message = f"features are {kind}; expected a NumPy array of float32 or float16. Convert: X.astype('float32')"
        raise UsageError(message)
    if features.ndim != 2 or features.shape[0] != n_digests or not features.size:
        message = (
            f"features are {features.shape} for {n_digests:,} digests; expected ({n_digests}, dim), a row an image"
        )
        raise UsageError(message)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        message = (
            f"{int((~finite).sum()):,} of {len(features):,} rows hold features that are not finite, first row "
            f"{int((~finite).argmax())}. Leave these images out, or mend them"
        )
        raise UsageError(message)
    return features  # float16 too, as shards take them


def _from_hex(texts: Sequence[object]) -> Digests:
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not _HEX.fullmatch(text):
            message = (
                f"the digest of row {row} is {text!r}; expected {2 * DIGEST_BYTES} hex digits, the SHA-256 of the "
                f"image file's bytes, or all of them as one array (n, {DIGEST_BYTES}) uint8"
            )
            raise UsageError(message)
    return np.frombuffer(bytes.fromhex("".join(map(str, texts))), np.uint8).reshape(-1, DIGEST_BYTES)
