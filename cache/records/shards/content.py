"""What a shard says of itself and holds, held against FORMAT.md before a row of it is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError, Malformed, NewerVersionError
from stackbone.cache.hdf5.column import Column
from stackbone.cache.hdf5.opening import CacheFile, newer_message
from stackbone.cache.hdf5.seal import Seal
from stackbone.cache.places.place import Place
from stackbone.cache.records.parts import MAP_SHAPES, PARTS, ROW_SHAPE, RowForm, parse_form
from stackbone.cache.records.provenance import Provenance
from stackbone.cache.records.shards.pyramid import pyramid_problem
from stackbone.cache.records.spec import FeatureSpec

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


@dataclass(frozen=True)
class ShardContent:
    """What a shard holds, of which no row was read yet."""

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

    def read_features(self) -> NDArray[np.floating]:
        """Return (n, dim) features in the type that they are kept in; `Malformed` if one is not finite."""
        features: NDArray[np.floating] = self.features.read()
        row = first_not_finite(features)
        if row is not None:
            message = f"its features are not finite, first in row {row}"
            raise Malformed(message)
        return features


def open_content(path: Place, file: CacheFile, fingerprint: str) -> ShardContent:
    """Return what an open shard holds, after a check against the feature set's fingerprint.

    Raises
    ------
    Malformed
        If it is damaged or was made by another spec.
    NewerVersionError
        If its spec is of a newer version.
    """
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
    if problem := pyramid_problem(spec, str(features.dtype), form, has_sizes=sizes is not None):
        raise Malformed(problem)
    header = ShardHeader(spec, Provenance(provenance), n_rows, dim, str(features.dtype), form)
    return ShardContent(header, digests, features, sizes)


def first_not_finite(features: NDArray[np.floating]) -> int | None:
    """Return the first row with a number that is not finite; None if there is none."""
    finite = np.isfinite(features).all(axis=1)
    return None if finite.all() else int(np.argmin(finite))
