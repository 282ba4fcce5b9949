"""Files of tensors with JSON in their metadata; models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from fuzz.mutations import Rng, mutate, mutate_json
from fuzz.trial import OutOfForm
from stackbone.cache import FeatureSpec, feature_set_id
from stackbone.stack import StackModel, load_model, save_model
from stackbone.stack.models.answers import to_columns
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.predict import predict
from stackbone.stack.solvers.linear import LinearMap

Tensors = dict[str, NDArray[Any]]

_HALF = (0.5, 0.5, 0.5)
TINY_VIT = FeatureSpec("test_vit.r160_in1k", "random(0)", (160, 160), 0.95, "center", "bicubic", _HALF, _HALF, "model")
_ODD_NUMBERS = (np.nan, np.inf, -np.inf, 3e38, 1e-45, 0.0)


class TensorFile:
    """A safetensors file whose checksum, over JSON and tensors, is renewed after most changes."""

    file = ""

    def renew(self, metadata: dict[str, str], tensors: Tensors, change: Callable[[bytes], bytes]) -> dict[str, str]:
        """Return metadata whose JSON is changed and whose checksum holds."""
        raise NotImplementedError

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        path = folder / self.file
        kind = int(rng.integers(4))
        if kind == 0:
            path.write_bytes(mutate(path.read_bytes(), rng))
            return False
        with safe_open(path, framework="np") as opened:
            metadata = dict(opened.metadata())
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no dict
        if kind == 1:
            _change_tensors(tensors, rng)
        try:
            metadata = self.renew(metadata, tensors, lambda text: mutate_json(text, rng) if kind > 1 else text)
        except (ValueError, RecursionError):  # no writer of the format could make a checksum of it: it stays the old
            metadata = {key: mutate_json(json.dumps(text).encode(), rng).decode() for key, text in metadata.items()}
        path.write_bytes(save(tensors, metadata))
        return True


def _change_tensors(tensors: Tensors, rng: Rng) -> None:
    name = sorted(tensors)[int(rng.integers(len(tensors)))]
    array = tensors[name].copy()
    kind = int(rng.integers(6))
    if kind == 0:
        del tensors[name]
    elif kind == 1:
        tensors["\x1b[2J"] = array
    elif kind == 2:
        tensors[name] = array.astype(rng.choice(["f8", "f4", "i4", "f2", "u1", "?"]))
    elif kind == 3:
        tensors[name] = array.reshape(-1)[: int(rng.integers(array.size + 1))]
    elif kind == 4:
        tensors[name] = np.stack([array, array])
    elif array.size and array.dtype.kind == "f":
        array.reshape(-1)[int(rng.integers(array.size))] = rng.choice(_ODD_NUMBERS)
        tensors[name] = array


class Model(TensorFile):
    """A finished stack, and what it says of features."""

    file = "model.stackbone"

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        rng = np.random.default_rng(0)

        def linear(dim: int) -> LinearMap:
            return LinearMap(rng.normal(size=(dim, 3)).astype(np.float32), np.zeros(3, np.float32))

        names = ("resnet50", "vit")
        model = StackModel(
            task="classification",
            classes=["cat", "dog", "größe"],
            backbones=[ModelBackbone(name, feature_set_id(name, TINY_VIT), TINY_VIT) for name in names],
            bases=[linear(4), linear(4)],
            learner="svm",
            scores="probability",
            combine="concat",
            meta_linear=linear(6),
            scale=1.5,
            n_images=40,
            digests_sha256="ab" * 32,
            score={"accuracy": "0.905 ± 0.004 (3 folds)", "other": 0.5},
            versions={"stackbone": "0.1.0"},
            created="2026-01-01T00:00:00+00:00",
        )
        save_model(model, folder / self.file)

    def renew(self, metadata: dict[str, str], tensors: Tensors, change: Callable[[bytes], bytes]) -> dict[str, str]:
        """Return metadata whose JSON is changed and whose checksum holds."""
        from stackbone.stack.models.model_file import _checksum

        metadata["model"] = change(metadata["model"].encode()).decode()
        return {**metadata, "sha256": _checksum(metadata, tensors)}

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        model = load_model(folder / self.file)
        rng = np.random.default_rng(1)
        blocks = {each.name: rng.normal(size=(5, 4)).astype(np.float32) for each in model.backbones}
        answers = predict(model, [f"{i}.jpg" for i in range(5)], blocks)
        probabilities = [p for answer in answers for _, p in answer.ranked]
        if not np.isfinite(probabilities).all() or not all(0 <= p <= 1 for p in probabilities):
            message = f"probabilities {probabilities}"
            raise OutOfForm(message)
        return model.describe(), to_columns(answers), [(each.feature_set, each.spec) for each in model.backbones]
