"""Labels that look wrong: what every detector sees and nobody labelled, and what is labelled and no detector sees.

Every detector here is a head on a backbone that was trained without the image. Errors that all of them make alike are
more often the annotator's than theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.matches import OVERLAP
from stackbone.stack.detection.overlap import overlaps
from stackbone.stack.detection.records.experiment import BEST, FUSION, DetectionExperiment
from stackbone.stack.detection.scores.matching import class_codes

TOUCHES = 0.3
"""Overlap with a labelled box from which on a detection may be meant for it."""

UNLABELLED, UNSEEN = "unlabelled", "unseen"


@dataclass(frozen=True)
class LabelIssue:
    """A box that is probably missing, or that probably should not be there.

    Attributes
    ----------
    row : int
        Of the annotated images.
    kind : str
        `UNLABELLED`: all detectors see an object and no box is there; `UNSEEN`: a box is there and none sees it.
    corners : tuple of float
        Left, top, right, bottom in pixels.
    name : str
        Class that is seen, or labelled.
    score : float
        How sure: of the first kind the least of the detectors' scores, of the second 1 less the highest.
    """

    row: int
    kind: str
    corners: tuple[float, float, float, float]
    name: str
    score: float


def find_label_issues(experiment: DetectionExperiment) -> list[LabelIssue]:
    """Return boxes whose labels look wrong, the surest first within each kind."""
    singles = [name for name in experiment.detectors if name != BEST and not name.endswith(f":{FUSION}")]
    singles = singles or list(experiment.detectors)  # of a saved model the fusion alone is known
    found: list[LabelIssue] = []
    for number, fold in enumerate(experiment.folds):
        work = [experiment.detectors[name][number] for name in singles]
        for place, row in enumerate(fold.test.tolist()):
            boxes = experiment.annotated.boxes[row]
            every = [each.detections[place] for each in work]
            shown = [own.above(each.thresholds) for own, each in zip(every, work, strict=True)]
            found += _unlabelled(row, shown, boxes, experiment.classes)
            found += _unseen(row, every, boxes)
    return sorted(found, key=lambda each: (each.kind != UNLABELLED, -each.score))


def _unlabelled(row: int, shown: Sequence[Detections], boxes: ImageBoxes, names: Sequence[str]) -> list[LabelIssue]:
    first, *others = shown
    free = ~_is_meant(first, boxes, names)
    found = []
    for number in range(len(first)):
        if not free[number]:
            continue
        scores = [float(first.scores[number])]
        for each in others:
            same = each.take(each.classes == first.classes[number])
            near = overlaps(first.corners[number : number + 1], same.corners)[0] >= OVERLAP
            if not near.any():
                break
            scores.append(float(same.scores[near].max()))
        else:
            free &= overlaps(first.corners, first.corners[number : number + 1])[:, 0] < TOUCHES  # it is told once
            name = names[int(first.classes[number])]
            found.append(LabelIssue(row, UNLABELLED, _corners(first.corners[number]), name, min(scores)))
    return found


def _is_meant(found: Detections, boxes: ImageBoxes, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return ``(n,)`` whether each detection may be meant for a box that is there.

    One that lies in a crowd of its class is of it, however large the crowd is; so it is with a difficult object, of
    which often but a part can be seen.
    """
    own = class_codes(boxes, names) == found.classes[:, None]
    shared = overlaps(found.corners, boxes.corners)
    inside = overlaps(found.corners, boxes.corners, boxes.crowd | boxes.difficult)
    shared = np.where(own, np.maximum(shared, inside), shared)
    return np.asarray(shared.max(axis=1, initial=0) >= TOUCHES)


def _unseen(row: int, every: Sequence[Detections], boxes: ImageBoxes) -> list[LabelIssue]:
    to_find = np.flatnonzero(~(boxes.difficult | boxes.crowd))
    highest = np.zeros(len(boxes))
    for each in every:
        if len(each):
            near = overlaps(boxes.corners, each.corners) >= TOUCHES
            highest = np.maximum(highest, np.where(near, each.scores, 0).max(axis=1, initial=0))
    return [
        LabelIssue(row, UNSEEN, _corners(boxes.corners[number]), boxes.classes[number], 1 - float(highest[number]))
        for number in to_find.tolist()
        if highest[number] < _HARDLY
    ]


_HARDLY = 0.1  # a score that is next to nothing


def _corners(corners: NDArray[np.floating]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, corners)
    return left, top, right, bottom
