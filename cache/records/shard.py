"""Immutable shards: some rows of one feature set, in one HDF5 file (see FORMAT.md)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.disk.files import write_atomically
from stackbone.cache.errors import CacheError, CorruptFileError, Malformed, NewerVersionError
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.column import Column
from stackbone.cache.hdf5.opening import CacheFile, newer_message, open_checked, read_sha256
from stackbone.cache.hdf5.seal import BLOCK_BYTES, Seal, parse_seal
from stackbone.cache.records.parts import MAP_SHAPES, PARTS, ROW_SHAPE, RowForm, parse_form
from stackbone.cache.records.provenance import Provenance
from stackbone.cache.records.spec import FeatureSpec

FORMAT = "stackbone-features"
PATTERN = "part-*.h5"
SIZES = "image_size"

Sizes = NDArray[np.int64]
"""(n, 2) int64: width and height in pixels of upright images, one a row."""


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
    form
        What a row consists of.
    """

    spec: FeatureSpec
    provenance: Provenance
    n_rows: int
    dim: int
    dtype: str
    form: RowForm

    @property
    def row_bytes(self) -> int:
        """Bytes of an image's features."""
        return self.dim * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ShardLayout:
    """Where the rows of a shard are, for who reads some of them.

    Attributes
    ----------
    header
        What it says of itself.
    digests
        (n, 32) uint8, the images' SHA-256.
    sizes
        (n, 2) int64, width and height of the images; None where it does not tell.
    seal
        Its body is the features, row after row; it is still to be proven.
    """

    header: ShardHeader
    digests: Digests
    sizes: Sizes | None
    seal: Seal


def write_shard(
    folder: Path,
    spec: FeatureSpec,
    digests: Digests,
    features: NDArray[np.floating],
    provenance: Mapping[str, str],
    form: RowForm | None = None,
    *,
    sizes: Sizes | None = None,
    merge: str = "",
) -> Path:
    """Write one shard, durably and atomically, and return its path.

    The file's name holds half of the SHA-256 that seals it (a UUID of version 8), so that one shard in place of
    another shows, and so that the same rows written twice are one file.

    Parameters
    ----------
    digests
        (n, 32) uint8, the images' SHA-256.
    features
        (n, dim) float32 or float16, finite, in the same order.
    form
        What a row consists of; None for one part.
    sizes
        (n, 2) int64, width and height of the images in pixels, to be kept beside the rows; None for none.
    merge
        Names the run that makes one shard of several, so that none of them has the name of the new one.

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
    if sizes is not None and (sizes.shape != (len(features), 2) or sizes.dtype != np.int64 or sizes.min() < 1):
        message = f"a shard takes (n, 2) int64 sizes of at least 1, not {sizes.shape} {sizes.dtype}"
        raise CacheError(message)
    form = form or RowForm()
    if problem := form.problem(features.shape[1]):
        message = f"a shard takes rows of the form that is told: {problem}. Nothing was committed"
        raise CacheError(message)
    row = _first_not_finite(features)
    if row is not None:
        message = (
            f"the backbone gave a feature that is not finite, for the image with SHA-256 "
            f"{digests[row].tobytes().hex()}. Nothing was committed; are its weights sound, its precision wide enough?"
        )
        raise CacheError(message)
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "spec", spec.to_json())
        hdf5.write_text(file, "provenance", json.dumps(dict(provenance), sort_keys=True))
        for name, text in (form.texts() | ({"merge": merge} if merge else {})).items():
            hdf5.write_text(file, name, text)
        hdf5.write_column(file, "image_sha256", digests)
        if sizes is not None:
            hdf5.write_column(file, SIZES, sizes)
        hdf5.write_column(file, "features", features)
        body = hdf5.place(file, "features")
    content = hdf5.sealed_image(FORMAT, memory, body)
    path = folder / _name(parse_seal(memoryview(content)[:BLOCK_BYTES]).head)
    write_atomically(path, content)
    return path


def read_header(path: Path, fingerprint: str) -> ShardHeader:
    """Return a shard's header, after a check against the feature set's fingerprint.

    Raises
    ------
    CorruptFileError
        If the file is damaged or was made by another spec.
    """
    with open_checked(path, FORMAT) as file:
        return _open(path, file, fingerprint).header


def read_digests(path: Path, fingerprint: str) -> Digests:
    """Return a shard's (n, 32) digests; errors as `read_header`."""
    with open_checked(path, FORMAT) as file:
        return _open(path, file, fingerprint).digests.read()


def read_rows(path: Path, fingerprint: str) -> tuple[Digests, NDArray[np.float32]]:
    """Return a shard's (n, 32) digests and (n, dim) float32 features, all finite; errors as `read_header`."""
    with open_checked(path, FORMAT) as file:
        return _rows(_open(path, file, fingerprint))


