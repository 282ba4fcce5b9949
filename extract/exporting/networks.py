"""The networks that make a model's features, each as one ONNX graph: pixels in, features out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackbone.cache import FeatureSpec, UsageError
from stackbone.cache.disk.onnx_form import check_onnx
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import PLAIN, parse_feature_name
from stackbone.cache.records.views import MIRROR
from stackbone.extract.backbones.backbone import Backbone, Transform
from stackbone.extract.backbones.own_file import check_modules_are_used
from stackbone.extract.embedding.plan import backbone_of, passes_of
from stackbone.extract.embedding.predict import check_weights_are_used, checked_weights, feature_name_of

if TYPE_CHECKING:
    import onnx

_VIEWS = (PLAIN, MIRROR)  # what a graph can make of the pixels that it gets


@dataclass(frozen=True, eq=False)
class NetworkGraph:
    """One network.

    Attributes
    ----------
    name
        Of the backbone.
    graph
        From ``(n, 3, height, width)`` uint8 pixels, RGB, its one input, to ``(n, n_columns)`` float32 for each output.
    pixels
        What the pixels are: see `describe_pixels`. Networks with equal pixels share an input.
    features
        Feature set id to the name of the output that gives its features.
    """

    name: str
    graph: onnx.GraphProto
    pixels: Mapping[str, Any]
    features: Mapping[str, str]


def export_networks(
    specs: Mapping[str, FeatureSpec],
    *,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    on_progress: Progress | None = None,
) -> list[NetworkGraph]:
    """Return the networks that make feature sets, in fp32, each tried by ONNX Runtime.

    Parameters
    ----------
    specs
        Feature set id to what it stands for, as a model names them.
    steering, modules, weights, on_progress
        As of `embed_for`.

    Raises
    ------
    ModelError
        If features made here would not be the model's, or a network cannot be written as ONNX; the message names it.
    UsageError
        If features are of views that no graph makes, were given and not made, or need a file that was not named.
    StackboneError
        As of `embed_for`.
    """
    report = on_progress or silent
    check_onnx()
    check_modules_are_used(modules, specs.values())
    names = {identity: feature_name_of(identity, spec) for identity, spec in specs.items()}
    _check_views(names, specs)
    backbones = {identity: backbone_of(names[identity], spec, steering, modules)[0] for identity, spec in specs.items()}
    known = {parse_feature_name(name).backbone for name in names.values()}
    check_weights_are_used(weights or {}, {*known, *(each.plain for each in backbones.values())})
    found = checked_weights(specs, backbones, weights or {}, report)

    from stackbone.extract.exporting.tracing import trace_network

    passes = passes_of(specs, backbones)
    graphs = []
    for done, members in enumerate(passes):
        report("writing networks", done, len(passes))
        backbone = backbones[members[0]]
        own = {identity: (specs[identity].output, specs[identity].view) for identity in members}
        graph, features = trace_network(backbone, found[backbone.key], own)
        graphs.append(NetworkGraph(backbone.name, graph, describe_pixels(backbone.transform), features))
    report("writing networks", len(passes), len(passes))
    return graphs


def describe_pixels(transform: Transform) -> dict[str, Any]:
    """Return as a JSON-able object what has to be done to an image before a network gets it, in words too."""
    height, width = transform.input_size
    resized = [math.floor(side / transform.crop_fraction) for side in transform.input_size]
    is_squashed = transform.crop_mode == "squash"
    if is_squashed:
        what = f"to {resized[1]} x {resized[0]} pixels (width x height), whatever its shape"
    elif height == width:
        what = f"so that its shorter side has {resized[0]} pixels, the longer one rounded down"
    else:
        covered = f"{resized[1]} x {resized[0]} pixels (width x height)"
        what = f"in its own shape until it just covers {covered}, rounded to whole pixels"
    return {
        "height": height,
        "width": width,
        "resized_height": resized[0],
        "resized_width": resized[1],
        "keeps_shape": not is_squashed,
        "interpolation": transform.interpolation,
        "channels": "RGB",
        "values": "0 to 255, as decoded: the graph normalises them",
        "how": (
            "Turn the image upright (EXIF), put white behind what is transparent, convert it to RGB. Resize it "
            f"{what}, by {transform.interpolation} interpolation with antialiasing, as Pillow does. Take {width} x "
            f"{height} pixels from its centre. Put channels before rows: (n, 3, height, width), uint8."
        ),
    }


def _check_views(names: Mapping[str, str], specs: Mapping[str, FeatureSpec]) -> None:
    wrong = [names[identity] for identity, spec in specs.items() if spec.view not in _VIEWS]
    if wrong:
        message = (
            f"the model takes {', '.join(wrong)}: such views are cut from the whole picture, and the graph starts from "
            f"the cropped one, of which it can make {' and '.join(_VIEWS)}. Leave --with-backbones out, or fit the "
            f"model with `stackbone stack --test-views plain`"
        )
        raise UsageError(message)


def precision_note(specs: Mapping[str, FeatureSpec]) -> str | None:
    """Return in a sentence that graphs compute in another precision than the model's features have; None if not."""
    other = sorted({spec.precision for spec in specs.values()} - {"fp32"})
    if not other:
        return None
    return (
        f"the model was fitted on features computed in {' and '.join(other)}, and the file computes in fp32: its "
        "probabilities differ a little from those of `stackbone predict`"
    )
