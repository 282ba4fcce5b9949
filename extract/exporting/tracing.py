"""Torch networks traced to ONNX graphs, and each graph tried by ONNX Runtime before it is believed.

By torch's tracing exporter. The other one, of `torch.export`, gives the same features, and takes some ten times as long
and two packages more; both are in every torch from 2.6 on.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stackbone.cache import ModelError
from stackbone.cache.disk.onnx_form import MOST_BYTES, OPSET, ROWS
from stackbone.cache.errors import says_memory_is_full
from stackbone.cache.records.feature_name import MAP
from stackbone.cache.records.views import MIRROR
from stackbone.cache.text import printable
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.engines.network import build_outputs
from stackbone.extract.networks.outputs import OutputNetwork

if TYPE_CHECKING:
    import onnx

_TOLERANCE = 1e-4
"""By how much features of the graph may differ from torch's, as a share of the largest."""
_ROUNDED = 2e-3  # the same of those that are rounded to float16, whose step is half of it
_WAY_OUT = "Leave --with-backbones out: the file then takes features, which `stackbone extract` makes"


class PixelNetwork(nn.Module):
    """A network's outputs of views of images: the same forward pass for all views.

    Parameters
    ----------
    network
        In evaluation mode.
    views
        Names, of the plain one and the mirrored one.
    """

    def __init__(self, network: OutputNetwork, views: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.views = tuple(views)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return (n, n_columns) float32, for each view of each output, of pixels (n, 3, H, W) uint8."""
        seen = [pixels.flip(3) if view == MIRROR else pixels for view in self.views]
        both = seen[0] if len(seen) == 1 else torch.cat(seen)
        taken: list[Tensor] = []
        for form, features in zip(self.network.forms, self.network(both.permute(0, 2, 3, 1)), strict=True):
            kept = features.half().float() if form.output == MAP else features  # as a cache keeps them
            taken += kept.reshape(len(seen), -1, form.n_columns).unbind()
        return tuple(taken)


def trace_network(
    backbone: Backbone, weights: Weights, wanted: Mapping[str, tuple[str, str]]
) -> tuple[onnx.GraphProto, dict[str, str]]:
    """Return the graph of a backbone's network, and which of its outputs gives the features of each feature set.

    Parameters
    ----------
    wanted
        Feature set id to output and view.

    Raises
    ------
    ModelError
        As of `trace_outputs`.
    StackboneError
        As of `build_outputs`.
    """
    outputs = list(dict.fromkeys(output for output, _ in wanted.values()))
    return trace_outputs(build_outputs(backbone, weights, outputs), backbone, wanted)


def trace_outputs(
    outputs: OutputNetwork, backbone: Backbone, wanted: Mapping[str, tuple[str, str]]
) -> tuple[onnx.GraphProto, dict[str, str]]:
    """Return what `trace_network` does, of a network that gives the outputs that are wanted.

    Raises
    ------
    ModelError
        If torch cannot write the network as ONNX, it takes too many bytes, or what was written gives other features.
    """
    views = list(dict.fromkeys(view for _, view in wanted.values()))
    network = PixelNetwork(outputs, views).eval()
    n_bytes = sum(each.numel() * each.element_size() for each in (*network.parameters(), *network.buffers()))
    if n_bytes > MOST_BYTES:
        size, most = n_bytes / 1e9, MOST_BYTES / 1e9
        message = f"{backbone.name} has {size:.1f} GB of weights, and an ONNX file at most {most:.1f} GB. {_WAY_OUT}"
        raise ModelError(message)
    given = enumerate(form.output for form in outputs.forms)
    names = {(output, view): f"features_{i}_{j}" for i, output in given for j, view in enumerate(views)}
    pixels = _made_pixels(backbone)
    traced = _trace(backbone.name, network, pixels[:2], list(names.values()))
    _try_graph(backbone.name, network, traced, pixels)
    return traced.graph, {identity: names[each] for identity, each in wanted.items()}


def _made_pixels(backbone: Backbone) -> Tensor:
    """Return three images of noise, of middle brightness, dark and bright: what branches on brightness shows."""
    height, width = backbone.transform.input_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 3, height, width), generator=generator, dtype=torch.uint8)
    pixels[1] //= 8
    pixels[2] = 255 - pixels[2] // 8
    return pixels


def _trace(name: str, network: PixelNetwork, pixels: Tensor, outputs: Sequence[str]) -> onnx.ModelProto:
    import onnx

    settings: dict[str, Any] = {
        "input_names": ["pixels"],
        "output_names": list(outputs),
        "dynamic_axes": {each: {0: ROWS} for each in ("pixels", *outputs)},
        "opset_version": OPSET,
        "dynamo": False,
    }
    try:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its age, and of constants that `_try_graph` looks at
            file = Path(folder, "network.onnx")
            torch.onnx.export(network, (pixels,), file, **settings)
            return onnx.load(file)
    except (MemoryError, OSError):  # of the machine: a full disk says nothing of the network
        raise
    except Exception as exc:  # each operator without a counterpart fails in its own way
        if says_memory_is_full(exc):
            raise MemoryError(str(exc)) from exc
        reason = printable(str(exc).strip().split("\n")[0])
        message = f"{name} cannot be written as ONNX (torch: {type(exc).__name__}: {reason}). {_WAY_OUT}"
        raise ModelError(message) from exc


def _try_graph(name: str, network: PixelNetwork, traced: onnx.ModelProto, pixels: Tensor) -> None:
    """Refuse a graph that does not give the network's features, of all images at once and of one."""
    import onnxruntime

    batches = [pixels, pixels[1:2], pixels[2:]]  # by themselves where a network might branch on all of a batch
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        session = onnxruntime.InferenceSession(traced.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = [session.run(None, {"pixels": batch.numpy()}) for batch in batches]
    except Exception as exc:  # ONNX Runtime has one type for each of its codes, all of them below Exception alone
        reason = printable(str(exc).strip().split("\n")[0])
        message = f"{name} was written as ONNX, and ONNX Runtime cannot run it ({reason}). {_WAY_OUT}"
        raise ModelError(message) from exc
    with torch.no_grad():
        expected = [[each.numpy() for each in network(batch)] for batch in batches]
    allowed = [_ROUNDED if form.output == MAP else _TOLERANCE for form in network.network.forms for _ in network.views]
    tried = list(zip(expected, found, strict=True))
    apart = [max(_apart(torchs[i], own[i]) for torchs, own in tried) for i in range(len(allowed))]
    if any(not each <= most for each, most in zip(apart, allowed, strict=True)):
        message = (
            f"{name} was written as ONNX and gives other features there than in torch, by up to {max(apart):.2g} of "
            f"the largest: what it computes depends on its input in a way that a traced graph does not hold. {_WAY_OUT}"
        )
        raise ModelError(message)


def _apart(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the largest difference, as a share of the largest expected value; infinity for other shapes."""
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / max(float(np.abs(expected).max()), np.finfo(np.float32).tiny))
