"""The boxes of a dataset's images, by what the images are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stackbone.cache.boxes.flat import FlatBoxes, flatten
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.disk.digest import DIGEST_BYTES, Digests


@dataclass(frozen=True, eq=False)
class BoxTable:
    """The boxes of images, by the SHA-256 of the images' bytes: an image keeps them wherever it moves.

    An image that was annotated and shows no object is in the table, with no boxes; one that nobody annotated is not.

    Attributes
    ----------
    digests
        (n, 32) uint8, ascending and distinct.
    images
        n `ImageBoxes`. Those that `extract` wrote tell the width and height of the upright image, and lie within it.
    source
        The kind of dataset that tells them: ``voc``, ``coco``, ``yolo``.
    """

    digests: Digests
    images: Sequence[ImageBoxes]
    source: str = ""

    def __len__(self) -> int:
        return len(self.digests)

    def of(self, digest: bytes) -> ImageBoxes | None:
        """Return the boxes of an image by its digest, 32 bytes; None of one that nobody annotated."""
        row = bisect_left(range(len(self)), digest, key=lambda at: self.digests[at].tobytes())
        return self.images[row] if row < len(self) and self.digests[row].tobytes() == digest else None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of all boxes, sorted."""
        return self.flat.names

    @property
    def n_boxes(self) -> int:
        """How many boxes all images have together."""
        return len(self.flat.classes)

    @cached_property
    def flat(self) -> FlatBoxes:
        """The boxes of all images side by side."""
        return flatten(self.images)

    def equals(self, other: BoxTable) -> bool:
        """Return whether another table says the same of the same images."""
        same = self.source == other.source and np.array_equal(self.digests, other.digests)
        return same and self.flat.equals(other.flat)


def box_table(images: Mapping[bytes, ImageBoxes], source: str) -> BoxTable:
    """Return the table of images by their digests, of 32 bytes each."""
    ordered = sorted(images)
    digests = np.frombuffer(b"".join(ordered), np.uint8).reshape(-1, DIGEST_BYTES)
    return BoxTable(digests, [images[digest] for digest in ordered], source)
