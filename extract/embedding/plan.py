"""What a run has to compute, whoever asks for it: images, backbones, weights, engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    Digests,
    FeatureSpec,
    FeatureStore,
    SeenRecord,
    UsageError,
    feature_set_id,
)
from stackbone.cache.disk.digest_sets import first_rows, of_rows
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import PLAIN, POOLED, PYRAMID, parse_feature_name
from stackbone.cache.records.given import given_message, is_given
from stackbone.extract.backbones.backbone import LETTERBOX, Backbone, get_backbone
from stackbone.extract.backbones.outputs import checked_map_size
from stackbone.extract.backbones.own_file import find_own
from stackbone.extract.backbones.own_module import is_own
from stackbone.extract.backbones.ways_out import Ask, ask_for_all
from stackbone.extract.backbones.weights import (
    Weights,
    check_steered_weights,
    check_weights_names,
    find_weights,
    random_weights,
    weights_in_memory,
)
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.images import Images
from stackbone.extract.engines.batches import bounded_batch
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import check_precision, make_engine
from stackbone.extract.images.arrays import Arrays
from stackbone.extract.images.decode import DECODING
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.steering_files.choice import Choice, choose_backbones
from stackbone.extract.steering_files.steered import find_steered, with_hub


@dataclass(frozen=True)
class EngineOptions:
    """What runs the networks.

    Attributes
    ----------
    engine, device
        See `make_engine`.
    batch_size
        Images that a network takes at once; None leaves it to the engine.
    """

    engine: str = "auto"
    device: str = "auto"
    batch_size: int | None = None


def distinct_images(
    root: Path, paths: Sequence[str], digests: Digests, ok: NDArray[np.bool_], arrays: Arrays | None = None
) -> Images:
    """Return each distinct image of the rows that are `ok` once, in the order of `paths`, which `root` holds.

    Parameters
    ----------
    arrays
        The images of all rows, where they are in memory and no files.
    """
    rows = np.flatnonzero(ok)
    return Images(root, paths, digests, rows[first_rows(of_rows(digests, rows))], arrays)


def inputs_of(backbones: Sequence[Backbone]) -> dict[str, tuple[int, int]]:
    """Return the (width, height) in pixels that backbones take, by their names."""
    return {
        f"{each.name}@{PYRAMID}" if each.is_framed else each.name: each.transform.input_size[::-1] for each in backbones
    }


def backbone_of(
    name: str, spec: FeatureSpec, steering: Sequence[Path], modules: Sequence[Backbone] = ()
) -> tuple[Backbone, SeenRecord | None]:
    """Return the backbone that made a feature set, and, if it was steered, the record of what its steering saw.

    Parameters
    ----------
    name, spec
        Of the feature set.
    steering
        Steering files, or folders of them, among which is the one that made a steered one.
    modules
        Networks of the user's own, among which is the one that made features of such a one.

    Raises
    ------
    UsageError
        If the name is unknown, none of the steering files or of `modules` is the one, or the features were given and
        not made.
    """
    if is_given(spec):
        raise UsageError(given_message(name))
    if is_own(spec.architecture):
        return _with_input(find_own(parse_feature_name(name).backbone, spec, modules), spec), None
    if spec.steering is None:
        return _with_input(get_backbone(parse_feature_name(name).backbone), spec), None
    found = find_steered(spec.steering, name, steering)
    return with_hub(found.backbone), found.record


def _with_input(backbone: Backbone, spec: FeatureSpec) -> Backbone:
    """Return a backbone with the frame that features were made of, if they were made of one of a size that there is."""
    return backbone.framed(checked_map_size(spec.input_size[0])) if spec.crop_mode == LETTERBOX else backbone


def find_weights_of(
    backbones: Sequence[Backbone],
    files: Mapping[str, Path],
    *,
    random_seed: int | None = None,
    report: Progress = silent,
    also: Sequence[str] = (),
    ask: Ask | None = ask_for_all,
) -> dict[str, Weights]:
    """Return the weights of some of a run's backbones by their `key`; errors as `find_weights`.

    Parameters
    ----------
    files
        Of all of the run's backbones, by name.
    random_seed
        Random weights instead, for tests and timings only.
    report
        Told of downloads.
    """
    if random_seed is not None:
        found = {each.key: weights_in_memory(each) or random_weights(random_seed) for each in backbones}
        for backbone in backbones:
            check_steered_weights(backbone, found[backbone.key])
        return found
    asked = {name for backbone in backbones for name in (backbone.name, backbone.plain)}
    here = {name: file for name, file in files.items() if name in asked}
    return find_weights(
        backbones, here, on_download=lambda name: report(f"downloading weights of {name}", 0, 0), also=also, ask=ask
    )


def specs_of(choice: Choice, weights: Mapping[str, Weights], precision: str) -> list[FeatureSpec]:
    """Return what identifies each feature set that is wanted of a backbone, whose weights are there by its `key`."""
    plain = choice.backbone.spec(weights[choice.backbone.key].identity, precision)
    return [replace(plain, output=output, view=view) for output, view in choice.wanted]


def find_specs(
    backbones: str | Sequence[str] | None = None,
    *,
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    map_size: int | None = None,
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    precision: str = "fp32",
) -> dict[str, FeatureSpec]:
    """Return what identifies the features of some backbones, by feature set id, as `embed_for` takes it.

    Weights are looked for, and hashed; no network is loaded.

    Parameters
    ----------
    backbones, outputs, views, map_size, modules, weights, precision
        As of `extract`.

    Raises
    ------
    StackboneError
        As of `extract`.
    """
    check_precision(precision)
    choices = choose_backbones(backbones, [], outputs, views, modules, map_size)
    chosen = [each.backbone for each in choices]
    check_weights_names(weights or {}, chosen)
    found = find_weights_of(chosen, weights or {})
    return {
        feature_set_id(choice.backbone.name, spec): spec
        for choice in choices
        for spec in specs_of(choice, found, precision)
    }


def make_fillings(
    store: FeatureStore, backbone: Backbone, specs: Sequence[FeatureSpec], images: Images
) -> list[Filling]:
    """Return the feature sets of a backbone, each with which of `images` it lacks."""
    return [make_filling(store, backbone.name, spec, images.digests) for spec in specs]


def make_filling(store: FeatureStore, backbone: str, spec: FeatureSpec, digests: Digests) -> Filling:
    """Return a feature set with which of some images it lacks, and which of those that it has were cut short."""
    feature_set = store.feature_set(backbone, spec)
    lacking, cut = feature_set.look_up(digests)
    return Filling(spec, feature_set, lacking, cut)


def make_embedder(
    backbone: Backbone,
    fillings: Sequence[Filling],
    weights: Weights,
    options: EngineOptions,
    report: Progress,
    limits: Limits = USUAL,
    *,
    fill_batches: bool = False,
) -> Embedder:
    """Return what fills feature sets of one backbone by one pass for each view; its engine starts with the first.

    Parameters
    ----------
    fillings
        They differ in output and view alone.
    limits
        Which images are let in, for the shards to say so.
    fill_batches
        See `Embedder`.
    """
    provenance = {"stackbone": version("stackbone"), "weights": weights.source, "decoding": DECODING}
    provenance |= limits.provenance
    outputs = list(dict.fromkeys(each.spec.output for each in fillings))
    start = partial(_start_engine, backbone, weights, options, fillings[0].spec.precision, outputs, report)
    return Embedder(backbone, fillings, start, provenance, bounded_batch(options.batch_size, backbone), fill_batches)


def _start_engine(
    backbone: Backbone,
    weights: Weights,
    options: EngineOptions,
    precision: str,
    outputs: Sequence[str],
    report: Progress,
) -> Engine:
    """Return what `make_engine` does, and report that it takes time."""
    report(f"preparing {backbone.name}", 0, 1)
    made = make_engine(backbone, weights, options.engine, options.device, precision, outputs=outputs)
    report(f"preparing {backbone.name}", 1, 1)
    return made


def passes_of(specs: Mapping[str, FeatureSpec], backbones: Mapping[str, Backbone]) -> list[list[str]]:
    """Return the feature sets that one network fills each time: they differ in output and view alone."""
    passes: dict[tuple[str, FeatureSpec], list[str]] = {}
    for identity, spec in specs.items():
        passes.setdefault((backbones[identity].key, replace(spec, output=POOLED, view=PLAIN)), []).append(identity)
    return list(passes.values())
