"""What is wrong with detections that are shown: each one's kind of mistake, missed objects, confused classes.

In the manner of TIDE (Bolya et al. 2020, arXiv 2008.08115): a detection that finds no object of its class overlaps one
that is found already, one of another class, one of its class too little, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.overlap import areas, overlaps
from stackbone.stack.detection.scores.matching import NONE, class_codes, match

FOUND = 0.5
"""Overlap from which an object is found."""

NEAR = 0.1
"""Overlap from which a detection means an object, though its place is wrong."""

SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))
"""COCO's sizes: name, and the area in square pixels from which and below which."""

KINDS = ("true", "ignored", "duplicate", "class", "localisation", "both", "background")
"""Of detections: right; of what need not be found; found again; of another class; at the wrong place; both; nothing
there."""

_CODE = {name: code for code, name in enumerate(KINDS)}


@dataclass(frozen=True, eq=False)
class ImageMistakes:
    """Of one image.

    Attributes
    ----------
    kinds : NDArray[np.int64]
        ``(n,)`` place in `KINDS` of each detection.
    objects : NDArray[np.int64]
        ``(n,)`` number of the object that each detection is told of: found, found again or overlapped most; -1 for
        none.
    missed : NDArray[np.int64]
        ``(m,)`` numbers of the objects that were to be found and were not.
    """

    kinds: NDArray[np.int64]
    objects: NDArray[np.int64]
    missed: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Of several images.

    Attributes
    ----------
    images : list of ImageMistakes
        One by one.
    kinds : NDArray[np.int64]
        ``(n_kinds, n_classes, n_sizes)`` detections by kind, their class, and the size of the found box.
    objects, missed : NDArray[np.int64]
        ``(n_classes, n_sizes)`` objects that are to be found, and those of them that were not.
    confusion : NDArray[np.int64]
        ``(n_classes + 1, n_classes + 1)`` true class by found class, whatever the class an object was found as; last
        row: found where nothing is; last column: missed.
    """

    images: list[ImageMistakes]
    kinds: NDArray[np.int64]
    objects: NDArray[np.int64]
    missed: NDArray[np.int64]
    confusion: NDArray[np.int64]


def find_mistakes(
    truths: Sequence[ImageBoxes],
    found: Sequence[Detections],
    classes: Sequence[str],
    thresholds: NDArray[np.floating],
) -> Mistakes:
    """Look at the detections whose score is at least the threshold of their class, ``(n_classes,)``.

    `ImageMistakes.kinds` and `objects` are of these: ``found[i].above(thresholds)``.
    """
    shown = [each.above(thresholds) for each in found]
    matches = match(truths, shown, classes, np.array([FOUND]))
    n = len(classes)
    kinds = np.zeros((len(KINDS), n, len(SIZES)), np.int64)
    objects, missed = np.zeros((n, len(SIZES)), np.int64), np.zeros((n, len(SIZES)), np.int64)
    confusion = np.zeros((n + 1, n + 1), np.int64)
    images = []
    for number, (true, own) in enumerate(zip(truths, shown, strict=True)):
        here = matches.images == number
        first = np.full(len(own), NONE)
        for code in np.unique(own.classes):
            first[own.classes == code] = matches.objects[0, here & (matches.classes == code)]
        each = _image(true, own, class_codes(true, classes), first)
        images.append(each)
        np.add.at(kinds, (each.kinds, own.classes, _size(own.corners)), 1)
        codes, sizes = class_codes(true, classes), _size(true.corners)
        wanted = np.flatnonzero(~(true.difficult | true.crowd) & (codes >= 0))
        np.add.at(objects, (codes[wanted], sizes[wanted]), 1)
        np.add.at(missed, (codes[each.missed], sizes[each.missed]), 1)
        confusion += _confusion(true, own, codes, n)
    return Mistakes(images, kinds, objects, missed, confusion)


def precision_recall(
    truths: Sequence[ImageBoxes], found: Sequence[Detections], classes: Sequence[str], overlap: float = FOUND
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Return recall, precision and score after each detection of each class, the surest first.

    A class without an object has empty arrays. Detections that are ignored do not count.
    """
    matches = match(truths, found, classes, np.array([overlap]))
    totals = matches.n_objects.sum(axis=0)
    curves = []
    for code in range(len(classes)):
        own = np.flatnonzero((matches.classes == code) & ~matches.ignored[0]) if totals[code] else np.zeros(0, int)
        own = own[np.argsort(-matches.scores[own], kind="stable")]
        true = np.cumsum(matches.hits[0, own])
        curves.append((true / max(1, totals[code]), true / np.arange(1, len(own) + 1), matches.scores[own]))
    return curves


def _image(true: ImageBoxes, own: Detections, codes: NDArray[np.int64], first: NDArray[np.int64]) -> ImageMistakes:
    """Return the kind of each detection; `first` is the object of its class that each found by its turn."""
    unwanted = true.difficult | true.crowd
    shared = overlaps(own.corners, true.corners, true.crowd)
    same = codes[None] == own.classes[:, None]
    kinds, objects = np.full(len(own), _CODE["background"]), np.full(len(own), NONE)
    rules = (  # the last that holds is the kind
        ("both", ~same & ~unwanted, NEAR),
        ("localisation", same & ~unwanted, NEAR),
        ("class", ~same & ~unwanted, FOUND),
        ("duplicate", same & ~unwanted, FOUND),
        ("ignored", same & unwanted, FOUND),
    )
    for name, told, least in rules:
        values = np.where(told, shared, 0.0)
        holds = values.max(axis=1, initial=0.0) >= least
        kinds[holds] = _CODE[name]
        objects[holds] = values[holds].argmax(axis=1) if holds.any() else NONE
    hit = first != NONE
    kinds[hit] = np.where(unwanted[first[hit]], _CODE["ignored"], _CODE["true"])
    objects[hit] = first[hit]
    got = first[hit]
    missed = np.setdiff1d(np.flatnonzero(~unwanted & (codes >= 0)), got)
    return ImageMistakes(kinds, objects, missed)


def _confusion(true: ImageBoxes, own: Detections, codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the confusion counts of an image: pairs of object and detection, those that overlap most first."""
    counts = np.zeros((n + 1, n + 1), np.int64)
    unwanted = (true.difficult | true.crowd) | (codes < 0)
    shared = overlaps(own.corners, true.corners, true.crowd)
    rows, columns = np.nonzero(shared >= FOUND)
    order = np.lexsort((rows, codes[columns] != own.classes[rows], -np.round(shared[rows, columns], 6)))
    free_row, free_column = np.ones(len(own), np.bool_), ~unwanted
    for row, column in zip(rows[order], columns[order], strict=True):
        if free_row[row] and free_column[column]:
            counts[codes[column], own.classes[row]] += 1
            free_row[row] = free_column[column] = False
    over_unwanted = (shared[:, unwanted] >= FOUND).any(axis=1)
    counts[n, :n] = np.bincount(own.classes[free_row & ~over_unwanted], minlength=n)
    counts[:n, n] = np.bincount(codes[free_column], minlength=n)
    return counts


def _size(corners: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return ``(n,)`` places in `SIZES`."""
    return np.searchsorted([low for _, low, _ in SIZES[1:]], areas(corners), side="right")
