"""Embed new images for a finished model, with exactly the feature sets that it names or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    FeatureSpec,
    FeatureStore,
    ModelError,
    UsageError,
    empty_index,
    write_seen,
)
from stackbone.cache.disk.reading import place_in
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import PYRAMID, parse_feature_name
from stackbone.cache.records.spec import parse_feature_set_id
from stackbone.cache.records.views import known_view
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import typed
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.backbones.own_file import check_modules_are_used
from stackbone.extract.backbones.weights import Weights
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.folders.extensions import missing_decoder
from stackbone.extract.datasets.folders.first_bytes import is_image_file
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.filling import check_outputs
from stackbone.extract.embedding.images import EmbeddedFiles, EmbeddedImages
from stackbone.extract.embedding.pipeline import embed_images
from stackbone.extract.embedding.plan import (
    EngineOptions,
    backbone_of,
    distinct_images,
    find_weights_of,
    make_embedder,
    make_filling,
    passes_of,
)
from stackbone.extract.engines.engine import check_engine
from stackbone.extract.images.limits import limits_of
from stackbone.extract.images.opening import TRUNCATED


def embed_for(
    specs: Mapping[str, FeatureSpec],
    dataset: Dataset,
    store: FeatureStore | None = None,
    *,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    engine: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    allow_truncated: bool = False,
    max_pixels: int | None = None,
    convert: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] | None = None,
    only: NDArray[np.bool_] | None = None,
    load: bool = True,
    whose: str = "model",
    on_progress: Progress | None = None,
) -> EmbeddedImages:
    """Return the features of a dataset's images in the feature sets that a model names, computing what is missing.

    New features stay in the cache, where `EmbeddedImages.maps` reads maps; no dataset index is written. Where every
    image is cached, neither weights nor torch are needed.

    Parameters
    ----------
    specs
        Feature set id to what it stands for.
    dataset
        The images, from `open_dataset`; labels are ignored.
    store
        The cache; by default `default_cache`.
    steering
        Files, or folders of them, of the model's steered backbones; needed where an image is not cached.
    modules
        The model's networks that are your own, from `Backbone.from_module`; needed where an image is not cached.
    weights, engine, device, batch_size, workers, allow_truncated, max_pixels, on_progress
        As of `extract`. The precision is the model's.
    convert
        What to keep of features by feature set id, as of `FeatureSet.load`: all features of a million images are
        gigabytes.
    only
        ``(n,)`` which images are to be embedded; of the others no more than the digests are asked for. By default all.
    load
        False leaves the features in the cache, for who reads them there.
    whose
        What names the feature sets, for messages.

    Returns
    -------
    EmbeddedImages

    Raises
    ------
    ModelError
        If features made here would not be the model's: other weights, another transform, another precision.
    UsageError
        If `weights` names a backbone that the model does not use, or features of a steered one are to be made and
        `steering` lacks its file.
    StackboneError
        As of `extract`.
    """
    report = on_progress or silent
    store = store or FeatureStore()
    check_engine(engine)
    check_modules_are_used(modules, specs.values())
    limits = limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels)
    names = {identity: feature_name_of(identity, spec) for identity, spec in specs.items()}
    listing = list_dataset(dataset, empty_index("", ""), partial(report, "reading"))
    reasons = list(listing.reasons)
    asked = np.ones(len(reasons), np.bool_) if only is None else only
    images = distinct_images(dataset.root, dataset.paths, listing.digests, asked & _sound(reasons), dataset.arrays)

    fillings = {
        identity: make_filling(store, names[identity], spec, images.digests) for identity, spec in specs.items()
    }
    lacking = {identity: specs[identity] for identity, each in fillings.items() if each.lacking.any()}
    made = {identity: backbone_of(names[identity], spec, steering, modules) for identity, spec in lacking.items()}
    backbones = {identity: backbone for identity, (backbone, _) in made.items()}
    if all(identity in made or spec.steering is None for identity, spec in specs.items()):
        # A steered backbone that is cached does not say here which plain one it was made of.
        plain = {parse_feature_name(name).backbone for name in names.values()}
        check_weights_are_used(weights or {}, {*plain, *(each.plain for each in backbones.values())}, whose)
    found = checked_weights(lacking, backbones, weights or {}, report, whose)
    for identity, spec in lacking.items():
        backbone, record = made[identity]
        if record:
            write_seen(store.feature_set(backbone.name, spec).folder, record)
    wanted = [
        (backbones[members[0]], [fillings[each] for each in members]) for members in passes_of(lacking, backbones)
    ]
    check_outputs(store.root, wanted)
    on = EngineOptions(engine, device, batch_size)
    embedders = [make_embedder(each, own, found[each.key], on, report, limits) for each, own in wanted]
    cut = np.logical_or.reduce([each.cut for each in fillings.values()])
    remarks = {digest.tobytes(): [TRUNCATED] for digest in images.digests[cut]}
    on_image = partial(report, "embedding")
    failed = embed_images(images, embedders, limits=limits, workers=workers, remarks=remarks, on_progress=on_image)
    for row, digest in enumerate(listing.digests):
        if digest.tobytes() in failed:
            reasons[row] = failed[digest.tobytes()].reason

    sound = listing.digests[asked & _sound(reasons)]
    features = {
        identity: store.feature_set(names[identity], spec).load(sound, (convert or {}).get(identity))
        for identity, spec in specs.items()
        if load and spec.output != PYRAMID
    }
    maps = {
        identity: store.feature_set(names[identity], spec).maps()
        for identity, spec in specs.items()
        if spec.output == PYRAMID and len(sound)
    }
    paths = dataset.paths if dataset.arrays else [_shown(place_in(dataset.root, path)) for path in dataset.paths]
    told = [
        [] if reason else remarks.get(digest.tobytes(), [])
        for digest, reason in zip(listing.digests, reasons, strict=True)
    ]
    return EmbeddedImages(
        paths,
        listing.digests,
        reasons,
        features,
        sum(each.n_embedded for _, own in wanted for each in own),
        [(path, remark) for path, each in zip(paths, told, strict=True) for remark in each],
        asked,
        maps,
    )


def embed_files(
    files: Sequence[str],
    specs: Mapping[str, FeatureSpec],
    store: FeatureStore | None = None,
    **options: Any,  # noqa: ANN401 - those of embed_for
) -> EmbeddedFiles:
    """Return the features of image files in some feature sets, in the order given, computing what the cache lacks.

    Parameters
    ----------
    files, specs, store, **options
        Paths of the files; the others as of `embed_for`.

    Raises
    ------
    StackboneError
        As of `embed_for`.
    """
    reasons = ["" if is_image_file(Path(each)) else _not_an_image(Path(each)) for each in files]
    images = list(dict.fromkeys(os.path.abspath(each) for each, why in zip(files, reasons, strict=True) if not why))
    if not images:
        return EmbeddedFiles(reasons, {})
    dataset = open_dataset(images, label_column=None)
    made = embed_for(specs, dataset, store, whose="cache", **options)
    listed = [os.path.abspath(os.path.join(dataset.root, path)) for path in dataset.paths]
    why = dict(zip(listed, made.reasons, strict=True))
    reasons = [reason or why[os.path.abspath(each)] for each, reason in zip(files, reasons, strict=True)]
    row_of = {path: row for row, path in enumerate(made.sound(listed))}
    rows = [row_of[os.path.abspath(each)] for each, reason in zip(files, reasons, strict=True) if not reason]
    return EmbeddedFiles(reasons, {identity: x[rows] for identity, x in made.features.items()})


def _not_an_image(file: Path) -> str:
    return missing_decoder(file.suffix.lower()) or "it is no image, by its extension and its first bytes"


def feature_name_of(identity: str, spec: FeatureSpec) -> str:
    """Return the name in a feature set's id; `ModelError` unless the id is that of its spec."""
    parsed = parse_feature_set_id(identity)
    if parsed is None or parsed[1] != spec.fingerprint:
        message = (
            f"the model names the feature set {identity!r}, and its spec has the fingerprint {spec.fingerprint}: "
            "they do not belong together. Fit the model again, with `stackbone stack --save FILE`"
        )
        raise ModelError(message)
    return parsed[0]


