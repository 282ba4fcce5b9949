"""Embed a sample of cached images again, to prove that features do not depend on versions, engines or machines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cache import DatasetIndex, FeatureSet, FeatureStore, StackboneError, as_keys
from extract.backbones import get_backbone
from extract.engines import make_engine
from extract.images import apply_transform, decode, quiet_pillow
from extract.steered import find_steered, with_hub
from extract.weights import find_weights

TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-3}
"""Largest relative difference of a row (L2) that counts as the same feature, by precision."""


@dataclass(frozen=True)
class Recomputation:
    """How far a feature set is from what the installed libraries compute.

    Attributes
    ----------
    n_images
        Rows embedded again.
    largest
        Largest ‖new - cached‖ / ‖cached‖ of a row; None if nothing could be compared.
    tolerance
        What it may be at most.
    problem
        Why nothing could be compared, or which row is off; ``""`` if all is well.
    """

    feature_set: str
    n_images: int
    largest: float | None
    tolerance: float
    problem: str

    def line(self) -> str:
        """Return it for people."""
        if self.largest is None:
            return f"{self.feature_set}: could not be embedded again: {self.problem}"
        verdict = f"OFF: {self.problem}" if self.problem else "same"
        return (
            f"{self.feature_set}: {self.n_images} images embedded again, largest relative difference "
            f"{self.largest:.1e} (allowed {self.tolerance:.0e}): {verdict}"
        )


def recompute(
    store: FeatureStore,
    n_images: int,
    *,
    steering: Sequence[Path] = (),
    weights: Mapping[str, Path] | None = None,
    engine: str = "auto",
    seed: int = 0,
) -> list[Recomputation]:
    """Embed a random sample of each feature set's images again and compare with the cached rows.

    The images are found through the datasets of the cache, and their files must still be there.

    Parameters
    ----------
    n_images
        Sample size for each feature set.
    steering
        Files, or folders of them, that made the cache's steered features; a feature set whose file is not among
        them is passed over and says so.
    weights, engine
        As of `extract`.
    """
    indexes = [store.dataset(name) for name in store.dataset_names()]
    sets = [each for each in store.feature_sets() if each.shards()]
    return [_recompute(each, indexes, n_images, steering, weights or {}, engine, seed) for each in sets]


def _recompute(
    feature_set: FeatureSet,
    indexes: list[DatasetIndex],
    n_images: int,
    steering: Sequence[Path],
    files: Mapping[str, Path],
    engine: str,
    seed: int,
) -> Recomputation:
    tolerance = max(TOLERANCE.values())
    try:
        spec = feature_set.header().spec
        tolerance = TOLERANCE.get(spec.precision, tolerance)
        if spec.steering is None:
            backbone = get_backbone(feature_set.backbone)
        else:
            backbone = with_hub(find_steered(spec.steering, feature_set.backbone, steering).backbone)
        here = {name: path for name, path in files.items() if name in (backbone.name, backbone.plain)}
        weights = find_weights([backbone], here)[backbone.key]
        if backbone.spec(weights.identity, spec.precision) != spec:
            message = "the weights or the transform here are others than those it was made with"
            return Recomputation(feature_set.id, 0, None, tolerance, message)
        sample = _sample(feature_set, indexes, n_images, seed)
        if not sample:
            return Recomputation(feature_set.id, 0, None, tolerance, "none of its images' files is where it was")
        with quiet_pillow():
            pixels = [apply_transform(decode(content), backbone.transform) for content in sample.values()]
        made = make_engine(backbone, weights, engine, "auto", spec.precision)
        step = made.batch_size
        embedded = np.concatenate([made.embed(np.stack(pixels[i : i + step])) for i in range(0, len(pixels), step)])
        digests = np.frombuffer(b"".join(sample), np.uint8).reshape(-1, 32)
        cached = feature_set.load(digests)
    except StackboneError as exc:
        return Recomputation(feature_set.id, 0, None, tolerance, str(exc))
    difference = np.linalg.norm(embedded - cached, axis=1) / np.maximum(np.linalg.norm(cached, axis=1), 1e-30)
    worst = int(difference.argmax())
    largest = float(difference[worst])
    problem = "" if largest <= tolerance else f"the image {digests[worst].tobytes().hex()} is off by more than allowed"
    return Recomputation(feature_set.id, len(sample), largest, tolerance, problem)


def _sample(feature_set: FeatureSet, indexes: list[DatasetIndex], n_images: int, seed: int) -> dict[bytes, bytes]:
    """Return digest to file content of a random sample of images that are unchanged where a dataset lists them."""
    held = as_keys(feature_set.digests())
    rows = [
        (index, int(row))
        for index in indexes
        for row in np.flatnonzero(index.ok & np.isin(as_keys(index.image_sha256), held))
    ]
    sample: dict[bytes, bytes] = {}
    for i in np.random.default_rng(seed).permutation(len(rows)):
        if len(sample) == n_images:
            break
        index, row = rows[i]
        digest = index.image_sha256[row].tobytes()
        content = _read_unchanged(Path(index.root) / index.path[row], digest)
        if content is not None:
            sample[digest] = content
    return sample


def _read_unchanged(path: Path, digest: bytes) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None
