"""Two datasets of the same classes in one cache, the second with features that are shifted and turned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps

CLASSES = ("coat", "hat", "shoe")
DIM = 8


def spec_of(backbone: str, precision: str = "fp32") -> FeatureSpec:
    """Return the spec of a backbone with random weights."""
    half = (0.5, 0.5, 0.5)
    return FeatureSpec(
        backbone, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg", precision=precision
    )


def digests_of(contents: Sequence[str]) -> NDArray[np.uint8]:
    """Return ``(n, 32)`` digests: equal contents have equal ones."""
    content = b"".join(hashlib.sha256(each.encode()).digest() for each in contents)
    return np.frombuffer(content, np.uint8).reshape(-1, 32).copy()


def add_domain(
    store: FeatureStore,
    name: str,
    labels: Sequence[str],
    *,
    shift: float = 0.0,
    noise: float = 1.0,
    seed: int = 0,
    contents: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    backbones: Sequence[str] = ("resnet50", "vgg19"),
    precision: str = "fp32",
    copies: Mapping[int, NDArray[np.float32]] | None = None,
) -> DatasetIndex:
    """Write a dataset and its features.

    A label's direction is the same in every dataset; `shift` moves all of them along another. Rows in `copies` get the
    features that these give, in every backbone.
    """
    n = len(labels)
    digests = digests_of(contents or [f"{name}/{i}" for i in range(n)])
    for number, backbone in enumerate(backbones):
        directions = np.random.default_rng(number)
        signal = {label: 2 * directions.normal(size=DIM) for label in ("boot", *CLASSES, "tie")}
        away = directions.normal(size=DIM)
        rng = np.random.default_rng([seed, number])
        x = np.stack([signal[label] if label else np.zeros(DIM) for label in labels])
        x = (x + shift * away + noise * rng.normal(size=(n, DIM))).astype(np.float32)
        for row, features in (copies or {}).items():
            x[row] = features
        spec = spec_of(backbone, precision)
        _, first = np.unique(digests, axis=0, return_index=True)
        store.feature_set(backbone, spec).append(spec, digests[first], x[first], {"engine": "torch"})
    index = DatasetIndex(
        name=name,
        root=f"/{name}",
        path=[f"{label}/{i}.jpg" for i, label in enumerate(labels)],
        label=list(labels),
        split=list(splits or [""] * n),
        group=list(groups or [""] * n),
        image_sha256=digests,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
        columns={key: list(cells) for key, cells in (columns or {}).items()},
    )
    store.write_dataset(index)
    return index


def labels_of(n: int, classes: Sequence[str] = CLASSES) -> list[str]:
    """Return labels of n images in turn."""
    return [classes[i % len(classes)] for i in range(n)]


def make_domains(folder: Path, n_source: int = 60, n_target: int = 45, shift: float = 1.5) -> FeatureStore:
    """Return a cache with the datasets ``studio`` and ``phone``."""
    store = FeatureStore(folder)
    add_domain(store, "studio", labels_of(n_source), seed=1)
    add_domain(store, "phone", labels_of(n_target), shift=shift, seed=2)
    return store
