"""Average precision as Pascal VOC scores it: at an overlap of .5, difficult objects left out.

Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge, IJCV 88, 303-338: in 2007 the mean of the
precision at eleven recalls, since 2010 the area under the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.overlap import overlaps
from stackbone.stack.detection.scores.matching import class_codes

OVERLAP = 0.5

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class VocScore:
    """Average precision of one class by both rules; None where it has no object.

    Attributes
    ----------
    eleven_points, all_points : float or None
        Of 2007, and since 2010.
    """

    eleven_points: float | None
    all_points: float | None


def voc_scores(
    truths: Sequence[ImageBoxes], found: Sequence[Detections], classes: Sequence[str]
) -> dict[str, VocScore]:
    """Score detections of images class by class; a crowd counts as difficult."""
    scores = {}
    for code, name in enumerate(classes):
        recall, precision = voc_curve(truths, found, classes, code)
        if np.isnan(recall).any():
            scores[name] = VocScore(None, None)
        else:
            scores[name] = VocScore(_eleven_points(recall, precision), _all_points(recall, precision))
    return scores


def voc_mean(scores: dict[str, VocScore]) -> VocScore:
    """Return the means over all classes that have an object."""
    told = [(each.eleven_points, each.all_points) for each in scores.values() if each.all_points is not None]
    if not told:
        return VocScore(None, None)
    eleven, everything = np.mean(np.array(told, float), axis=0)
    return VocScore(float(eleven), float(everything))


def voc_curve(
    truths: Sequence[ImageBoxes], found: Sequence[Detections], classes: Sequence[str], code: int
) -> tuple[Doubles, Doubles]:
    """Return recall and precision of a class after each of its detections, the surest of all images first.

    A detection is right if the object of its class that it overlaps most is overlapped by half or more and was not
    found before; if that object is difficult, it is not counted. Recall is NaN where the class has no object.
    """
    images = np.repeat(np.arange(len(found)), [len(each) for each in found])
    whole = [Detections.none(), *found]
    rows = np.concatenate([np.arange(len(each)) for each in whole])
    kinds = np.concatenate([each.classes for each in whole])
    scores = np.concatenate([each.scores for each in whole])
    own = np.flatnonzero(kinds == code)
    own = own[np.argsort(-scores[own], kind="stable")]
    members = [np.flatnonzero(class_codes(each, classes) == code) for each in truths]
    left_out = [(each.difficult | each.crowd)[some] for each, some in zip(truths, members, strict=True)]
    seen = [np.zeros(len(some), np.bool_) for some in members]
    hit, counts = np.zeros(len(own)), np.ones(len(own))
    for place, each in enumerate(own):
        image, row = int(images[each]), int(rows[each])
        shared = overlaps(found[image].corners[row : row + 1], truths[image].corners[members[image]])[0]
        best = int(shared.argmax()) if len(shared) else -1
        if best < 0 or shared[best] < OVERLAP:
            continue
        if left_out[image][best]:
            counts[place] = 0
        elif not seen[image][best]:
            seen[image][best], hit[place] = True, 1
    true, told = np.cumsum(hit), np.cumsum(counts)
    total = sum(int((~each).sum()) for each in left_out)
    recall = true / total if total else np.full(max(1, len(own)), np.nan)
    return recall, np.divide(true, told, out=np.zeros_like(true), where=told > 0)


def _eleven_points(recall: Doubles, precision: Doubles) -> float:
    points = np.arange(11) / 10
    return float(np.mean([precision[recall >= point].max(initial=0) for point in points]))


def _all_points(recall: Doubles, precision: Doubles) -> float:
    reached = np.concatenate([[0], recall, [1]])
    highest = np.maximum.accumulate(np.concatenate([[0], precision, [0]])[::-1])[::-1]
    return float((np.diff(reached) * highest[1:]).sum())
