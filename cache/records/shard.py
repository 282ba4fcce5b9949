"""Immutable shards: some rows of one feature set, in one HDF5 file (see FORMAT.md)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError, CorruptFileError, Malformed
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.opening import open_checked, read_sha256
from stackbone.cache.hdf5.seal import BLOCK_BYTES, parse_seal
from stackbone.cache.places.place import Place, write_whole
from stackbone.cache.records.parts import RowForm
from stackbone.cache.records.shards.content import (
    SIZES,
    ShardContent,
    ShardHeader,
    ShardLayout,
    Sizes,
    first_not_finite,
    open_content,
)
from stackbone.cache.records.shards.pyramid import pyramid_problem
from stackbone.cache.records.spec import FeatureSpec

FORMAT = "stackbone-features"
PATTERN = "part-*.h5"


def write_shard(
    folder: Place,
    spec: FeatureSpec,
    digests: Digests,
    features: NDArray[np.floating],
    provenance: Mapping[str, str],
    form: RowForm | None = None,
    *,
    sizes: Sizes | None = None,
    merge: str = "",
) -> Place:
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
    if problem := pyramid_problem(spec, str(features.dtype), form, has_sizes=sizes is not None):
        message = f"a shard takes maps to detect objects on as FORMAT.md says: {problem}. Nothing was committed"
        raise CacheError(message)
    row = first_not_finite(features)
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
    write_whole(path, content, never_changes=True)
    return path


def read_header(path: Place, fingerprint: str) -> ShardHeader:
    """Return a shard's header, after a check against the feature set's fingerprint.

    Raises
    ------
    CorruptFileError
        If the file is damaged or was made by another spec.
    """
    with open_checked(path, FORMAT, in_pieces=True) as file:
        return open_content(path, file, fingerprint).header


def read_digests(path: Place, fingerprint: str) -> Digests:
    """Return a shard's (n, 32) digests; errors as `read_header`."""
    with open_checked(path, FORMAT, in_pieces=True) as file:
        return open_content(path, file, fingerprint).digests.read()


def read_rows(path: Place, fingerprint: str) -> tuple[Digests, NDArray[np.float32]]:
    """Return a shard's (n, 32) digests and (n, dim) float32 features, all finite; errors as `read_header`."""
    with open_checked(path, FORMAT) as file:
        return _rows(open_content(path, file, fingerprint))


def read_layout(path: Place, fingerprint: str) -> ShardLayout:
    """Return where a shard's rows are, none of them read; errors as `read_header`."""
    with open_checked(path, FORMAT, in_pieces=True) as file:
        opened = open_content(path, file, fingerprint)
        seal = file.seal
        if seal is None or opened.features.place != (seal.start, seal.length):
            message = "its features are not in one sealed piece, as maps are"
            raise Malformed(message)
        return ShardLayout(opened.header, opened.digests.read(), opened.read_sizes(), seal)


def read_kept_rows(path: Place, fingerprint: str) -> tuple[Digests, NDArray[np.floating], Sizes | None]:
    """Return all that a shard holds of images: as `read_rows`, in the type that is kept, and the sizes, if told."""
    with open_checked(path, FORMAT) as file:
        opened = open_content(path, file, fingerprint)
        return opened.digests.read(), opened.read_features(), opened.read_sizes()


def read_summary(path: Place, fingerprint: str) -> tuple[ShardHeader, Digests, int]:
    """Return a shard's header, its (n, 32) digests and its size in bytes; errors as `read_header`."""
    with open_checked(path, FORMAT, in_pieces=True) as file:
        opened = open_content(path, file, fingerprint)
        return opened.header, opened.digests.read(), file.size


def read_proven(path: Place, fingerprint: str) -> tuple[ShardHeader, int]:
    """Read all of a shard and return its header and its size in bytes, once its name proves every byte.

    Raises
    ------
    CorruptFileError
        If its bytes are not those that its name promises; and as `read_header`.
    """
    with open_checked(path, FORMAT) as file:
        opened = open_content(path, file, fingerprint)
        opened.read_features()
        opened.read_sizes()
        if path.name != _name(file.sha256()):
            message = (
                f"{path} does not have the bytes that its name stands for: it was changed after it was written, or "
                "renamed. Run `stackbone verify --repair` to set it aside, then `stackbone extract` to refill it"
            )
            raise CorruptFileError(message)
        return opened.header, file.size


def is_intact(path: Place) -> bool:
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


def _rows(opened: ShardContent) -> tuple[Digests, NDArray[np.float32]]:
    return opened.digests.read(), opened.read_features().astype(np.float32, copy=False)
