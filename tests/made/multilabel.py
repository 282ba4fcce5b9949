"""Images with any number of labels, as a cache holds them: features that tell each label in part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps
from stackbone.cache.labels.sets import SETS, join_names

NAMES = ("cat", "indoor", "night")


def make_presence(n: int, shares: Sequence[float] = (0.3, 0.5, 0.15), seed: int = 0) -> NDArray[np.int8]:
    """Return ``(n, n_labels)`` labels, each in about its share of the images, independent of each other."""
    rng = np.random.default_rng(seed)
    return (rng.random((n, len(shares))) < np.array(shares)).astype(np.int8)


def texts_of(presence: NDArray[np.int8], names: Sequence[str] = NAMES) -> list[str]:
    """Return the labels of each image as an index holds them."""
    return [join_names(names[code] for code in np.flatnonzero(row).tolist()) for row in presence]


def features_of(presence: NDArray[np.int8], seed: int, *, dim: int = 12, noise: float = 1.0) -> NDArray[np.float32]:
    """Return features in which every label has a direction of its own."""
    rng = np.random.default_rng(seed)
    signal = presence @ (1.5 * rng.normal(size=(presence.shape[1], dim)))
    return np.asarray(signal + noise * rng.normal(size=(len(presence), dim)), np.float32)


def digests_of(n: int) -> NDArray[np.uint8]:
    """Return ``(n, 32)`` digests, all different."""
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32).copy()


def index_of(
    texts: Sequence[str],
    *,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    label_form: str = SETS,
) -> DatasetIndex:
    """Return the index of images with these labels."""
    n = len(texts)
    return DatasetIndex(
        name="scenes",
        root="/scenes",
        path=[f"{i}.jpg" for i in range(n)],
        label=list(texts),
        split=list(splits or [""] * n),
        group=list(groups or [""] * n),
        image_sha256=digests_of(n),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
        label_form=label_form,
    )


def fill(folder: Path, presence: NDArray[np.int8], index: DatasetIndex, *, noise: float = 1.0) -> FeatureStore:
    """Return a cache with a dataset and two backbones of it."""
    store, half = FeatureStore(folder), (0.5, 0.5, 0.5)
    for seed, name in enumerate(("resnet50", "vgg19")):
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        x = features_of(presence, seed, noise=noise)
        store.feature_set(name, spec).append(spec, digests_of(len(presence)), x, {})
    store.write_dataset(index)
    return store
