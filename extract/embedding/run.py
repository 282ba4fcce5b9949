"""Fill a cache with the features of a dataset by some backbones, computing only what is missing: the main job."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from stackbone.cache import CacheError, DatasetIndex, FeatureStore, write_seen
from stackbone.cache.cluster.joining import check_reachable
from stackbone.cache.findings.applied import with_findings
from stackbone.cache.findings.found import Finding, write_findings
from stackbone.cache.progress import Progress, silent
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.cluster.driver import embed_on_cluster
from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.filling import check_outputs
from stackbone.extract.embedding.indexing import make_index
from stackbone.extract.embedding.pipeline import Profile, embed_images
from stackbone.extract.embedding.plan import (
    EngineOptions,
    distinct_images,
    inputs_of,
)
from stackbone.extract.embedding.report import ExtractReport, report_backbone
from stackbone.extract.embedding.spread.findings import as_findings, with_mended
from stackbone.extract.embedding.spread.image_part import ImagePart, parse_part
from stackbone.extract.embedding.spread.job import find_job
from stackbone.extract.images.limits import USUAL, limits_of


def extract(
    dataset: Dataset,
    backbones: str | Sequence[str] | None = None,
    store: FeatureStore | None = None,
    *,
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    map_size: int | None = None,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    random_seed: int | None = None,
    precision: str = "fp32",
    engine: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    allow_truncated: bool = False,
    max_pixels: int | None = None,
    part: ImagePart | str | None = None,
    cluster: ClusterOptions | None = None,
    on_listed: Callable[[DatasetSummary], None] | None = None,
    on_room: Callable[[str], None] | None = None,
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Embed a dataset's images with some backbones, as far as the cache lacks them.

    Parameters
    ----------
    dataset
        From `open_dataset`.
    backbones
        Names and groups, comma-separated or as a list; by default `modules`, or without any ``published``, and what
        `steering` makes. A name may tell the output, such as ``resnet50@stages``.
    store
        The cache; by default `default_cache`.
    outputs
        Of every backbone that is named without one, comma-separated or as a list, see `extract.backbones.outputs`; by
        default ``pooled``. Each is a feature set of its own, and one pass gives all.
    views
        Of the images, for every backbone that is named without one, comma-separated or as a list, see
        `cache.records.views`; by default ``plain``. Each is a feature set of its own, and takes a pass of its own.
    map_size
        Side in pixels of the square frame that an image is put into for the output ``pyramid``, and for no other: a
        multiple of 32 from 64 to 2,048; by default 416.
    steering
        Steering files, or folders of them. Several that make backbones of one name give a feature set each.
    modules
        Networks of your own, from `Backbone.from_module`.
    weights
        Files by backbone name; else packages, else the hub.
    random_seed
        Random weights instead of pretrained ones, for tests and timings only.
    precision
        ``fp32``, ``bf16`` or ``fp16``; each gives feature sets of its own.
    engine, device
        See `make_engine`.
    batch_size
        Images that a network takes at once; by default what suits the engine's hardware.
    workers
        Decoding threads; by default one per core.
    retry_failed
        Try images again that failed in an earlier run; so do the next two.
    allow_truncated
        Embed images whose files are cut short, with what is missing grey or black.
    max_pixels
        Pixels that an image may declare, by default 178,956,970, where Pillow stops: a small file can declare many.
    part
        Of the images, such as ``3/16`` for the third of sixteen parts: other processes or machines embed the others
        into the same cache, at the same time or later.
    cluster
        The Ray cluster whose machines embed; they see images and cache in the same places. By default this
        process does.
    on_listed
        Called with what was understood of the dataset, before any image is decoded.
    on_room
        Called with the room that maps will take, in words, before any image is decoded; not where none are made.
    on_progress
        Called with (what is going on, done, in all).

    Returns
    -------
    ExtractReport

    Raises
    ------
    StackboneError
        Of the kinds in `cache.errors`. An image that cannot be read raises nothing: see `ExtractReport.failures`.
    """
    started = time.monotonic()
    report = on_progress or silent
    store = store or FeatureStore()
    if cluster:
        check_reachable(cluster.address)
    part = parse_part(part) if isinstance(part, str) else part
    job = find_job(
        backbones,
        outputs=outputs,
        views=views,
        map_size=map_size,
        steering=steering,
        modules=modules,
        weights=weights,
        random_seed=random_seed,
        precision=precision,
        on=EngineOptions(engine, device, batch_size),
        limits=limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels),
        report=report,
    )
    chosen, limits = job.backbones, job.limits
    n_abandoned = store.remove_abandoned()
    made_index = make_index(dataset, store, retry_failed=retry_failed or limits != USUAL, report=report, part=part)
    index = made_index.index
    inputs = inputs_of(chosen)
    made_index.write(store)  # before corrections are read: a damaged file of them must not cost what was hashed
    summary = summarise_dataset(store.corrected(index), inputs, made_index.boxes)
    if on_listed:
        on_listed(summary)

    is_mine = part.holds(index.image_sha256) if part else np.ones(len(index), np.bool_)
    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok & is_mine, dataset.arrays)
    fillings = job.fillings(store, images)
    to_fill = {key: [each for each in own if each.lacking.any()] for key, own in fillings.items()}
    waiting = [each for each in chosen if to_fill[each.key]]
    job = job.ready(waiting, report)
    room = check_outputs(store.root, [(each, to_fill[each.key]) for each in waiting])
    if room and on_room:
        on_room(room)
    for recorded in job.steered:
        for filling in fillings[recorded.backbone.key]:
            write_seen(filling.feature_set.folder, recorded.record)
    embedders = job.embedders(to_fill, report)
    profile = Profile()
    on_image = partial(report, "embedding")
    running = list(embedders.values())
    lacking = [each.lacking for each in running] or [np.zeros(len(images), np.bool_)]
    is_found = ~np.logical_or.reduce(lacking)
    is_cut = np.logical_or.reduce([each.cut for own in fillings.values() for each in own])
    remarks = made_index.known_remarks(store, images.digests[is_found], is_cut[is_found])
    on_cluster = partial(embed_on_cluster, images, embedders, job, store.root, cluster) if cluster else None
    embed = on_cluster or partial(embed_images, images, running, limits=limits)
    try:
        failed = embed(workers=workers, profile=profile, remarks=remarks, on_progress=on_image)
    except BaseException:
        # What was committed is not read again, so that the next run would not know how it was read.
        with suppress(CacheError):
            _write_found(store, index, as_findings({}, remarks), part)
        raise
    found_out = as_findings(failed, remarks)
    if part:
        found_out = with_mended(found_out, images.digests, made_index.old, made_index.earlier)
    if found_out:
        index = _write_found(store, index, found_out, part)
        summary = summarise_dataset(store.corrected(index), inputs, made_index.boxes)
    reports = [
        report_backbone(own, embedders.get(each.key), len(images)) for each in chosen for own in fillings[each.key]
    ]
    seconds = time.monotonic() - started
    return ExtractReport(
        index=store.corrected(index),
        cache=str(store.root),
        n_hashed=made_index.n_hashed,
        summary=summary,
        n_decoded=int((~is_found).sum()),
        n_failed_now=len(failed),
        n_decoded_for_all=int(np.logical_and.reduce(lacking).sum()),
        n_abandoned=n_abandoned,
        backbones=reports,
        profile=profile,
        seconds=seconds,
        part="" if part is None else str(part),
        is_mine=is_mine,
    )


def _write_found(
    store: FeatureStore, index: DatasetIndex, found: Mapping[bytes, Finding], part: ImagePart | None
) -> DatasetIndex:
    """Commit what a run found out about images, of a part of them beside the index; return the index with it."""
    told = with_findings(index, found)
    if part is None:
        store.write_dataset(told)
    elif found:
        write_findings(store.root, index.name, found)
    return told
