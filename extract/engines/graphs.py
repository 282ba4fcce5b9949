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
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stackbone.cache import CacheError, feature_set_id, sha256_file
from stackbone.cache.disk.files import make_folder, write_atomically
from stackbone.cache.disk.reading import open_regular, read_regular
from stackbone.cache.records.feature_name import POOLED
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.home import cache_home
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import Weights

if TYPE_CHECKING:
    import openvino


FORMAT = "stackbone-graph"
FORMAT_VERSION = 3
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


Graph = tuple["openvino.Model", tuple[OutputForm, ...]]
"""A converted network, and what it gives for each of its outputs, in their order."""


def load_graph(
    backbone: Backbone, weights: Weights, outputs: Sequence[str] = (POOLED,), *, reuse: bool = True
) -> Graph:
    """Return the converted network of a backbone: pixels (B, H, W, 3) uint8 to (B, n_columns) float32 for each output.

    It is converted once for some outputs of a spec, which holds the weights' SHA-256, and versions of `CONVERTERS`,
    then read from `graphs_folder`; one that gives more outputs serves too. Kept files that are not what their record
    says, of this very spec and these versions, are not used: the network is converted again, from weights whose bytes
    have the SHA-256 of the spec.

    Parameters
    ----------
    reuse
        Whether a kept graph may serve; without, the network is converted in any case, and what is kept is replaced.

    Raises
    ------
    WeightsError
        If the weights are not this architecture's, or were changed since they were found.
    UsageError
        If the network lacks one of the outputs.
    """
    kept = _kept(backbone, weights, outputs)
    if reuse and kept:
        for record in _candidates(kept, backbone, weights, outputs):
            if found := _read(record, backbone, weights, outputs):
                return found
    graph, forms = convert_graph(backbone, weights, outputs)
    # No home, a read-only one or a full disk costs a conversion a run, nothing else; OpenVINO has no error of its own.
    with contextlib.suppress(CacheError, OSError, RuntimeError):
        if kept:
            _keep(graph, kept, {**_record(backbone, weights), "outputs": [form.to_dict() for form in forms]})
    return graph, forms


def _kept(backbone: Backbone, weights: Weights, outputs: Sequence[str]) -> Path | None:
    folder = graphs_folder()
    return folder / f"{_stem(backbone, weights)}{_mark(outputs)}.json" if folder else None


def _stem(backbone: Backbone, weights: Weights) -> str:
    identity = feature_set_id(backbone.name, backbone.spec(weights.identity))
    return f"{identity}-{'-'.join(version(name) for name in CONVERTERS)}"


def _mark(outputs: Sequence[str]) -> str:
    """Return what tells graphs of other outputs apart; nothing for the usual one."""
    names = sorted(outputs)
    return "" if names == [POOLED] else f"+{hashlib.sha256(','.join(names).encode()).hexdigest()[:12]}"


def _candidates(kept: Path, backbone: Backbone, weights: Weights, outputs: Sequence[str]) -> Iterator[Path]:
    """Yield the record of these very outputs, then those of more outputs, the fewest first."""
    yield kept
    others = [path for path in kept.parent.glob(f"{_stem(backbone, weights)}*.json") if path != kept]
    told = {path: _outputs_told(path) for path in sorted(others)}
    wider = [path for path, names in told.items() if set(outputs) <= set(names)]
    yield from sorted(wider, key=lambda path: len(told[path]))


def _outputs_told(record: Path) -> list[str]:
    """Return the outputs that a record names; none if it is not what a record is."""
    try:
        told = json.loads(read_regular(record, _MOST_RECORD_BYTES))["outputs"]
        return [OutputForm.from_dict(each).output for each in told]
    except Exception:  # anyone may have changed it
        return []


