"""What a head finds in one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST = 100
"""Detections of an image that count, the best ones, as COCO's scores have it."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes that were found in one image, the surest first.

    Attributes
    ----------
    corners : NDArray[np.float32]
        ``(n, 4)`` left, top, right, bottom in pixels of the image, as of `ImageBoxes`.
    scores : NDArray[np.float32]
        ``(n,)`` from 0 to 1, descending.
    classes : NDArray[np.int64]
        ``(n,)`` numbers of classes, in the order of the head's `classes`.
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    @classmethod
    def sort(
        cls, corners: NDArray[np.floating], scores: NDArray[np.floating], classes: NDArray[np.integer]
    ) -> Detections:
        """Return detections of arrays in any order; of equal scores the first comes first."""
        order = np.argsort(-np.asarray(scores), kind="stable")
        return cls(
            np.asarray(corners, np.float32).reshape(-1, 4)[order],
            np.asarray(scores, np.float32)[order],
            np.asarray(classes, np.int64)[order],
        )

    @classmethod
    def none(cls) -> Detections:
        """Return those of an image in which nothing was found."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Detections:
        """Return some of them, by ascending position or by a mask."""
        return Detections(self.corners[chosen], self.scores[chosen], self.classes[chosen])

    def best(self, most: int = MOST) -> Detections:
        """Return the surest of them."""
        return self if len(self) <= most else self.take(slice(most))

    def above(self, thresholds: NDArray[np.floating]) -> Detections:
        """Return those whose score is at least the threshold of their class, ``(n_classes,)``."""
        return self.take(self.scores >= thresholds[self.classes])
