"""Which detection finds which object, image by image, and average precision of such matches for any draw of images.

Matching and average precision are COCO's, with at most 100 detections of a class in an image (Lin et al. 2014, arXiv
1405.0312, and the COCO API); difficult objects count as it has objects of another size range. Since images are matched
once, one at a time, a bootstrap over images costs only sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import MOST, Detections
from stackbone.stack.detection.overlap import overlaps

THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.05), 2)
"""Intersections over union at which COCO's AP is taken."""

RECALLS = np.round(np.linspace(0, 1, 101), 2)
"""Recalls at which COCO's precision is taken."""

NONE = -1
_BLOCK = 4 << 20  # values of a draw of images held at once
_CERTAIN = 1 - 1e-10

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matches:
    """What detections of several images found, for each of T thresholds of overlap.

    Attributes
    ----------
    thresholds : NDArray[np.float64]
        ``(T,)``.
    images, classes : NDArray[np.int64]
        ``(n,)`` number of the image and of the class of each detection, image after image, the surest first.
    scores : NDArray[np.float64]
        ``(n,)``.
    objects : NDArray[np.int64]
        ``(T, n)`` number of the object that it found, among the image's; `NONE` if it found none.
    ignored : NDArray[np.bool_]
        ``(T, n)`` whether it found what is neither to be found nor wrong to be found.
    n_objects : NDArray[np.int64]
        ``(n_images, n_classes)`` objects that are to be found.
    """

    thresholds: Doubles
    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: Doubles
    objects: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    n_objects: NDArray[np.int64]

    @property
    def hits(self) -> NDArray[np.bool_]:
        """``(T, n)`` whether it found an object that is to be found."""
        return np.asarray((self.objects != NONE) & ~self.ignored)


