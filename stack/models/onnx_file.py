"""A finished stack as an ONNX file: features of its backbones in, or images where the networks come along; answers out.

What a caller has to know is in the file's metadata, each entry JSON: ``task``; ``classes``, in the order of the
columns; ``targets``, the names of several numbers, likewise; ``thresholds`` of labels; ``inputs``, a list of objects
with `name`, `shape`, `type`, and `feature_set` and its `spec`, or `backbones` and `pixels` (see
`extract.exporting.networks.describe_pixels`); and ``model``, what the model's own file says, but for unlike images, of
which a graph knows nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stackbone.cache import ModelError
from stackbone.cache.disk.onnx_form import IR_VERSION, MOST_BYTES, OPSET, ROWS, check_onnx
from stackbone.cache.disk.output_file import check_output, write_output
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.tensor_file import header_json
from stackbone.cache.text import printable
from stackbone.stack.graphs.answers import columns, decide, mean_of, sum_of
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.model_file import describe_model
from stackbone.stack.tasks.registry import get_task

if TYPE_CHECKING:
    import onnx

_TAKEN = frozenset({"probabilities", "class", "present", "values"})  # names of outputs


class Network(Protocol):
    """A network as a graph: `extract.exporting.networks.NetworkGraph`."""

    @property
    def name(self) -> str:
        """Of the backbone."""

    @property
    def graph(self) -> onnx.GraphProto:
        """From pixels, its one input, to features."""

    @property
    def pixels(self) -> Mapping[str, Any]:
        """What the pixels are; networks with equal pixels share an input."""

    @property
    def features(self) -> Mapping[str, str]:
        """Feature set id to the name of the output that gives its features."""


@dataclass(frozen=True)
class OnnxFile:
    """What was written.

    Attributes
    ----------
    inputs, outputs
        What goes in and comes out, in order: objects with `name`, `shape` and `type`.
    n_bytes
        Size of the file.
    """

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {"inputs": self.inputs, "outputs": self.outputs, "opset": OPSET, "bytes": self.n_bytes}


def write_onnx(model: StackModel, file: Path | str, networks: Sequence[Network] = ()) -> OnnxFile:
    """Write a model as an ONNX file, whole or not at all, replacing what was there.

    Its answers are those of `stack.models.predict.predict` but for the rounding of float32.

    Parameters
    ----------
    model
        Of any task of ours.
    file
        Its folder is made if it is not there.
    networks
        Those that give the features of all of the model's feature sets, so that the file takes images. Without any, it
        takes features: one input ``(n, dim)`` float32 for each feature set.

    Raises
    ------
    UsageError
        If onnx is not installed, the task cannot be written, or no file can be put there.
    ModelError
        If all of it takes more than `MOST_BYTES`, or onnx finds it invalid.
    CacheError
        If the file cannot be written.
    """
    check_onnx()
    file = Path(file)
    check_output(file)
    graph = Graph()
    inputs, features = _take_images(graph, networks) if networks else _take_features(graph, model)
    _add_answers(graph, model, features)
    content = _serialise(graph, model, inputs) if graph.n_bytes <= MOST_BYTES else None
    if content is None:
        way_out = (
            "Leave --with-backbones out: the file then takes features" if networks else "Fit it on fewer backbones"
        )
        size, most = graph.n_bytes / 1e9, MOST_BYTES / 1e9
        message = f"the model takes {size:.1f} GB, and an ONNX file less than {most:.1f} GB. {way_out}"
        raise ModelError(message)
    _check(content)
    write_output(file, content)
    return OnnxFile(inputs, graph.outputs, len(content))


def _serialise(graph: Graph, model: StackModel, inputs: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return the bytes of a file; None where names and operators make it larger than any can be."""
    from onnx import helper

    metadata = _metadata(model, inputs)
    try:
        proto = helper.make_model(
            graph.to_proto("stackbone", model.describe().encode("ascii", "backslashreplace").decode()),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="stackbone",
            producer_version=version("stackbone"),
        )
        helper.set_model_props(proto, metadata)
        content = proto.SerializeToString()
    except Exception as exc:  # protobuf's EncodeError is below Exception alone, and onnx does not hand it on
        if type(exc).__name__ != "EncodeError":
            raise
        return None
    return content if len(content) <= MOST_BYTES else None


