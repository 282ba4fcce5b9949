"""How far an image is from those that a model was fitted on, in the model's file: its tensors and its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import ModelError
from stackbone.stack.models.json_values import expect, expect_floats
from stackbone.stack.models.unlike.novelty import Novelty

CALIBRATION = "novelty.calibration"


def novelty_tensors(novelty: Novelty, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return its tensors, by name; `names` are those of the model's backbones, in order."""
    kept = {tensor: np.ascontiguousarray(novelty.features[name]) for tensor, name in _kept(names, novelty.features)}
    return {**kept, CALIBRATION: np.ascontiguousarray(novelty.calibration)}


def describe_novelty(novelty: Novelty, names: Sequence[str]) -> dict[str, Any]:
    """Return the rest of it, JSON-able; `names` as of `novelty_tensors`."""
    scales = [float(novelty.scales[name]) for _, name in _kept(names, novelty.features)]
    return {"k": int(novelty.k), "scales": scales}


def names_of_tensors(names: Sequence[str], tensors: Mapping[str, NDArray[Any]]) -> set[str]:
    """Return the tensors that a file has to have, of those of some backbones that it has."""
    return {CALIBRATION, *(tensor for tensor, _ in _all(names) if tensor in tensors)}


def parse_novelty(raw: object, names: Sequence[str], tensors: Mapping[str, NDArray[Any]]) -> Novelty:
    """Return what `describe_novelty` and `novelty_tensors` were made of.

    Raises
    ------
    ModelError
        If its JSON is of another form. Tensors are checked with the whole model: see `stack.models.problems`.
    """
    described = expect(dict, raw, "novelty", keys={"k", "scales"})
    scales = expect_floats(described["scales"], "novelty.scales")
    features = {name: tensors[tensor] for tensor, name in _all(names) if tensor in tensors}
    if len(scales) != len(features):
        message = f"novelty has {len(scales)} scales, and there are features of {len(features)} backbones"
        raise ModelError(message)
    k = expect(int, described["k"], "novelty.k")
    return Novelty(features, dict(zip(features, scales, strict=True)), k, tensors[CALIBRATION])


def _all(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"novelty.{place}.features", name) for place, name in enumerate(names)]


def _kept(names: Sequence[str], features: Mapping[str, NDArray[Any]]) -> list[tuple[str, str]]:
    return [(tensor, name) for tensor, name in _all(names) if name in features]
