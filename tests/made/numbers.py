"""Images with several numbers each, as a cache holds them: features that know each number in part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore
from stackbone.cache.labels.numbers import NUMBERS, join_numbers
from tests.made.multilabel import digests_of, index_of

NAMES = ("length", "weight", "age")

Doubles = NDArray[np.float64]


def make_numbers(n: int, seed: int = 0) -> Doubles:
    """Return ``(n, 3)`` numbers of very different sizes, the first two of which go together."""
    rng = np.random.default_rng(seed)
    size, age = rng.normal(size=(2, n))
    return np.column_stack([60 + 8 * size, 3000 + 400 * (0.8 * size + 0.6 * rng.normal(size=n)), 5 + 0.5 * age])


def texts_of(values: Doubles, names: Sequence[str] = NAMES) -> list[str]:
    """Return the numbers of each image as an index holds them, all digits kept."""
    return [join_numbers(names, [repr(number) for number in row]) for row in values.tolist()]


def features_of(values: Doubles, seed: int, *, dim: int = 10, noise: float = 1.0) -> NDArray[np.float32]:
    """Return features in which every number has a direction of its own."""
    rng = np.random.default_rng(seed)
    signal = (values - values.mean(axis=0)) / values.std(axis=0) @ rng.normal(size=(values.shape[1], dim))
    return np.asarray(signal + noise * rng.normal(size=(len(values), dim)), np.float32)


def numbers_index(values: Doubles, **marks: Sequence[str]) -> DatasetIndex:
    """Return the index of images with these numbers; `marks` are splits and groups."""
    return index_of(texts_of(values), label_form=NUMBERS, **marks)


def fill_numbers(folder: Path, values: Doubles, index: DatasetIndex, *, noise: float = 1.0) -> FeatureStore:
    """Return a cache with a dataset and two backbones of it."""
    store, half = FeatureStore(folder), (0.5, 0.5, 0.5)
    for seed, name in enumerate(("resnet50", "vgg19")):
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        x = features_of(values, seed, noise=noise)
        store.feature_set(name, spec).append(spec, digests_of(len(values)), x, {})
    store.write_dataset(index)
    return store