def check_weights_are_used(files: Mapping[str, Path], names: Collection[str], whose: str = "model") -> None:
    """Raise `UsageError` if files of weights are named of other backbones than a model's."""
    unused = sorted(set(files) - set(names))
    if unused:
        message = f"--weights names {', '.join(unused)}, and the {whose}'s backbones are {', '.join(sorted(names))}"
        raise UsageError(message)


def checked_weights(
    specs: Mapping[str, FeatureSpec],
    backbones: Mapping[str, Backbone],
    files: Mapping[str, Path],
    report: Progress,
    whose: str = "model",
) -> dict[str, Weights]:
    """Return the weights of every backbone, by name, once they and its transform are proven to be the model's."""
    wanted = list({backbone.key: backbone for backbone in backbones.values()}.values())
    found = find_weights_of(wanted, files, report=report, ask=None)
    problems = [
        problem
        for identity, spec in specs.items()
        if (problem := _difference(backbones[identity], spec, found[backbones[identity].key], whose))
    ]
    if problems:
        message = (
            f"the features that this machine makes are not those of the {whose}:\n"
            + "\n".join(problems)
            + "\nNothing was computed"
        )
        raise ModelError(message)
    return found


def _difference(backbone: Backbone, wanted: FeatureSpec, weights: Weights, whose: str) -> str:
    """Return which fields of the spec differ here and what to do about it, or ``""``."""
    made, here = (
        asdict(wanted),
        asdict(replace(backbone.spec(weights.identity, wanted.precision, wanted.output), view=known_view(wanted.view))),
    )
    differing = [name for name in made if made[name] != here[name]]
    if not differing:
        return ""
    lines = [f"  {backbone.name}: {name}: the {whose} has {made[name]}, here it is {here[name]}" for name in differing]
    if "weights" in differing:
        lines.append(
            f"    these weights come from {weights.source}; name the file that made the {whose}'s: "
            f"--weights {typed(backbone.name)}=FILE"
        )
    if set(differing) - {"weights"}:
        lines.append(
            f"    {backbone.name} is defined differently here: install the Stackbone and timm that made the {whose}'s "
            "features, or make these again with what is here"
        )
    return "\n".join(lines)


def _sound(reasons: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([not reason for reason in reasons], np.bool_)


def _shown(place: str) -> str:
    path, here = Path(place), Path.cwd()
    return place if is_url(place) or not path.is_relative_to(here) else str(path.relative_to(here))
