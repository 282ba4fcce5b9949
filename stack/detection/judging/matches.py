"""Which detections are of which objects, at one overlap, by COCO's rules; and average precision of weighted images.

`stack.detection.scores` gives the official numbers. This gives what they are made of, image by image, so that images
can be drawn with replacement (intervals) and looked at one by one (errors). Both agree to rounding.

The surest detection of a class takes the object of its class that it overlaps most, if it does so by the threshold;
then the next one, of those that are left. One that has but a difficult object or a crowd to take counts neither way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import MOST, Detections

OVERLAP = 0.5
"""Intersection over union from which on a detection is of an object: AP50."""

IGNORED = -2
NOTHING = -1

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """All detections of one class on some images, the surest first.

    Attributes
    ----------
    image : NDArray[np.int64]
        ``(n_detections,)`` number of the image that each is on.
    scores : NDArray[np.float32]
        ``(n_detections,)`` descending.
    right : NDArray[np.bool_]
        ``(n_detections,)`` whether it has an object.
    n_objects : NDArray[np.int64]
        ``(n_images,)`` objects that are to be found on each image.
    """

    image: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    n_objects: NDArray[np.int64]

    @property
    def n_images(self) -> int:
        """Images that there are."""
        return len(self.n_objects)


def overlaps(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the ``(n, m)`` intersection over union of ``(n, 4)`` and ``(m, 4)`` boxes."""
    inter, areas_a, areas_b = _intersections(a, b)
    union = areas_a[:, None] + areas_b - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def match_image(
    found: Detections, boxes: ImageBoxes, names: Sequence[str], overlap: float = OVERLAP
) -> NDArray[np.int64]:
    """Return ``(n_detections,)`` the object that each detection has, `NOTHING`, or `IGNORED`.

    Parameters
    ----------
    found : Detections
        Of one image.
    boxes : ImageBoxes
        Its objects.
    names : sequence of str
        Classes by number.
    overlap : float
        Threshold of intersection over union.
    """
    result = np.full(len(found), NOTHING)
    of_class = np.array(boxes.classes, np.str_)
    ignored = boxes.difficult | boxes.crowd
    for number in np.unique(found.classes).tolist():
        mine, objects = np.flatnonzero(found.classes == number), np.flatnonzero(of_class == names[number])
        if not len(objects):
            continue
        objects = objects[np.argsort(ignored[objects], kind="stable")]
        table = overlaps(found.corners[mine], boxes.corners[objects])
        crowd = boxes.crowd[objects]
        if crowd.any():
            inter, areas, _ = _intersections(found.corners[mine], boxes.corners[objects])
            table[:, crowd] = (inter / np.maximum(areas, 1e-9)[:, None])[:, crowd]
        result[mine] = _greedy(table, ignored[objects], crowd, objects, overlap)
    return result


def _greedy(
    table: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    objects: NDArray[np.int64],
    overlap: float,
) -> NDArray[np.int64]:
    free = np.ones(len(objects), np.bool_)
    result = np.full(len(table), NOTHING)
    least = min(overlap, 1 - 1e-10)
    for row, each in enumerate(table):
        for of_kind in (~ignored, ignored):
            open_ = of_kind & (free | crowd) & (each >= least)
            if open_.any():
                candidates = np.flatnonzero(open_)
                # of equal overlaps COCO takes the last
                best = candidates[np.flatnonzero(each[candidates] == each[candidates].max())[-1]]
                free[best] = False
                result[row] = IGNORED if ignored[best] else objects[best]
                break
    return result


def match_class(
    found: Sequence[Detections],
    matches: Sequence[NDArray[np.int64]],
    boxes: Sequence[ImageBoxes],
    number: int,
    name: str,
) -> ClassMatches:
    """Gather one class of some images; `matches` is what `match_image` returns of each.

    Detections that count neither way are left out, and all but the `MOST` surest of an image.
    """
    images, scores, right = [], [], []
    for row, (each, taken) in enumerate(zip(found, matches, strict=True)):
        mine = np.flatnonzero(each.classes == number)[:MOST]
        mine = mine[taken[mine] != IGNORED]
        images.append(np.full(len(mine), row))
        scores.append(each.scores[mine])
        right.append(taken[mine] >= 0)
    n_objects = [
        sum(own == name and not skip for own, skip in zip(each.classes, each.difficult | each.crowd, strict=True))
        for each in boxes
    ]
    joined = np.concatenate(scores) if scores else np.zeros(0, np.float32)
    order = np.argsort(-joined, kind="stable")
    return ClassMatches(
        np.concatenate(images).astype(np.int64)[order],
        joined[order],
        np.concatenate(right).astype(np.bool_)[order],
        np.array(n_objects, np.int64),
    )


def average_precision(matches: ClassMatches, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return ``(n_draws,)`` average precision at COCO's 101 recalls, each image counted as often as a draw says.

    Parameters
    ----------
    matches : ClassMatches
        Of one class.
    weights : NDArray[np.float64], optional
        ``(n_draws, n_images)``; by default one draw, of each image once.

    Returns
    -------
    NDArray[np.float64]
        0 to 1; NaN of a draw without an object.
    """
    weights = np.ones((1, matches.n_images)) if weights is None else weights
    positives = weights @ matches.n_objects
    hits = np.flatnonzero(matches.right)
    result = np.where(positives > 0, 0.0, np.nan)
    if not len(hits):
        return result
    # Precision is highest where a detection is right: what is wrong between two of these adds up to one number.
    end = hits[-1] + 1
    of_detection = weights[:, matches.image[:end]]
    wrong = np.where(matches.right[:end], 0.0, of_detection)
    false = np.cumsum(np.add.reduceat(wrong, np.append(0, hits[:-1] + 1), axis=1), axis=1)
    true = np.cumsum(of_detection[:, hits], axis=1)
    precision = true / np.maximum(true + false, np.finfo(np.float64).tiny)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for draw in np.flatnonzero(positives > 0):
        place = np.searchsorted(true[draw] / positives[draw], _RECALLS)
        reached = place < len(hits)
        result[draw] = precision[draw, place[reached]].sum() / len(_RECALLS)
    return result


def _intersections(
    a: NDArray[np.floating], b: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(axis=2)
    return inter, (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
