"""Annotations and detections that a generator draws: boxes that are found nearly, twice, wrongly or not at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections


def image_boxes(
    corners: object,
    classes: tuple[str, ...],
    *,
    difficult: object = None,
    crowd: object = None,
    size: tuple[int, int] = (200, 150),
) -> ImageBoxes:
    """Return the boxes of an image, none difficult and no crowd unless it is said."""
    n = len(classes)
    return ImageBoxes(
        np.asarray(corners, np.float32).reshape(-1, 4),
        classes,
        np.zeros(n, bool) if difficult is None else np.asarray(difficult, bool),
        np.zeros(n, bool) if crowd is None else np.asarray(crowd, bool),
        *size,
    )


def drawn_boxes(rng: np.random.Generator, n: int, size: tuple[int, int] = (200, 150)) -> NDArray[np.float32]:
    """Return `n` boxes of all sizes within an image."""
    first = rng.uniform(0, 0.9, (n, 2))
    last = first + rng.uniform(0.04, 1, (n, 2)) ** 2 * (1 - first)
    return np.asarray(np.concatenate([first, last], axis=1) * np.array([*size, *size]), np.float32)


def drawn_images(
    seed: int, n_images: int, classes: tuple[str, ...], *, special: float = 0.0, most: int = 8, digits: int = 2
) -> tuple[list[ImageBoxes], list[Detections]]:
    """Return annotations of images and detections in them.

    Parameters
    ----------
    special : float
        Share of objects that are difficult, and share of those that are crowds.
    digits : int
        Of scores: few, and some are equal.
    """
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(n_images):
        n = int(rng.integers(0, most))
        corners, codes = drawn_boxes(rng, n), rng.integers(0, len(classes), n)
        crowd = rng.random(n) < special
        difficult = (rng.random(n) < special) & ~crowd
        truths.append(image_boxes(corners, tuple(classes[code] for code in codes), difficult=difficult, crowd=crowd))
        again = rng.integers(0, n, int(rng.integers(0, 2 * n + 1))) if n else np.zeros(0, int)
        sides = np.tile(corners[again, 2:] - corners[again, :2], 2)
        near = corners[again] + rng.normal(0, 0.08, (len(again), 4)) * sides
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        wrong = drawn_boxes(rng, int(rng.integers(0, 6)))
        own = np.where(rng.random(len(again)) < 0.85, codes[again], rng.integers(0, len(classes), len(again)))
        kinds = np.concatenate([own, rng.integers(0, len(classes), len(wrong))])
        surer = np.repeat([0.4, 0.0], [len(again), len(wrong)])
        scores = np.round(surer + 0.6 * rng.random(len(kinds)), digits)
        found.append(Detections.sort(np.concatenate([near, wrong]), scores, kinds))
    return truths, found
