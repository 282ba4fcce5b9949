"""Which object each detection of one image has, and what a detector made of a fold's test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.experiment import FoldDetector
from stackbone.stack.detection.records.folds import scored_classes
from stackbone.stack.detection.scores.matching import NONE, Matches, match
from stackbone.stack.folds.fold import Fold

OVERLAP = 0.5
"""Intersection over union from which on a detection is of an object: that of AP50."""

NOTHING = NONE
IGNORED = -2
"""Instead of an object: a detection has none, or but one that is neither to be found nor wrong to be found."""

AT_HALF = np.array([OVERLAP])


def match_image(found: Detections, boxes: ImageBoxes, names: Sequence[str]) -> NDArray[np.int64]:
    """Return ``(n_detections,)`` the object that each detection has, `NOTHING`, or `IGNORED`.

    Parameters
    ----------
    found : Detections
        Of one image, at most 100 of a class.
    boxes : ImageBoxes
        Its objects.
    names : sequence of str
        Classes by number.
    """
    matches = match([boxes], [found], names, AT_HALF)
    result = np.full(len(found), NOTHING)
    result[np.argsort(found.classes, kind="stable")] = np.where(matches.ignored[0], IGNORED, matches.objects[0])
    return result


def match_fold(annotated: AnnotatedImages, fold: Fold, work: FoldDetector) -> Matches:
    """Return the matches of a fold's test part at an overlap of one half; of classes not scored there no objects."""
    matches = match(boxes_of(annotated, fold), work.detections, annotated.classes, AT_HALF)
    return replace(matches, n_objects=np.where(scored_classes(annotated, fold), matches.n_objects, 0))


def boxes_of(annotated: AnnotatedImages, fold: Fold) -> list[ImageBoxes]:
    """Return the boxes of a fold's test part."""
    return [annotated.boxes[row] for row in fold.test.tolist()]
