"""Networks converted for OpenVINO, kept on disk so that a later run needs neither torch nor timm."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cache import CacheError, feature_set_id, sha256_file
from cache.files import make_folder, write_atomically
from extract.backbones import Backbone
from extract.weights import Weights

if TYPE_CHECKING:
    import openvino


CONVERTERS = ("openvino", "torch", "timm")
"""Packages that make a converted network what it is; another version of one converts anew."""


def import_openvino() -> ModuleType:
    """Return the module `openvino`, imported so that it reports nothing over the network.

    OpenVINO sends a usage event when it is imported and when it converts, unless its telemetry package is absent.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is import's "not installed"
    return importlib.import_module("openvino")


def graphs_folder() -> Path:
    """Return where converted networks are kept: ``STACKBONE_GRAPHS``, else in the user's cache folder."""
    chosen = os.environ.get("STACKBONE_GRAPHS")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "stackbone" / "graphs"


def load_graph(backbone: Backbone, weights: Weights) -> openvino.Model:
    """Return the converted network of a backbone: pixels (B, H, W, 3) uint8 to features (B, dim) float32.

    It is converted once per spec and versions of `CONVERTERS`, then read from `graphs_folder`. A kept file whose
    SHA-256 is not the recorded one is not used: the network is converted again.

    Raises
    ------
    WeightsError
        If the weights are not this architecture's.
    """
    kept = _kept(backbone, weights)
    graph = _read(kept)
    if graph is None:
        graph = _convert(backbone, weights)
        # A read-only home or a full disk costs a conversion a run, nothing else. OpenVINO has no error of its own.
        with contextlib.suppress(CacheError, OSError, RuntimeError):
            _keep(graph, kept)
    return graph


def _kept(backbone: Backbone, weights: Weights) -> Path:
    identity = feature_set_id(backbone.name, backbone.spec(weights.identity))
    return graphs_folder() / f"{identity}-{'-'.join(version(name) for name in CONVERTERS)}.json"


def _read(kept: Path) -> openvino.Model | None:
    openvino = import_openvino()
    try:
        recorded = json.loads(kept.read_text())
        files = {suffix: kept.with_suffix(suffix) for suffix in (".xml", ".bin")}
        if any(recorded[suffix] != sha256_file(path).hex() for suffix, path in files.items()):
            return None
        return openvino.Core().read_model(files[".xml"], files[".bin"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(graph: openvino.Model, kept: Path) -> None:
    """Write the graph's two files, then the record that makes them count."""
    openvino = import_openvino()
    make_folder(kept.parent)
    draft = kept.with_name(f".{kept.stem}.{os.getpid()}")
    try:
        openvino.serialize(graph, f"{draft}.xml", f"{draft}.bin")
        digests = {}
        for suffix in (".xml", ".bin"):
            path = Path(f"{draft}{suffix}")
            digests[suffix] = sha256_file(path).hex()
            path.replace(kept.with_suffix(suffix))
        write_atomically(kept, json.dumps(digests).encode())
    finally:
        for suffix in (".xml", ".bin"):
            with contextlib.suppress(OSError):
                Path(f"{draft}{suffix}").unlink()


def _convert(backbone: Backbone, weights: Weights) -> openvino.Model:
    import_openvino()
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from extract.network import build_network

    height, width = backbone.transform.input_size
    network = build_network(backbone, weights)
    front_end = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace, which the decoder calls, is deprecated in favour of export
        pixels = torch.zeros((2, height, width, 3), dtype=torch.uint8)
        decoder: Any = TorchScriptPythonDecoder(network, example_input=pixels)
        graph: openvino.Model = front_end.convert(front_end.load(decoder))
    graph.reshape([-1, height, width, 3])
    return graph
