"""Immutable shards: some rows of one feature set, in one HDF5 file (see FORMAT.md)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cache import hdf5
from cache.digest import DIGEST_BYTES, Digests, sha256_file
from cache.errors import CacheError, CorruptFileError, NewerVersionError
from cache.files import write_atomically
from cache.spec import FeatureSpec

FORMAT = "stackbone-features"
FORMAT_VERSION = 1
PATTERN = "part-*.h5"


@dataclass(frozen=True)
class ShardHeader:
    """What a shard says of itself.

    Attributes
    ----------
    spec
        What made its features.
    provenance
        Circumstances that do not change a feature: versions, engine, device, time.
    n_rows, dim
        Shape of its features.
    dtype
        ``float32`` or ``float16``.
    """

    spec: FeatureSpec
    provenance: dict[str, str]
    n_rows: int
    dim: int
    dtype: str


def write_shard(
    folder: Path,
    spec: FeatureSpec,
    digests: Digests,
    features: NDArray[np.float32],
    provenance: Mapping[str, str],
) -> Path:
    """Write one shard, durably and atomically, and return its path.

    The file's name holds half of the SHA-256 of its bytes (a UUID of version 8), so that any later change of the
    file shows, and so that the same rows written twice are one file.

    Parameters
    ----------
    digests
        (n, 32) uint8, the images' SHA-256.
    features
        (n, dim) float32 or float16, finite, in the same order.

    Raises
    ------
    CacheError
        If shapes or types are others, a feature is not finite, or the file cannot be written.
    """
    if features.ndim != 2 or not features.size or digests.shape != (len(features), DIGEST_BYTES):
        message = f"a shard takes (n, dim) features and (n, 32) digests, not {features.shape} and {digests.shape}"
        raise CacheError(message)
    if features.dtype not in (np.float32, np.float16) or digests.dtype != np.uint8:
        message = f"a shard takes float32 or float16 features and uint8 digests, not {features.dtype}, {digests.dtype}"
        raise CacheError(message)
    row = _first_not_finite(features)
    if row is not None:
        message = (
            f"the backbone gave a feature that is not finite, for the image with SHA-256 "
            f"{digests[row].tobytes().hex()}. Nothing was committed; are its weights sound, its precision wide enough?"
        )
        raise CacheError(message)
    with hdf5.build_in_memory() as (file, memory):
        hdf5.write_text(file, "format", FORMAT)
        hdf5.write_text(file, "format_version", str(FORMAT_VERSION))
        hdf5.write_text(file, "spec", spec.to_json())
        hdf5.write_text(file, "provenance", json.dumps(dict(provenance), sort_keys=True))
        hdf5.write_column(file, "features", features, compress=False)
        hdf5.write_column(file, "image_sha256", digests, compress=False)
    content = memory.getvalue()
    path = folder / _name(hashlib.sha256(content).digest())
    write_atomically(path, content)
    return path


def read_header(path: Path, fingerprint: str) -> ShardHeader:
    """Return a shard's header, after a check against the feature set's fingerprint.

    Raises
    ------
    CorruptFileError
        If the file is damaged or was made by another spec.
    """
    with hdf5.open_checked(path, FORMAT, FORMAT_VERSION) as file:
        return _header(path, file, fingerprint)


def read_digests(path: Path, fingerprint: str) -> Digests:
    """Return a shard's (n, 32) digests; errors as `read_header`."""
    with hdf5.open_checked(path, FORMAT, FORMAT_VERSION) as file:
        _header(path, file, fingerprint)
        digests: Digests = file["image_sha256"][:]
    return digests


def read_rows(path: Path, fingerprint: str) -> tuple[Digests, NDArray[np.float32]]:
    """Return a shard's (n, 32) digests and (n, dim) float32 features, all finite; errors as `read_header`."""
    with hdf5.open_checked(path, FORMAT, FORMAT_VERSION) as file:
        _header(path, file, fingerprint)
        digests: Digests = file["image_sha256"][:]
        features: NDArray[np.float32] = file["features"].astype(np.float32)[:]
    row = _first_not_finite(features)
    if row is not None:
        raise CorruptFileError(hdf5.corrupt_message(path, f"its features are not finite, first in row {row}"))
    return digests, features


def is_intact(path: Path) -> bool:
    """Return whether a shard's bytes still have the digest that its name holds.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    return path.is_file() and path.name == _name(sha256_file(path))


def _name(sha256: bytes) -> str:
    digest = bytearray(sha256[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80  # RFC 9562: a UUID of version 8, whose other bits are the writer's
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"part-{uuid.UUID(bytes=bytes(digest))}.h5"


def _first_not_finite(features: NDArray[np.floating]) -> int | None:
    finite = np.isfinite(features).all(axis=1)
    return None if finite.all() else int(np.argmin(finite))


def _header(path: Path, file: h5py.File, fingerprint: str) -> ShardHeader:
    try:
        text = hdf5.read_text(file, "spec")
        spec = FeatureSpec.from_json(text)
    except NewerVersionError as exc:
        message = (
            f"{path} was written by a newer Stackbone: {exc}. "
            "Upgrade with `pip install -U stackbone`, or name another cache with --cache"
        )
        raise NewerVersionError(message) from exc
    except CacheError as exc:
        raise CorruptFileError(hdf5.corrupt_message(path, str(exc))) from exc
    if spec.to_json() != text:
        raise CorruptFileError(hdf5.corrupt_message(path, "its spec is not in canonical form"))
    if spec.fingerprint != fingerprint:
        found = f"its spec has the fingerprint {spec.fingerprint}, the folder's is {fingerprint}"
        raise CorruptFileError(hdf5.corrupt_message(path, found))
    features = hdf5.checked_column(file, "features", types="f2 f4", columns=-1)
    digests = hdf5.checked_column(file, "image_sha256", types="u1", columns=DIGEST_BYTES)
    if len(features) != len(digests) or not len(features):
        found = f"it holds {features.shape} {features.dtype} features for {len(digests)} digests"
        raise CorruptFileError(hdf5.corrupt_message(path, found))
    provenance = json.loads(hdf5.read_text(file, "provenance"))
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        found = "its provenance is not a JSON object of strings"
        raise CorruptFileError(hdf5.corrupt_message(path, found))
    n_rows, dim = features.shape
    return ShardHeader(spec, provenance, n_rows, dim, str(features.dtype))
