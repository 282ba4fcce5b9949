"""What fills a cache in tests: a spec, digests, features that follow from them, an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, Digests, FeatureSpec, FileStamps
from stackbone.cache.places.place import Place

SPEC = FeatureSpec(
    architecture="resnet50.tv_in1k",
    weights="random(0)",
    input_size=(224, 224),
    crop_fraction=0.875,
    crop_mode="center",
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    pooling="avg",
)
"""Of ResNet-50 with random weights."""


def on_disk(place: Place) -> Path:
    """Return a place of a cache that is a folder, not one on an object store, for what only a disk can do."""
    assert isinstance(place, Path)
    return place


def make_digests(n: int, seed: int = 0) -> Digests:
    """Return (n, 32) digests, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)


def features_of(digests: Digests, dim: int = 8) -> NDArray[np.float32]:
    """Return rows that follow from their digests, so that any row can be checked anywhere."""
    return digests[:, :dim].astype(np.float32)


def make_index(name: str, digests: Digests, labels: Sequence[str] = (), failed: Sequence[int] = ()) -> DatasetIndex:
    """Return the index of a dataset in ``/data``; `failed` are the rows that could not be read."""
    n = len(digests)
    status = np.zeros(n, np.uint8)
    status[list(failed)] = 1
    return DatasetIndex(
        name=name,
        root="/data",
        path=[f"{i}.jpg" for i in range(n)],
        label=list(labels) or ["cat"] * n,
        split=["train" if i % 2 else "test" for i in range(n)],
        group=[""] * n,
        image_sha256=digests,
        status=status,
        reason=["broken" if failed else "" for failed in status],
        stamps=FileStamps(np.zeros((n, 4), np.int64)),
    )