def _record(backbone: Backbone, weights: Weights) -> dict[str, Any]:
    """Return what the record of a kept graph must say, apart from its outputs and the digests of all that is kept."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "spec": json.loads(backbone.spec(weights.identity).to_json()),
        "converters": {name: version(name) for name in CONVERTERS},
    }


def _read(kept: Path, backbone: Backbone, weights: Weights, outputs: Sequence[str]) -> Graph | None:
    """Return the kept graph, parsed from the very bytes that were hashed; None unless it is what its record says."""
    openvino = import_openvino()
    try:
        recorded = json.loads(read_regular(kept, _MOST_RECORD_BYTES))
        description = read_regular(kept.with_suffix(".xml"), _MOST_XML_BYTES)
        constants = _read_into_tensor(kept.with_suffix(".bin"))
        digests = {
            ".xml": hashlib.sha256(description).hexdigest(),
            ".bin": hashlib.sha256(constants.data).hexdigest(),
            "outputs": _sha256_of(recorded["outputs"]),
        }
        forms = [OutputForm.from_dict(each) for each in recorded.pop("outputs")]
        if recorded != {**_record(backbone, weights), "sha256": digests}:
            return None
        graph = openvino.Core().read_model(description.decode(), constants)
        return _select(graph, forms, outputs) if _has_form(graph, backbone, forms) else None
    except Exception:  # OpenVINO's parser meets files that anyone may have changed, and has no error of its own
        _log.debug("the kept graph %s is not used", kept, exc_info=True)
        return None


def _select(graph: openvino.Model, forms: Sequence[OutputForm], outputs: Sequence[str]) -> Graph:
    """Return a graph that gives some of its outputs alone, and computes nothing else."""
    openvino = import_openvino()
    names = [form.output for form in forms]
    places = [names.index(output) for output in outputs]
    chosen = tuple(forms[place] for place in places)
    if places == list(range(len(names))):
        return graph, chosen
    results = graph.get_results()
    wanted = [results[place] for place in places]
    return openvino.Model(wanted, graph.get_parameters(), graph.get_friendly_name()), chosen


def _read_into_tensor(path: Path) -> Any:  # noqa: ANN401 - OpenVINO's tensor, which the graph shares
    openvino = import_openvino()
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        tensor = openvino.Tensor(openvino.Type.u8, [size])
        rest = memoryview(tensor.data)
        while rest and (n := stream.readinto(rest)):  # type: ignore[attr-defined]  # a raw file has it
            rest = rest[n:]
    return tensor


def _has_form(graph: openvino.Model, backbone: Backbone, forms: Sequence[OutputForm]) -> bool:
    """Return whether a graph takes this backbone's pixels and gives rows of float32, as long as they should be."""
    openvino = import_openvino()
    height, width = backbone.transform.input_size
    if len(graph.inputs) != 1 or len(graph.outputs) != len(forms):
        return False
    pixels = graph.inputs[0]
    return bool(
        pixels.element_type == openvino.Type.u8
        and pixels.partial_shape == openvino.PartialShape([-1, height, width, 3])
        and all(
            features.element_type == openvino.Type.f32
            and features.partial_shape.compatible(openvino.PartialShape([-1, form.n_columns]))
            and features.partial_shape.rank == openvino.Dimension(2)
            for features, form in zip(graph.outputs, forms, strict=True)
        )
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
    digests["outputs"] = _sha256_of(record["outputs"])
    write_atomically(kept, json.dumps({**record, "sha256": digests}).encode())


def _sha256_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def convert_graph(backbone: Backbone, weights: Weights, outputs: Sequence[str] = (POOLED,)) -> Graph:
    """Return the network of a backbone converted in memory; errors as `load_graph`."""
    import_openvino()
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from stackbone.extract.engines.network import build_outputs

    height, width = backbone.transform.input_size
    network = build_outputs(backbone, weights, outputs)
    front_end = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace, which the decoder calls, is deprecated in favour of export
        pixels = torch.zeros((2, height, width, 3), dtype=torch.uint8)
        decoder: Any = TorchScriptPythonDecoder(network, example_input=pixels)
        graph: openvino.Model = front_end.convert(front_end.load(decoder))
    graph.reshape([-1, height, width, 3])
    return graph, network.forms
