"""What a detection model says of images: COCO's results, and rows of boxes and of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.detections import Detections


@dataclass(frozen=True, eq=False)
class DetectedImage:
    """One image and what was found in it.

    Attributes
    ----------
    path : str
        As it is shown.
    width, height : int
        Of the upright image, in pixels.
    found : Detections
        Also below the thresholds.
    shown : Detections
        Those from the thresholds on.
    trained_on : bool
        Whether the model was fitted on it.
    """

    path: str
    width: int
    height: int
    found: Detections
    shown: Detections
    trained_on: bool


def coco_results(
    images: Sequence[DetectedImage], classes: Sequence[str], thresholds: NDArray[np.float64]
) -> dict[str, Any]:
    """Return images, categories and results in COCO's form, JSON-able: numbers of images and classes begin at 1.

    ``bbox`` is left, top, width and height in pixels; ``shown`` tells whether the score reaches the class's threshold.
    """
    results = [
        {
            "image_id": number,
            "file_name": image.path,
            "category_id": code + 1,
            "category": classes[code],
            "bbox": [round(float(each), 2) for each in (left, top, right - left, bottom - top)],
            "score": round(float(score), 5),
            "shown": bool(score >= thresholds[code]),
        }
        for number, image in enumerate(images, start=1)
        for (left, top, right, bottom), score, code in zip(
            image.found.corners, image.found.scores, image.found.classes.tolist(), strict=True
        )
    ]
    return {
        "images": [
            {
                "id": number,
                "file_name": image.path,
                "width": image.width,
                "height": image.height,
                "trained_on": image.trained_on,
            }
            for number, image in enumerate(images, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)],
        "results": results,
    }


def box_columns(images: Sequence[DetectedImage], classes: Sequence[str]) -> dict[str, list[Any]]:
    """Return a row for each box that is shown, by column; corners in pixels of the upright image."""
    rows = [
        (image.path, classes[code], round(float(score), 5), *(round(float(each), 2) for each in corners))
        for image in images
        for corners, score, code in zip(
            image.shown.corners, image.shown.scores, image.shown.classes.tolist(), strict=True
        )
    ]
    names = ("path", "class", "score", "left", "top", "right", "bottom")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def image_rows(images: Sequence[DetectedImage], classes: Sequence[str]) -> list[list[str]]:
    """Return a row for each image, of its path, what is shown by class, and how many boxes that are."""
    rows = []
    for image in images:
        counts = np.bincount(image.shown.classes, minlength=len(classes))
        listed = ", ".join(
            f"{counts[code]} {classes[code]}" for code in np.argsort(-counts, kind="stable") if counts[code]
        )
        rows.append([image.path, str(len(image.shown)), listed or "nothing"])
    return rows


IMAGE_HEADER = ["path", "boxes", "found"]
"""Titles of `image_rows`."""


def about_training(images: Sequence[DetectedImage]) -> str | None:
    """Return in a sentence how many of the images the model was fitted on; None if none is."""
    n = sum(each.trained_on for each in images)
    if not n:
        return None
    return f"the model was fitted on {n:,} of these {len(images):,} images, where it does better than on new ones"
