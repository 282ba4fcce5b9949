"""The boxes of images in the pixels of the frame that their maps are of: what heads learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.cache.errors import StackError
from stackbone.cache.text import printable


@dataclass(frozen=True, eq=False)
class FramedBoxes:
    """The boxes of one image in its frame.

    Attributes
    ----------
    corners : NDArray[np.float32]
        ``(n, 4)`` left, top, right, bottom in pixels of the frame, of the objects that are to be found.
    classes : NDArray[np.int64]
        ``(n,)`` their numbers.
    ignored : NDArray[np.float32]
        ``(m, 4)`` of what is neither to be found nor background: difficult objects and crowds.
    """

    corners: NDArray[np.float32]
    classes: NDArray[np.int64]
    ignored: NDArray[np.float32]


def image_sizes(boxes: Sequence[ImageBoxes], sizes: NDArray[np.integer] | None) -> NDArray[np.int64]:
    """Return ``(n, 2)`` width and height of images: `sizes` itself, or what the annotations say.

    Raises
    ------
    StackError
        If a size is not known.
    """
    found = np.array([[each.width, each.height] for each in boxes] if sizes is None else sizes, np.int64)
    found = found.reshape(-1, 2)
    unknown = np.flatnonzero((found <= 0).any(axis=1))
    if len(unknown):
        message = (
            f"width and height of {len(unknown)} of {len(found)} images are not known (the first is number "
            f"{unknown[0]}): expected them in their annotation or as `sizes`. Give `sizes`, in pixels"
        )
        raise StackError(message)
    return found


def framed_boxes(
    boxes: Sequence[ImageBoxes], sizes: NDArray[np.int64], side: int, classes: Sequence[str], *, mirrored: bool = False
) -> list[FramedBoxes]:
    """Return the boxes of each image in its frame of `side` pixels, of the mirrored frame if so asked.

    Raises
    ------
    StackError
        If an object is of a class that is not among `classes`, or there is none to learn from.
    """
    number = {name: place for place, name in enumerate(classes)}
    other = sorted({name for each in boxes for name in each.classes} - number.keys())
    if other:
        message = (
            f"there are boxes of {', '.join(printable(repr(name)) for name in other[:5])}, and the classes to be found "
            f"are {', '.join(printable(repr(name)) for name in classes)}. Name all classes that the boxes have"
        )
        raise StackError(message)
    found = [
        _framed(each, Letterbox(int(width), int(height), side), number, mirrored=mirrored)
        for each, (width, height) in zip(boxes, sizes, strict=True)
    ]
    if not any(len(each.classes) for each in found):
        message = (
            f"the training part of {len(boxes):,} images has no box that is to be found: a head learns from at least "
            "one that is neither difficult nor a crowd. Annotate objects on these images, or learn from others"
        )
        raise StackError(message)
    return found


def _framed(boxes: ImageBoxes, frame: Letterbox, number: dict[str, int], *, mirrored: bool) -> FramedBoxes:
    corners = frame.to_frame(np.asarray(boxes.corners, np.float32).reshape(-1, 4))
    if mirrored:
        corners[:, 0::2] = frame.side - corners[:, 2::-2]
    ignored = boxes.difficult | boxes.crowd
    classes = np.array([number[name] for name in boxes.classes], np.int64)
    return FramedBoxes(corners[~ignored], classes[~ignored], corners[ignored])
