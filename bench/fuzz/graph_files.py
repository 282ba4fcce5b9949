"""Networks kept for OpenVINO: a record and the two files that it vouches for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import numpy as np

from fuzz.mutations import Rng, mutate, mutate_json
from fuzz.trial import MadeAnew, OutOfForm, environment
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines import graphs
from stackbone.extract.engines.engine import OpenVinoEngine
from stackbone.extract.engines.graphs import import_openvino

_SIDE, _DIM = 8, 4
_TINY = replace(BACKBONES["efficientnet_lite0"], name="tiny", transform=Transform((_SIDE, _SIDE), 0.875, "bicubic"))


def _convert_anew(*_: object, **__: object) -> NoReturn:
    raise MadeAnew


class Graph:
    """A small one: the mean colour of an image, times a matrix, through a convolution."""

    def make(self, folder: Path) -> None:
        """Write a sound one."""
        openvino = import_openvino()
        from openvino import opset8 as ops

        rng = np.random.default_rng(0)
        kernel = ops.constant(rng.normal(size=(5, 3, 3, 3)).astype(np.float32))
        matrix = ops.constant(rng.normal(size=(5, _DIM)).astype(np.float32))
        pixels = ops.parameter([-1, _SIDE, _SIDE, 3], np.uint8, name="pixels")
        x = ops.transpose(ops.convert(pixels, "f32"), ops.constant(np.array([0, 3, 1, 2])))
        x = ops.relu(ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1]))
        x = ops.matmul(
            ops.reduce_mean(x, ops.constant(np.array([2, 3])), keep_dims=False),
            matrix,
            transpose_a=False,
            transpose_b=False,
        )
        graph = openvino.Model([x], [pixels], "tiny")
        with environment(STACKBONE_GRAPHS=str(folder)):
            weights = random_weights(0)
            form = OutputForm("pooled", _DIM)
            record = {**graphs._record(_TINY, weights), "outputs": [form.to_dict()]}
            kept = graphs._kept(_TINY, weights, ["pooled"])
            assert kept
            graphs._keep(graph, kept, record)

    def spoil(self, folder: Path, rng: Rng) -> bool:
        """Change it; see `Kind`."""
        (record,) = folder.glob("*.json")
        kind = int(rng.integers(5))
        if kind == 0:
            record.write_bytes(mutate_json(record.read_bytes(), rng))
            return False
        suffix = (".json", ".xml", ".bin")[int(rng.integers(3))] if kind == 1 else (".xml", ".xml", ".bin")[kind - 2]
        path = record.with_suffix(suffix)
        path.write_bytes(mutate(path.read_bytes(), rng))
        if kind > 1:
            described = json.loads(record.read_bytes())
            described["sha256"][suffix] = hashlib.sha256(path.read_bytes()).hexdigest()
            record.write_text(json.dumps(described))
        return kind > 1

    def read(self, folder: Path) -> object:
        """Read it as users do; see `Kind`."""
        pixels = np.random.default_rng(1).integers(0, 256, (3, _SIDE, _SIDE, 3), dtype=np.uint8)
        with (
            environment(STACKBONE_GRAPHS=str(folder)),
            patch("stackbone.extract.engines.graphs.convert_graph", _convert_anew),
        ):
            [features] = OpenVinoEngine(_TINY, random_weights(0)).embed(pixels)
        if features.ndim != 2 or len(features) != len(pixels) or features.dtype != np.float32:
            message = f"features of {features.dtype} {features.shape}"
            raise OutOfForm(message)
        return features.tobytes()
