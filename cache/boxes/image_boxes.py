"""The boxes of one image."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageBoxes:
    """What an annotation says of the objects of one image.

    Attributes
    ----------
    corners
        (n, 4) float32: left, top, right, bottom in pixels of the upright image, counted from its top left corner, so
        that a box over a whole image is (0, 0, width, height). Right is beyond left, and bottom below top.
    classes
        (n,) names of classes.
    difficult
        (n,) bool: objects that are neither to be found nor wrong to be found (Pascal VOC).
    crowd
        (n,) bool: boxes around many objects of a class (COCO's ``iscrowd``).
    width, height
        Of the image that the annotation was made on, in pixels; 0 where it does not say.
    """

    corners: NDArray[np.float32]
    classes: tuple[str, ...]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]
    width: int = 0
    height: int = 0

    def __len__(self) -> int:
        return len(self.classes)

    def of_classes(self, names: Collection[str]) -> Self:
        """Return the boxes of some classes alone, in their order."""
        kept = np.array([name in names for name in self.classes], np.bool_)
        return replace(
            self,
            corners=self.corners[kept],
            classes=tuple(name for name in self.classes if name in names),
            difficult=self.difficult[kept],
            crowd=self.crowd[kept],
        )
