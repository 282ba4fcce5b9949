"""Weighted box fusion: the detections of several models, averaged where they agree (Solovyev et al. 2021).

"Weighted boxes fusion: Ensembling boxes from different object detection models", Image and Vision Computing 107,
arXiv 1910.13302. All images go side by side: the k-th surest box of each is dealt with at once. What each model counts
for, and from which overlap on boxes are one, is learned on detections of images that no training of theirs saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import UsageError
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.overlap import areas, shared_areas, shares
from stackbone.stack.detection.scores.bootstrap import mean_precision
from stackbone.stack.detection.scores.matching import THRESHOLDS, match

OVERLAP = 0.55
"""Intersection over union from which boxes are taken for the same object, the paper's."""

OVERLAPS = (0.55, 0.6, 0.65, 0.7, 0.75)
"""Among which the overlap of boxes of one object is chosen."""

FACTORS = (0.0, 0.5, 2.0)
"""By which one model's weight is changed at a time."""

_GAIN = 1e-4  # of AP, below which a change is chance
_ROUNDS = 3
_BLOCK = 64  # images side by side: what they need stays in the processor's cache

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fusion:
    """How detections of several models are fused.

    Attributes
    ----------
    weights : NDArray[np.float64]
        ``(n_models,)`` of sum 1.
    overlap : float
        From which boxes are taken for the same object.
    ap : float
        COCO's AP of the fused detections that it was learned on, for the record: it is no honest score.
    """

    weights: NDArray[np.float64]
    overlap: float
    ap: float

    def fuse(self, models: Sequence[Sequence[Detections]]) -> list[Detections]:
        """Return the fused detections of each image, of those of each model."""
        return fuse(models, self.weights, self.overlap)


def fuse(
    models: Sequence[Sequence[Detections]], weights: Sequence[float] | Doubles, overlap: float = OVERLAP
) -> list[Detections]:
    """Return one list of detections for each image, at most `detections.MOST`.

    The boxes of all models go from the surest on, by score times weight, into clusters: each into that of its class
    whose fused box it overlaps most, if by more than `overlap`, else into a new one. A fused box is the mean of its
    members weighted by their scores; its score is their mean, less where few of the models see the object: times
    ``min(members, models) / models``, where weights count as the models do.

    Parameters
    ----------
    models : sequence of sequence of Detections
        Of each model, of the same images.
    weights : sequence of float or NDArray[np.float64]
        What each model's scores count for, 0 or more; of 0 it takes no part.
    overlap : float
        See `OVERLAP`.

    Raises
    ------
    UsageError
        If there is not one weight for each model, one is negative, or none is above 0.
    """
    counts = np.asarray(weights, float)
    if counts.shape != (len(models),) or not (counts >= 0).all() or not counts.sum() > 0:
        message = (
            f"the weights of {len(models)} models are {counts.tolist()}; give one for each, none negative and at least "
            "one above 0"
        )
        raise UsageError(message)
    chosen = [(each, weight) for each, weight in zip(models, counts, strict=True) if weight > 0]
    fused: list[Detections] = []
    for start in range(0, len(models[0]), _BLOCK):
        fused += _fuse_block([(each[start : start + _BLOCK], weight) for each, weight in chosen], overlap)
    return fused


def learn_fusion(
    models: Sequence[Sequence[Detections]],
    truths: Sequence[ImageBoxes],
    classes: Sequence[str],
    *,
    overlaps: Sequence[float] = OVERLAPS,
    thresholds: NDArray[np.float64] = THRESHOLDS,
    on_progress: Progress = silent,
) -> Fusion:
    """Choose overlap and weights by AP: equal weights first, then one weight changed at a time while that gains.

    Parameters
    ----------
    models : sequence of sequence of Detections
        Of each model, of the same images, out of fold.
    truths : sequence of ImageBoxes
        What is in them.
    classes : sequence of str
        What is to be found.
    overlaps : sequence of float
        Among which that of boxes of one object is chosen.
    thresholds : NDArray[np.float64]
        Overlaps at which AP is taken.
    on_progress : Progress
        Called with the trials that are done.
    """
    n = len(models)
    most = len(overlaps) + _ROUNDS * (n * len(FACTORS) + len(overlaps) - 1)
    known: dict[tuple[tuple[float, ...], float], float] = {}

    def score(weights: NDArray[np.float64], overlap: float) -> float:
        key = (tuple(np.round(weights, 12)), overlap)
        if key not in known:
            matches = match(truths, fuse(models, weights, overlap), classes, thresholds)
            known[key] = float(np.nan_to_num(mean_precision(matches)))
            on_progress("weighing the models", min(len(known), most), most)
        return known[key]

    weights, overlap = np.full(n, 1 / n), OVERLAP if OVERLAP in overlaps else overlaps[0]
    best = score(weights, overlap)
    for each in overlaps:
        if score(weights, each) > best + _GAIN:
            best, overlap = score(weights, each), each
    for _ in range(_ROUNDS if n > 1 else 0):
        before = best
        for model, factor in product(range(n), FACTORS):
            trial = weights.copy()
            trial[model] *= factor
            if not trial.sum() > 0:
                continue
            trial /= trial.sum()
            if score(trial, overlap) > best + _GAIN:
                best, weights = score(trial, overlap), trial
        for each in overlaps:
            if score(weights, each) > best + _GAIN:
                best, overlap = score(weights, each), each
        if best == before:
            break
    on_progress("weighing the models", most, most)
    return Fusion(weights, overlap, best)


