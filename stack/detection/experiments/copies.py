"""Near copies among annotated images: other encodings, sizes and crops of one picture, known by their last maps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests
from stackbone.cache.progress import Progress
from stackbone.stack.detection.experiments.kept import DetectionCache
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.records.sources import MapBackbone
from stackbone.stack.evaluation.near_copies import MOST_COMPARED, recognised
from stackbone.stack.folds.groups import SAME_PICTURE, check_threshold, near_duplicates

_BATCH = 32
_MEANS_VERSION = 1  # to be raised with any change of `_means`


def keep_copies_together(
    annotated: AnnotatedImages,
    backbones: Sequence[MapBackbone],
    threshold: float,
    cache: DetectionCache,
    progress: Progress,
) -> AnnotatedImages:
    """Return the same images, with those of a cosine of `threshold` or more in every backbone as one group.

    Raises
    ------
    UsageError
        If `threshold` is no cosine above 0.
    """
    check_threshold(threshold)
    near = near_duplicates(_pooled(annotated, backbones, cache, progress), threshold, progress=progress)
    return replace(annotated, images=annotated.images.join(near))


def look_for_copies(experiment: DetectionExperiment, cache: DetectionCache, progress: Progress) -> str | None:
    """Return in a sentence how many tested images have a near copy in the training part; None if there is none."""
    annotated = experiment.annotated
    if len(annotated) > MOST_COMPARED:
        return (
            f"near copies are not searched for above {MOST_COMPARED:,} images; --near-duplicates {SAME_PICTURE:g} "
            "does, and is slow"
        )
    pooled = _pooled(annotated, experiment.backbones, cache, progress)
    group = near_duplicates(pooled, SAME_PICTURE, progress=progress)
    copies = [fold.test[recognised(group, fold)] for fold in experiment.folds]
    n_copies, n_tested = sum(map(len, copies)), sum(len(fold.test) for fold in experiment.folds)
    if not n_copies:
        return None
    for rows, fold in zip(copies, experiment.folds, strict=True):
        if len(rows):
            tested = annotated.images.paths[rows[0]]
            trained = annotated.images.paths[fold.train[group[fold.train] == group[rows[0]]][0]]
            break
    return (
        f"{n_copies:,} of {n_tested:,} tested images look much like one of the training part (a cosine of "
        f"{SAME_PICTURE:g} or more between their averaged maps in every backbone), such as {tested} like {trained}: "
        f"copies of a picture, or pictures of one kind. Ask for --near-duplicates {SAME_PICTURE:g} to keep them "
        "together"
    )


def _pooled(
    annotated: AnnotatedImages, backbones: Sequence[MapBackbone], cache: DetectionCache, progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """Return ``(n_images, depth)`` means of the coarsest map of each backbone; those of earlier runs are kept."""
    digests = annotated.images.digests
    blocks = {}
    for backbone in backbones:
        shape = (len(digests), backbone.maps.levels[-1].depth)
        key = _key_of_means(backbone, digests)
        block = cache.load_array(key, shape)
        if block is None:
            block = _means(backbone, digests, progress)
            cache.save_array(key, backbone.feature_set.id, block)
        blocks[backbone.name] = block
    return blocks


def _key_of_means(backbone: MapBackbone, digests: Digests) -> str:
    sha = hashlib.sha256(f"means of the coarsest map, {_MEANS_VERSION}, {backbone.feature_set.id}".encode())
    sha.update(np.ascontiguousarray(digests).tobytes())
    return sha.hexdigest()


def _means(backbone: MapBackbone, digests: Digests, progress: Progress) -> NDArray[np.float32]:
    block = np.empty((len(digests), backbone.maps.levels[-1].depth), np.float32)
    for start in range(0, len(digests), _BATCH):
        rows = slice(start, start + _BATCH)
        block[rows] = backbone.maps.read(digests[rows])[-1].astype(np.float32).mean(axis=(1, 2))
        progress(f"near copies: {backbone.name}", min(start + _BATCH, len(digests)), len(digests))
    return block
