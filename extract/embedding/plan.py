"""What a run has to compute, whoever asks for it: images, backbones, weights, engines."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    CacheError,
    Digests,
    FeatureSpec,
    FeatureStore,
    SeenRecord,
    UsageError,
    as_keys,
    feature_set_id,
)
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import LARGE, POOLED, PYRAMID, parse_feature_name
from stackbone.cache.records.given import given_message, is_given
from stackbone.cache.text import counted
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
from stackbone.extract.engines.engine import Engine, bounded_batch, check_precision, make_engine
from stackbone.extract.images.arrays import Arrays
from stackbone.extract.images.decode import DECODING
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.steering_files.choice import Choice, choose_backbones
from stackbone.extract.steering_files.steered import find_steered, with_hub

_MOST_NAMED = 3


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
    _, first = np.unique(as_keys(digests[rows]), return_index=True)
    return Images(root, paths, digests, rows[np.sort(first)], arrays)


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


def check_outputs(root: Path, wanted: Sequence[tuple[Backbone, Sequence[Filling]]]) -> str:
    """Refuse, before an image is decoded, outputs that a network lacks, and rows that would not fit on the disk.

    Pooled features alone are let through unasked: every backbone has them, and they are small.

    Parameters
    ----------
    root
        The cache.
    wanted
        Backbones, and what is to be filled of each.

    Returns
    -------
    str
        How much room the rows take, in words, where there are maps among them; else "".

    Raises
    ------
    UsageError
        If a network lacks an output; the message names those it has.
    CacheError
        If the disk has not as many bytes free as the rows take.
    """
    asked = [
        (backbone, fillings) for backbone, fillings in wanted if any(each.spec.output != POOLED for each in fillings)
    ]
    sizes = [(each, size) for backbone, fillings in asked for each, size in _row_bytes(backbone, fillings)]
    needed = sum(size * int(each.lacking.sum()) for each, size in sizes)
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed <= free:
        return _room_of_maps(sizes, needed, free)
    largest = sorted(sizes, key=lambda pair: -pair[1] * int(pair[0].lacking.sum()))[:_MOST_NAMED]
    named = "; ".join(
        f"{each.feature_set.backbone}: {size:,} bytes an image x {counted(int(each.lacking.sum()), 'image')}"
        for each, size in largest
    )
    message = (
        f"these features take {needed / 1e9:,.2f} GB ({named}), and the disk of the cache {root} has "
        f"{free / 1e9:,.2f} GB free. Leave {largest[0][0].feature_set.backbone} out, free space, or name a cache on "
        "another disk with --cache. Nothing was embedded"
    )
    raise CacheError(message)


def _room_of_maps(sizes: Sequence[tuple[Filling, int]], needed: int, free: int) -> str:
    """Return what maps take, each output once, since its views are as large."""
    of_maps = {each.feature_set.backbone.partition("~")[0]: size for each, size in sizes if each.spec.output in LARGE}
    if not of_maps:
        return ""
    named = "; ".join(f"{name}: {size:,} bytes an image" for name, size in of_maps.items())
    rows = counted(sum(int(each.lacking.sum()) for each, _ in sizes), "row")
    return f"{named}; {rows} of all outputs and views take {needed / 1e9:,.2f} GB of {free / 1e9:,.2f} GB free"


def _row_bytes(backbone: Backbone, fillings: Sequence[Filling]) -> list[tuple[Filling, int]]:
    """Return the bytes of a row of each feature set: as its shards have it, else as the network's shapes tell."""
    known = {each.spec.output: each.feature_set.header().row_bytes for each in fillings if each.feature_set.shards()}
    unknown = [each.spec.output for each in fillings if each.spec.output not in known]
    if unknown:
        from stackbone.extract.networks.forms import forms_of

        known |= {form.output: form.row_bytes for form in forms_of(backbone, unknown)}
    return [(each, known[each.spec.output]) for each in fillings]


def make_embedder(
    backbone: Backbone,
    fillings: Sequence[Filling],
    weights: Weights,
    options: EngineOptions,
    report: Progress,
    limits: Limits = USUAL,
) -> Embedder:
    """Return what fills feature sets of one backbone by one pass for each view; its engine starts with the first.

    Parameters
    ----------
    fillings
        They differ in output and view alone.
    limits
        Which images are let in, for the shards to say so.
    """
    provenance = {"stackbone": version("stackbone"), "weights": weights.source, "decoding": DECODING}
    provenance |= limits.provenance
    outputs = list(dict.fromkeys(each.spec.output for each in fillings))
    start = partial(_start_engine, backbone, weights, options, fillings[0].spec.precision, outputs, report)
    return Embedder(backbone, fillings, start, provenance, bounded_batch(options.batch_size, backbone))


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
