"""The boxes of many images side by side in few arrays, as a file holds them; those of one image are made when asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes


@dataclass(frozen=True, eq=False)
class FlatBoxes(Sequence[ImageBoxes]):
    """The boxes of n images, m in all, image by image.

    Attributes
    ----------
    counts
        (n,) int64: how many boxes each image has.
    sizes
        (n, 2) int64: width and height of each image in pixels, 0 where they are not known.
    corners
        (m, 4) float32, as of `ImageBoxes`.
    names
        Of the classes, sorted, each of at least one box.
    classes
        (m,) int64: places in `names`.
    difficult, crowd
        (m,) bool.
    """

    counts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    corners: NDArray[np.float32]
    names: tuple[str, ...]
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, row: int) -> ImageBoxes: ...

    @overload
    def __getitem__(self, row: slice) -> list[ImageBoxes]: ...

    def __getitem__(self, row: int | slice) -> ImageBoxes | list[ImageBoxes]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        place = range(len(self))[row]
        own = slice(int(self._ends[place] - self.counts[place]), int(self._ends[place]))
        return ImageBoxes(
            corners=self.corners[own],
            classes=tuple(self.names[each] for each in self.classes[own].tolist()),
            difficult=self.difficult[own],
            crowd=self.crowd[own],
            width=int(self.sizes[place, 0]),
            height=int(self.sizes[place, 1]),
        )

    @property
    def n_of_classes(self) -> dict[str, int]:
        """Name of each class to its number of boxes."""
        return dict(zip(self.names, np.bincount(self.classes, minlength=len(self.names)).tolist(), strict=True))

    def equals(self, other: FlatBoxes) -> bool:
        """Return whether these are the same boxes of as many images."""
        return self.names == other.names and all(map(np.array_equal, self._arrays(), other._arrays()))

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.counts, self.sizes, self.corners, self.classes, self.difficult, self.crowd

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.counts)


def flatten(images: Sequence[ImageBoxes]) -> FlatBoxes:
    """Return the boxes of images side by side."""
    if isinstance(images, FlatBoxes):
        return images
    names = tuple(sorted({name for image in images for name in image.classes}))
    places = {name: place for place, name in enumerate(names)}
    return FlatBoxes(
        counts=np.array([len(image) for image in images], np.int64),
        sizes=np.array([(image.width, image.height) for image in images], np.int64).reshape(-1, 2),
        corners=_joined((image.corners for image in images), np.zeros((0, 4), np.float32)),
        names=names,
        classes=np.array([places[name] for image in images for name in image.classes], np.int64),
        difficult=_joined((image.difficult for image in images), np.zeros(0, np.bool_)),
        crowd=_joined((image.crowd for image in images), np.zeros(0, np.bool_)),
    )


def _joined(arrays: Iterable[NDArray[Any]], none: NDArray[Any]) -> NDArray[Any]:
    """Return arrays one after another, of the type and the width of `none`."""
    return np.concatenate([none, *arrays]).astype(none.dtype, copy=False)