def _check(content: bytes) -> None:
    """Raise `ModelError` unless onnx finds the bytes of a file valid: operators, names and the shapes of all values."""
    from onnx import checker, shape_inference

    try:
        checker.check_model(content, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError) as exc:
        reason = printable(str(exc).strip().split("\n")[0])
        message = f"the model cannot be written as ONNX ({reason}). Report it, and use `stackbone predict`"
        raise ModelError(message) from exc


def _metadata(model: StackModel, inputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    thresholds = None if model.thresholds is None else model.thresholds.tolist()
    told = {"task": model.task, "classes": model.classes, "thresholds": thresholds, "inputs": inputs}
    told["targets"] = list(model.targets) or None
    told["model"] = describe_model(replace(model, novelty=None))
    return {name: header_json(value) for name, value in told.items() if value is not None}


def _add_answers(graph: Graph, model: StackModel, features: Mapping[str, str]) -> None:
    """Add what the model makes of the features of each of its feature sets: `StackModel.combined`."""
    seen = [mean_of(graph, [features[identity] for identity in backbone.specs]) for backbone in model.backbones]
    decisions = [decide(graph, x, base) for x, base in zip(seen, model.bases, strict=True)]
    of_members = [sum_of(graph, decisions[start:end]) for start, end in model.spans]
    width, ends = model.n_outputs, np.arange(model.n_heads) * model.n_outputs
    if model.n_heads > 1:
        of_members = [columns(graph, own, start, start + width) for own in of_members for start in ends.tolist()]
    get_task(model.task).add_to_graph(graph, model.meta, of_members, width)


def _take_features(graph: Graph, model: StackModel) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Add an input for each feature set; return what to know of each, and its name by the feature set's id."""
    told: list[dict[str, Any]] = []
    features: dict[str, str] = {}
    for backbone, base in zip(model.backbones, model.bases, strict=True):
        for identity, spec in backbone.specs.items():
            asked = backbone.name if spec.view == PLAIN else f"{backbone.name.partition('~')[0]}~{spec.view}"
            name, dim = _identifier(asked, features.values()), len(base.coef)
            features[identity] = graph.add_input(name, (dim,), about=f"features {identity}")
            described = {"feature_set": identity, "spec": json.loads(spec.to_json())}
            told.append({"name": name, "shape": [ROWS, dim], "type": "float32", **described})
    return told, features


def _take_images(graph: Graph, networks: Sequence[Network]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Add networks, and an input for each kind of pixels; return what to know of these, and the features by id."""
    told: list[dict[str, Any]] = []
    features: dict[str, str] = {}
    kinds = [dict(each.pixels) for each in networks]
    is_one = all(kind == kinds[0] for kind in kinds)
    for number, (network, kind) in enumerate(zip(networks, kinds, strict=True), start=1):
        known = next((each for each in told if each["pixels"] == kind), None)
        if known is None:
            asked = "pixels" if is_one else f"pixels_{kind['height']}x{kind['width']}"
            name = _identifier(asked, [each["name"] for each in told])
            shape = (3, int(kind["height"]), int(kind["width"]))
            graph.add_input(name, shape, "uint8", about=str(kind["how"]))
            known = {"name": name, "shape": [ROWS, *shape], "type": "uint8", "backbones": [], "pixels": kind}
            told.append(known)
        known["backbones"].append(network.name)
        outputs = graph.embed(network.graph, f"_network_{number}_", known["name"])
        features |= {identity: outputs[name] for identity, name in network.features.items()}
    return told, features


def _identifier(text: str, others: Collection[str]) -> str:
    """Return a name that is an identifier in every language, and none of some others."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    if not name[:1].isalpha() or name in _TAKEN:
        name = f"features_{name}"
    found, number = name, 1
    while found in others:
        number += 1
        found = f"{name}_{number}"
    return found