def _fuse_block(models: Sequence[tuple[Sequence[Detections], float]], overlap: float) -> list[Detections]:
    n_images = len(models[0][0])
    boxes, scores, classes = _padded(models)
    fused = _Clusters(n_images, scores.shape[1])
    for place in range(scores.shape[1]):
        rows = np.flatnonzero(scores[:, place] > 0)
        fused.take(rows, boxes[rows, place], scores[rows, place], classes[rows, place], overlap)
    return fused.detections(len(models), sum(weight for _, weight in models))


def _padded(
    models: Sequence[tuple[Sequence[Detections], float]],
) -> tuple[Doubles, Doubles, NDArray[np.int64]]:
    """Return ``(n_images, n, 4)`` corners, ``(n_images, n)`` weighted scores and classes, the surest first, then 0."""
    n_images = len(models[0][0])
    together = [
        Detections.sort(
            np.concatenate([each[image].corners for each, _ in models]),
            np.concatenate([each[image].scores * np.float32(weight) for each, weight in models]),
            np.concatenate([each[image].classes for each, _ in models]),
        )
        for image in range(n_images)
    ]
    most = max((len(each) for each in together), default=0)
    boxes, scores = np.zeros((n_images, most, 4)), np.zeros((n_images, most))
    classes = np.zeros((n_images, most), np.int64)
    for image, each in enumerate(together):
        boxes[image, : len(each)] = each.corners
        scores[image, : len(each)] = each.scores
        classes[image, : len(each)] = each.classes
    return boxes, scores, classes


class _Clusters:
    """Clusters of boxes of several images: up to `most` of each."""

    def __init__(self, n_images: int, most: int) -> None:
        self._corners = np.zeros((4, n_images, most))  # fused
        self._area = np.zeros((n_images, most))
        self._sums = np.zeros((4, n_images, most))  # of members' corners times their scores
        self._score = np.zeros((n_images, most))  # sum over members
        self._members = np.zeros((n_images, most), np.int64)
        self._classes = np.full((n_images, most), -1)
        self._n = np.zeros(n_images, np.int64)

    def take(
        self, rows: NDArray[np.int64], boxes: Doubles, scores: Doubles, classes: NDArray[np.int64], overlap: float
    ) -> None:
        """Put one box of each of some images into a cluster."""
        most = int(self._n[rows].max(initial=0))
        place = self._n[rows].copy()
        if most:
            shared = shared_areas(self._corners[:, rows, :most], boxes.T[:, :, None])
            share = shares(shared, areas(boxes)[:, None] + self._area[rows, :most] - shared)
            share[self._classes[rows, :most] != classes[:, None]] = 0
            best = share.argmax(axis=1)
            joins = share[np.arange(len(rows)), best] > overlap
            place[joins] = best[joins]
        self._n[rows] += place == self._n[rows]
        self._sums[:, rows, place] += boxes.T * scores
        self._score[rows, place] += scores
        self._members[rows, place] += 1
        self._classes[rows, place] = classes
        corners = self._sums[:, rows, place] / self._score[rows, place]
        self._corners[:, rows, place] = corners
        self._area[rows, place] = areas(corners.T)

    def detections(self, n_models: int, weight: float) -> list[Detections]:
        """Return the fused boxes of each image."""
        members = np.maximum(self._members, 1)
        scores = self._score / members * np.minimum(members, n_models) / weight
        return [
            Detections.sort(
                self._corners[:, image, :n].T, np.minimum(scores[image, :n], 1), self._classes[image, :n]
            ).best()
            for image, n in enumerate(self._n)
        ]
