"""What a detector gets right and wrong on each tested image, at the thresholds from which its boxes are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.matches import IGNORED, NOTHING, OVERLAP, match_image
from stackbone.stack.detection.overlap import overlaps
from stackbone.stack.detection.records.experiment import DetectionExperiment

SMALL, LARGE = 32**2, 96**2
"""Areas in pixels of the image that COCO divides objects at: small below the first, large from the second on."""

SIZES = ("small", "medium", "large")


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """One tested image.

    Attributes
    ----------
    row : int
        Of the annotated images.
    shown : Detections
        Those above the thresholds.
    objects : NDArray[np.int64]
        ``(n_shown,)`` object of its class that each has, `NOTHING` or `IGNORED`.
    confused : NDArray[np.int64]
        ``(n_shown,)`` object of another class that it lies on and no other box has, `NOTHING` where there is none.
    boxes : ImageBoxes
        What is annotated.
    """

    row: int
    shown: Detections
    objects: NDArray[np.int64]
    confused: NDArray[np.int64]
    boxes: ImageBoxes

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """``(n_shown,)`` boxes that have no object of their class."""
        return np.equal(self.objects, NOTHING)

    @property
    def left_over(self) -> NDArray[np.bool_]:
        """``(n_shown,)`` boxes for which no object is left: second boxes, misplaced ones, and those on nothing.

        `kinds.wrong_kinds` tells them apart.
        """
        return np.asarray(self.wrong & (self.confused == NOTHING))

    @property
    def missed(self) -> NDArray[np.bool_]:
        """``(n_objects,)`` objects to be found that no box of their class has."""
        missed = ~(self.boxes.difficult | self.boxes.crowd)
        missed[self.objects[self.objects >= 0]] = False
        return missed

    @property
    def n_errors(self) -> int:
        """Wrong boxes and missed objects."""
        return int(self.wrong.sum() + self.missed.sum())


def image_errors(experiment: DetectionExperiment, model: str | None = None) -> list[ImageErrors]:
    """Return what a detector, by default the main one, makes of each tested image, fold by fold."""
    annotated = experiment.annotated
    found = []
    for fold, work in zip(experiment.folds, experiment.detectors[model or experiment.main], strict=True):
        for row, detections in zip(fold.test.tolist(), work.detections, strict=True):
            shown = detections.above(work.thresholds)
            found.append(compare(row, shown, annotated.boxes[row], annotated.classes))
    return found


def compare(row: int, shown: Detections, boxes: ImageBoxes, names: Sequence[str]) -> ImageErrors:
    """Return what is right and wrong of boxes that are shown of one image; `names` are classes by number."""
    objects = match_image(shown, boxes, names)
    confused = np.full(len(shown), NOTHING)
    free = ~(boxes.difficult | boxes.crowd)
    free[objects[objects >= 0]] = False
    table = overlaps(shown.corners, boxes.corners)
    for number in np.flatnonzero(objects == NOTHING):
        near = np.flatnonzero(free & (table[number] >= OVERLAP))
        candidates = [i for i in near.tolist() if boxes.classes[i] != names[int(shown.classes[number])]]
        if candidates:
            confused[number] = max(candidates, key=lambda i: table[number, i])
            free[confused[number]] = False
    return ImageErrors(row, shown, objects, confused, boxes)


def count_confusions(found: Sequence[ImageErrors], names: Sequence[str]) -> NDArray[np.int64]:
    """Return ``(n_classes + 1, n_classes + 1)`` counts: true classes in rows, the last nothing; found ones in columns.

    The last row counts boxes for which no object is left, the last column objects on which no box lies.
    """
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for each in found:
        codes = np.array([place[name] for name in each.boxes.classes], np.int64)
        right = each.objects >= 0
        np.add.at(counts, (codes[each.objects[right]], each.shown.classes[right]), 1)
        mixed = each.confused >= 0
        np.add.at(counts, (codes[each.confused[mixed]], each.shown.classes[mixed]), 1)
        np.add.at(counts, (np.full(int(each.left_over.sum()), len(names)), each.shown.classes[each.left_over]), 1)
        unseen = each.missed
        unseen[each.confused[mixed]] = False
        np.add.at(counts, (codes[unseen], np.full(int(unseen.sum()), len(names))), 1)
    return counts


@dataclass(frozen=True)
class SizeCounts:
    """Objects and boxes of one size.

    Attributes
    ----------
    n_objects, n_missed : int
        Objects to be found, and how many of them no box of their class has.
    n_shown, n_wrong : int
        Boxes that are shown, and how many of them have no object of their class.
    """

    n_objects: int
    n_missed: int
    n_shown: int
    n_wrong: int


def count_sizes(found: Sequence[ImageErrors]) -> Mapping[str, SizeCounts]:
    """Return counts by size: objects by their own area, boxes by theirs."""
    objects, missed, shown, wrong = (np.zeros(3, np.int64) for _ in range(4))
    for each in found:
        to_find = ~(each.boxes.difficult | each.boxes.crowd)
        size, own = sizes_of(each.boxes.corners), sizes_of(each.shown.corners)
        counted = each.objects != IGNORED
        for total, sizes in (
            (objects, size[to_find]),
            (missed, size[each.missed]),
            (shown, own[counted]),
            (wrong, own[each.wrong]),
        ):
            total += np.bincount(sizes, minlength=3)
    rows = zip(objects.tolist(), missed.tolist(), shown.tolist(), wrong.tolist(), strict=True)
    return {name: SizeCounts(*row) for name, row in zip(SIZES, rows, strict=True)}


def sizes_of(corners: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return ``(n,)`` sizes of ``(n, 4)`` boxes: 0 small, 1 medium, 2 large."""
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    return np.asarray(np.digitize(areas, [SMALL, LARGE]), np.int64)