def read_layout(path: Path, fingerprint: str) -> ShardLayout:
    """Return where a shard's rows are, none of them read; errors as `read_header`."""
    with open_checked(path, FORMAT) as file:
        opened = _open(path, file, fingerprint)
        seal = file.seal
        if seal is None or opened.features.place != (seal.start, seal.length):
            message = "its features are not in one sealed piece, as maps are"
            raise Malformed(message)
        return ShardLayout(opened.header, opened.digests.read(), opened.read_sizes(), seal)


def read_kept_rows(path: Path, fingerprint: str) -> tuple[Digests, NDArray[np.floating], Sizes | None]:
    """Return all that a shard holds of images: as `read_rows`, in the type that is kept, and the sizes, if told."""
    with open_checked(path, FORMAT) as file:
        opened = _open(path, file, fingerprint)
        return opened.digests.read(), _finite(opened), opened.read_sizes()


def read_summary(path: Path, fingerprint: str) -> tuple[ShardHeader, Digests, int]:
    """Return a shard's header, its (n, 32) digests and its size in bytes; errors as `read_header`."""
    with open_checked(path, FORMAT) as file:
        opened = _open(path, file, fingerprint)
        return opened.header, opened.digests.read(), file.size


def read_proven(path: Path, fingerprint: str) -> tuple[ShardHeader, int]:
    """Read all of a shard and return its header and its size in bytes, once its name proves every byte.

    Raises
    ------
    CorruptFileError
        If its bytes are not those that its name promises; and as `read_header`.
    """
    with open_checked(path, FORMAT) as file:
        opened = _open(path, file, fingerprint)
        _finite(opened)
        if path.name != _name(file.sha256()):
            message = (
                f"{path} does not have the bytes that its name stands for: it was changed after it was written, or "
                "renamed. Run `stackbone verify --repair` to set it aside, then `stackbone extract` to refill it"
            )
            raise CorruptFileError(message)
        return opened.header, file.size


def is_intact(path: Path) -> bool:
    """Return whether a file still has the bytes that its name promises.

    Raises
    ------
    CacheError
        If the system could not read it.
    FileNotFoundError
        If it is gone.
    """
    try:
        return path.name == _name(read_sha256(path))
    except CorruptFileError:
        return False


def _name(sha256: bytes) -> str:
    digest = bytearray(sha256[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80  # RFC 9562: a UUID of version 8, whose other bits are the writer's
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"part-{uuid.UUID(bytes=bytes(digest))}.h5"


def _first_not_finite(features: NDArray[np.floating]) -> int | None:
    finite = np.isfinite(features).all(axis=1)
    return None if finite.all() else int(np.argmin(finite))


@dataclass(frozen=True)
class _Opened:
    header: ShardHeader
    digests: Column
    features: Column
    sizes: Column | None

    def read_sizes(self) -> Sizes | None:
        """Return the (n, 2) sizes of the images, if it tells them."""
        if self.sizes is None:
            return None
        sizes: Sizes = self.sizes.read()
        if sizes.min() < 1:
            message = f"its {SIZES} has a number below 1"
            raise Malformed(message)
        return sizes


def _rows(opened: _Opened) -> tuple[Digests, NDArray[np.float32]]:
    return opened.digests.read(), _finite(opened).astype(np.float32, copy=False)


def _finite(opened: _Opened) -> NDArray[np.floating]:
    features: NDArray[np.floating] = opened.features.read()
    row = _first_not_finite(features)
    if row is not None:
        message = f"its features are not finite, first in row {row}"
        raise Malformed(message)
    return features


def _open(path: Path, file: CacheFile, fingerprint: str) -> _Opened:
    text = file.text("spec")
    try:
        spec = FeatureSpec.from_json(text)
    except NewerVersionError as exc:
        raise NewerVersionError(newer_message(path, str(exc))) from exc
    except CacheError as exc:
        raise Malformed(str(exc)) from exc
    if spec.to_json() != text:
        message = "its spec is not in canonical form"
        raise Malformed(message)
    if spec.fingerprint != fingerprint:
        message = f"its spec has the fingerprint {spec.fingerprint}, the folder's is {fingerprint}"
        raise Malformed(message)
    provenance = file.json("provenance")
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        message = "its provenance is not a JSON object of strings"
        raise Malformed(message)
    features = file.column("features", types="f2 f4", columns=-1)
    digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES)
    if len(features) != len(digests) or not len(features):
        message = f"it holds {features.shape} {features.dtype} features for {len(digests)} digests"
        raise Malformed(message)
    n_rows, dim = features.shape
    sizes = file.column(SIZES, types="i8", columns=2) if file.has(SIZES) else None
    if sizes is not None and len(sizes) != len(digests):
        message = f"it holds {sizes.shape} sizes for {len(digests)} digests"
        raise Malformed(message)
    form = parse_form(*(file.json(name) if file.has(name) else None for name in (PARTS, ROW_SHAPE, MAP_SHAPES)))
    if problem := form.problem(dim):
        raise Malformed(problem)
    header = ShardHeader(spec, Provenance(provenance), n_rows, dim, str(features.dtype), form)
    return _Opened(header, digests, features, sizes)