def match(
    truths: Sequence[ImageBoxes],
    found: Sequence[Detections],
    classes: Sequence[str],
    thresholds: Doubles = THRESHOLDS,
) -> Matches:
    """Match the detections of each image with its objects of the same class, the surest detection first.

    Boxes of a class that is not among `classes` are not looked at.
    """
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], Doubles, NDArray[np.int64], NDArray[np.bool_]]] = []
    n_objects = np.zeros((len(truths), len(classes)), np.int64)
    for number, (true, own) in enumerate(zip(truths, found, strict=True)):
        codes = class_codes(true, classes)
        unwanted = true.difficult | true.crowd
        for code in np.union1d(codes[codes >= 0], own.classes):
            members, rows = np.flatnonzero(codes == code), np.flatnonzero(own.classes == code)[:MOST]
            n_objects[number, code] = (~unwanted[members]).sum()
            shared = overlaps(own.corners[rows], true.corners[members], true.crowd[members])
            objects = _match_class(shared, unwanted[members], true.crowd[members], thresholds)
            ignored = np.zeros(objects.shape, np.bool_)
            if len(members):
                ignored = (objects != NONE) & unwanted[members][objects]
                objects = np.where(objects == NONE, NONE, members[objects])
            n = len(rows)
            parts.append((np.full(n, number), np.full(n, code), own.scores[rows].astype(float), objects, ignored))
    if not parts:
        nothing = np.zeros((len(thresholds), 0))
        parts = [(np.zeros(0, np.int64),) * 2 + (np.zeros(0), nothing.astype(np.int64), nothing.astype(np.bool_))]
    images, kinds, scores, all_objects, all_ignored = (
        np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    return Matches(np.asarray(thresholds, float), images, kinds, scores, all_objects, all_ignored, n_objects)


def class_codes(boxes: ImageBoxes, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return ``(n,)`` numbers of the classes of an image's boxes; -1 for one that is not among `classes`."""
    number = {name: code for code, name in enumerate(classes)}
    return np.array([number.get(name, NONE) for name in boxes.classes], np.int64)


def _match_class(
    shared: Doubles, unwanted: NDArray[np.bool_], crowd: NDArray[np.bool_], thresholds: Doubles
) -> NDArray[np.int64]:
    """Return ``(T, n)`` the object that each detection found, of ``(n, m)`` overlaps; `NONE` for none.

    A detection takes the object that it overlaps most among those that are not yet taken, one that is to be found
    before any other; of equal ones the last, as the COCO API does. A crowd is never taken up.
    """
    limits = np.minimum(thresholds, _CERTAIN)
    objects = np.full((len(limits), len(shared)), NONE)
    free = np.ones((len(limits), shared.shape[1]), np.bool_)
    lowest = limits.min()
    for row in np.flatnonzero((shared >= lowest).any(axis=1)):
        fits = free & (shared[row] >= limits[:, None])
        wanted = fits & ~unwanted
        fits = np.where(wanted.any(axis=1)[:, None], wanted, fits)
        some = np.flatnonzero(fits.any(axis=1))
        values = np.where(fits[some], shared[row], -1.0)
        taken = shared.shape[1] - 1 - values[:, ::-1].argmax(axis=1)
        objects[some, row] = taken
        free[some, taken] = crowd[taken]
    return objects


def average_precision(matches: Matches, draws: NDArray[np.integer] | None = None) -> Doubles:
    """Return COCO's average precision at each threshold, for each class.

    Parameters
    ----------
    matches : Matches
        Of the images.
    draws : NDArray[np.integer], optional
        ``(D, n_images)`` how often each image counts; by default once.

    Returns
    -------
    NDArray[np.float64]
        ``(D, T, n_classes)``, without `draws` ``(T, n_classes)``; NaN for a class without any object.
    """
    counts = np.ones((1, len(matches.n_objects)), np.int64) if draws is None else np.asarray(draws)
    n_classes = matches.n_objects.shape[1]
    found = np.full((len(counts), len(matches.thresholds), n_classes), np.nan)
    totals = _totals(counts, matches.n_objects)
    for code in range(n_classes):
        for level in range(len(matches.thresholds)):
            hits, images = _surest_first(matches, code, level)
            step = max(1, _BLOCK // max(1, len(hits)))
            for start in range(0, len(counts), step):
                part = slice(start, start + step)
                found[part, level, code] = _curves(counts[part][:, images], hits, totals[part, code]).mean(axis=1)
    return found[0] if draws is None else found


def _totals(counts: NDArray[np.integer], n_objects: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the ``(D, n_classes)`` objects of draws, some draws at a time: a product makes the counts wider first."""
    found = np.empty((len(counts), n_objects.shape[1]), np.int64)
    step = max(1, _BLOCK // max(1, len(n_objects)))
    for start in range(0, len(counts), step):
        found[start : start + step] = counts[start : start + step] @ n_objects
    return found


def precision_curve(matches: Matches, code: int, level: int = 0) -> Doubles:
    """Return ``(101,)`` the precision of a class at `RECALLS`, at one of the thresholds of overlap.

    It is interpolated: the highest at that recall or a higher one; 0 where a recall is not reached. Its mean is
    `average_precision`. NaN for a class without any object.
    """
    hits, _ = _surest_first(matches, code, level)
    total = matches.n_objects[:, code].sum(keepdims=True)
    return np.asarray(_curves(np.ones((1, len(hits)), np.int64), hits, total)[0])


def _surest_first(matches: Matches, code: int, level: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return whether each detection of a class has an object, and its image, the surest first; ignored ones left out.

    Both ``(n,)``.
    """
    own = np.flatnonzero((matches.classes == code) & ~matches.ignored[level])
    own = own[np.argsort(-matches.scores[own], kind="stable")]
    return matches.hits[level, own], matches.images[own]


def _curves(counts: NDArray[np.integer], hits: NDArray[np.bool_], totals: NDArray[np.integer]) -> Doubles:
    """Return ``(D, 101)`` curves of n detections, the surest first, that count ``(D, n)``, of `totals` objects each."""
    true = np.cumsum(counts * hits, axis=1, dtype=np.float64)
    told = np.cumsum(counts, axis=1, dtype=np.float64)
    precision = np.divide(true, told, out=np.zeros_like(true), where=told > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.full((len(counts), len(RECALLS)), np.nan)
    for draw in np.flatnonzero(totals > 0):
        places = np.searchsorted(true[draw] / totals[draw], RECALLS, side="left")
        reached = int(np.searchsorted(places, len(hits)))  # places ascend
        found[draw, :reached], found[draw, reached:] = precision[draw, places[:reached]], 0
    return found
