"""Networks converted for OpenVINO, kept on disk so that a later run needs neither torch nor timm."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stackbone.cache import CacheError, feature_set_id, sha256_file
from stackbone.cache.disk.files import make_folder, write_atomically
from stackbone.cache.disk.reading import open_regular, read_regular
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.home import cache_home
from stackbone.extract.backbones.weights import Weights

if TYPE_CHECKING:
    import openvino


FORMAT = "stackbone-graph"
FORMAT_VERSION = 2
CONVERTERS = ("openvino", "torch", "timm")
"""Packages that make a converted network what it is; with another version of one they are converted again."""

_MOST_RECORD_BYTES = 1 << 20
_MOST_XML_BYTES = 256 << 20
_log = logging.getLogger(__name__)


def import_openvino() -> ModuleType:
    """Return the module `openvino`, imported so that it reports nothing over the network.

    OpenVINO sends a usage event when it is imported and when it converts, unless its telemetry package is absent.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is import's "not installed"
    return importlib.import_module("openvino")


def graphs_folder() -> Path | None:
    """Return where converted networks are kept: ``STACKBONE_GRAPHS``, else in the user's cache folder; None without."""
    if chosen := os.environ.get("STACKBONE_GRAPHS"):
        return Path(chosen)
    home = cache_home()
    return home / "stackbone" / "graphs" if home else None


def load_graph(backbone: Backbone, weights: Weights, *, reuse: bool = True) -> openvino.Model:
    """Return the converted network of a backbone: pixels (B, H, W, 3) uint8 to features (B, dim) float32.

    It is converted once per spec, which holds the weights' SHA-256, and versions of `CONVERTERS`, then read from
    `graphs_folder`. Kept files that are not what their record says, of this very spec and these versions, are not
    used: the network is converted again, from weights whose bytes have the SHA-256 of the spec.

    Parameters
    ----------
    reuse
        Whether a kept graph may serve; without, the network is converted in any case, and what is kept is replaced.

    Raises
    ------
    WeightsError
        If the weights are not this architecture's, or were changed since they were found.
    """
    kept = _kept(backbone, weights)
    graph = _read(kept, backbone, weights) if reuse and kept else None
    if graph is None:
        graph = convert_graph(backbone, weights)
        # No home, a read-only one or a full disk costs a conversion a run, nothing else; OpenVINO has no error of its
        # own.
        with contextlib.suppress(CacheError, OSError, RuntimeError):
            if kept:
                _keep(graph, kept, _record(backbone, weights))
    return graph


def _kept(backbone: Backbone, weights: Weights) -> Path | None:
    folder = graphs_folder()
    identity = feature_set_id(backbone.name, backbone.spec(weights.identity))
    name = f"{identity}-{'-'.join(version(name) for name in CONVERTERS)}.json"
    return folder / name if folder else None


def _record(backbone: Backbone, weights: Weights) -> dict[str, Any]:
    """Return what the record of a kept graph must say, apart from the digests of its files."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "spec": json.loads(backbone.spec(weights.identity).to_json()),
        "converters": {name: version(name) for name in CONVERTERS},
    }


def _read(kept: Path, backbone: Backbone, weights: Weights) -> openvino.Model | None:
    """Return the kept graph, parsed from the very bytes that were hashed; None unless it is what its record says."""
    openvino = import_openvino()
    try:
        recorded = json.loads(read_regular(kept, _MOST_RECORD_BYTES))
        description = read_regular(kept.with_suffix(".xml"), _MOST_XML_BYTES)
        constants = _read_into_tensor(kept.with_suffix(".bin"))
        digests = {
            ".xml": hashlib.sha256(description).hexdigest(),
            ".bin": hashlib.sha256(constants.data).hexdigest(),
        }
        if recorded != {**_record(backbone, weights), "sha256": digests}:
            return None
        graph = openvino.Core().read_model(description.decode(), constants)
        return graph if _has_form(graph, backbone) else None
    except Exception:  # OpenVINO's parser meets files that anyone may have changed, and has no error of its own
        _log.debug("the kept graph %s is not used", kept, exc_info=True)
        return None


def _read_into_tensor(path: Path) -> Any:  # noqa: ANN401 - OpenVINO's tensor, which the graph shares
    openvino = import_openvino()
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        tensor = openvino.Tensor(openvino.Type.u8, [size])
        rest = memoryview(tensor.data)
        while rest and (n := stream.readinto(rest)):  # type: ignore[attr-defined]  # a raw file has it
            rest = rest[n:]
    return tensor


def _has_form(graph: openvino.Model, backbone: Backbone) -> bool:
    """Return whether a graph takes this backbone's pixels and gives rows of float32."""
    openvino = import_openvino()
    height, width = backbone.transform.input_size
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return False
    pixels, features = graph.inputs[0], graph.outputs[0]
    return bool(
        pixels.element_type == openvino.Type.u8
        and pixels.partial_shape == openvino.PartialShape([-1, height, width, 3])
        and features.element_type == openvino.Type.f32
        and features.partial_shape.rank == openvino.Dimension(2)
    )


def _keep(graph: openvino.Model, kept: Path, record: dict[str, Any]) -> None:
    """Write the graph's two files, then the record that makes them count."""
    openvino = import_openvino()
    make_folder(kept.parent)
    # A folder of our own: OpenVINO would follow a link that lies in the place of its file.
    with tempfile.TemporaryDirectory(prefix=".", dir=kept.parent) as folder:
        drafts = {suffix: Path(folder, f"graph{suffix}") for suffix in (".xml", ".bin")}
        openvino.serialize(graph, *drafts.values())
        digests = {suffix: sha256_file(draft).hex() for suffix, draft in drafts.items()}
        for suffix, draft in drafts.items():
            draft.replace(kept.with_suffix(suffix))
    write_atomically(kept, json.dumps({**record, "sha256": digests}).encode())


def convert_graph(backbone: Backbone, weights: Weights) -> openvino.Model:
    """Return the network of a backbone converted in memory; errors as `load_graph`."""
    import_openvino()
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from stackbone.extract.engines.network import build_network

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
