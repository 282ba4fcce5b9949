"""What a run has to compute, whoever asks for it: images, backbones, weights, engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, FeatureStore, SeenRecord, as_keys
from stackbone.cache.progress import Progress, silent
from stackbone.extract.backbones.backbone import Backbone, get_backbone
from stackbone.extract.backbones.ways_out import Ask, ask_for_all
from stackbone.extract.backbones.weights import Weights, check_steered_weights, find_weights, random_weights
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.images import Images
from stackbone.extract.engines.engine import Engine, make_engine
from stackbone.extract.images.arrays import Arrays
from stackbone.extract.images.decode import DECODING
from stackbone.extract.images.limits import USUAL, Limits
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
    _, first = np.unique(as_keys(digests[rows]), return_index=True)
    return Images(root, paths, digests, rows[np.sort(first)], arrays)


def inputs_of(backbones: Sequence[Backbone]) -> dict[str, tuple[int, int]]:
    """Return the (width, height) in pixels that backbones take, by their names."""
    return {each.name: each.transform.input_size[::-1] for each in backbones}


def backbone_of(name: str, spec: FeatureSpec, steering: Sequence[Path]) -> tuple[Backbone, SeenRecord | None]:
    """Return the backbone that made a feature set, and, if it was steered, the record of what its steering saw.

    Parameters
    ----------
    name, spec
        Of the feature set.
    steering
        Steering files, or folders of them, among which is the one that made a steered one.

    Raises
    ------
    UsageError
        If the name is unknown, or none of the steering files is the one.
    """
    if spec.steering is None:
        return get_backbone(name), None
    found = find_steered(spec.steering, name, steering)
    return with_hub(found.backbone), found.record


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
        found = {backbone.key: random_weights(random_seed) for backbone in backbones}
        for backbone in backbones:
            check_steered_weights(backbone, found[backbone.key])
        return found
    asked = {name for backbone in backbones for name in (backbone.name, backbone.plain)}
    here = {name: file for name, file in files.items() if name in asked}
    return find_weights(
        backbones, here, on_download=lambda name: report(f"downloading weights of {name}", 0, 0), also=also, ask=ask
    )


def make_embedder(
    store: FeatureStore,
    backbone: Backbone,
    spec: FeatureSpec,
    weights: Weights,
    lacking: NDArray[np.bool_],
    options: EngineOptions,
    report: Progress,
    limits: Limits = USUAL,
) -> Embedder:
    """Return what embeds the images that the backbone's feature set lacks; its engine starts with the first.

    Parameters
    ----------
    lacking
        (n,) bool: which of the run's images these are.
    limits
        Which images are let in, for the shards to say so.
    """
    feature_set = store.feature_set(backbone.name, spec)
    provenance = {"stackbone": version("stackbone"), "weights": weights.source, "decoding": DECODING}
    provenance |= limits.provenance
    start = partial(_start_engine, backbone, weights, options, spec.precision, report)
    return Embedder(backbone, spec, feature_set, lacking, start, provenance, options.batch_size)


def _start_engine(
    backbone: Backbone, weights: Weights, options: EngineOptions, precision: str, report: Progress
) -> Engine:
    """Return what `make_engine` does, and report that it takes time."""
    report(f"preparing {backbone.name}", 0, 1)
    made = make_engine(backbone, weights, options.engine, options.device, precision)
    report(f"preparing {backbone.name}", 1, 1)
    return made
