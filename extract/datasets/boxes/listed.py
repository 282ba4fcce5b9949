"""The boxes that a listing tells of its images, before any image is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stackbone.cache.boxes.image_boxes import ImageBoxes


@dataclass(frozen=True)
class ListedBoxes(Mapping[str, ImageBoxes]):
    """The boxes of images, by their paths; an image that nobody annotated is not among them.

    Attributes
    ----------
    source
        The kind of dataset that tells them: ``voc``, ``coco``, ``yolo``.
    images
        By path. Boxes may reach beyond the images: how large these are is found out when they are indexed.
    are_shares
        Whether corners are shares of the images' width and height, from 0 to 1, not pixels.
    """

    source: str
    images: Mapping[str, ImageBoxes]
    are_shares: bool = False

    def __getitem__(self, path: str) -> ImageBoxes:
        return self.images[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)

    def among(self, paths: Iterable[str]) -> ListedBoxes:
        """Return those of some images."""
        kept = {path: self.images[path] for path in paths if path in self.images}
        return ListedBoxes(self.source, kept, self.are_shares)
