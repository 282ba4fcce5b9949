"""Results of experiments, which `report` reads. They have no seal: their numbers are computed again and compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fuzz.mutations import Rng, mutate, mutate_json
from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps
from stackbone.stack import StackOptions, run_experiment
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result

_N = 36
_HALF = (0.5, 0.5, 0.5)
_FILE = "result.json"


class Result:
    """A result beside the cache that it was made with."""

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        store = _make_cache(folder / "cache")
        write_result(run_experiment(store, options=StackOptions(c=0.1, inner_splits=3), n_jobs=1), folder / _FILE)

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        path = folder / _FILE
        content = path.read_bytes()
        path.write_bytes(mutate_json(content, rng) if rng.integers(3) else mutate(content, rng))
        return True

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        return reproduce_experiment(folder / _FILE, FeatureStore(folder / "cache"), n_jobs=1).to_dict()


def _make_cache(root: Path) -> FeatureStore:
    store = FeatureStore(root)
    digests = np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in range(_N)])
    codes = np.arange(_N) % 3
    for seed, name in enumerate(("resnet50", "vgg19")):
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=(3, 8))[codes] * 2 + 1.5 * rng.normal(size=(_N, 8))).astype(np.float32)
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", _HALF, _HALF, "avg")
        store.feature_set(name, spec).append(spec, digests, x, {"engine": "torch"})
    store.write_dataset(
        DatasetIndex(
            name="photos",
            root="/photos",
            path=[f"{code}/{i}.jpg" for i, code in enumerate(codes)],
            label=[f"class {code}" for code in codes],
            split=["test" if i % 3 else "train" for i in range(_N)],
            group=[""] * _N,
            image_sha256=digests,
            status=np.zeros(_N, np.uint8),
            reason=[""] * _N,
            stamps=FileStamps(np.full((_N, 4), -1, np.int64)),
        )
    )
    return store
