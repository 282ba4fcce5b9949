"""What a detection head is: feature maps and boxes of images go in, something that finds boxes in maps comes out.

To add one is to write a folder in `stack.detection.heads`, or a package of one's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.places.place import Place
from stackbone.cache.plugins import Plugins
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.source import Digests, MapSource

Tensors = dict[str, NDArray[np.float32]]

PRECISIONS = ("fp32", "bf16")
"""What heads can be trained in, the usual one first: asked for, and never chosen by the machine at hand."""


class FittedHead(ABC):
    """A trained head.

    Attributes
    ----------
    head : str
        Name of the kind of head that it is.
    classes : tuple of str
        What it finds; detections have their numbers.
    facts : dict
        All that is known of it beside its tensors, for JSON: classes, shape of the maps, how the training went.
    """

    head: str
    classes: tuple[str, ...]
    facts: dict[str, Any]

    @abstractmethod
    def detect(
        self, source: MapSource, digests: Digests, sizes: NDArray[np.integer], *, on_progress: Progress = silent
    ) -> list[Detections]:
        """Find objects, at most `detections.MOST` in an image.

        Parameters
        ----------
        source : MapSource
            Maps of the kind that it was trained on.
        digests : NDArray[np.uint8]
            ``(n, 32)`` of the images.
        sizes : NDArray[np.integer]
            ``(n, 2)`` width and height of the upright images in pixels.
        on_progress : Progress
            Called with the images that are done.

        Raises
        ------
        StackError
            If the maps have another shape than those that it was trained on.
        """

    @abstractmethod
    def to_tensors(self) -> Tensors:
        """Return what it learned, so that `Head.from_tensors` with `facts` makes the same head."""


class Head(ABC):
    """One kind of detection head.

    Attributes
    ----------
    name : str
        As users type it.
    what : str
        It in a few words, for tables.
    source : str
        The paper, in a line: authors, year, where.
    place : int
        Where it stands in a listing, ascending.
    has_epochs : bool
        Whether its `fit` takes ``epochs``: how often each image is seen. Such a head is given a `checkpoint`.
    version : int
        To be raised with any change of the head that changes its detections by more than rounding: what was found
        before is not taken up then. Of another package's head the package's own version counts too.
    has_precision : bool
        Whether its `fit` takes ``precision``, one of `PRECISIONS`; without, it computes in the first.
    """

    name: str
    what: str
    source: str
    place: int = 100
    has_epochs: bool = False
    version: int = 1
    has_precision: bool = False

    @abstractmethod
    def fit(
        self,
        source: MapSource,
        digests: Digests,
        boxes: Sequence[ImageBoxes],
        classes: Sequence[str],
        seed: int,
        *,
        sizes: NDArray[np.integer] | None = None,
        mirrored: MapSource | None = None,
        checkpoint: Place | None = None,
        on_progress: Progress = silent,
    ) -> FittedHead:
        """Learn from maps of images and the boxes in them; nothing but the arguments decides the outcome.

        Parameters
        ----------
        source : MapSource
            Feature maps of the images.
        digests : NDArray[np.uint8]
            ``(n, 32)`` of the images.
        boxes : sequence of ImageBoxes
            Of each image. Difficult objects and crowds are neither learned nor taken for background.
        classes : sequence of str
            What is to be found; each box is of one of them.
        seed : int
            Of everything that is drawn.
        sizes : NDArray[np.integer], optional
            ``(n, 2)`` width and height of the images in pixels; by default those that the boxes say.
        mirrored : MapSource, optional
            Maps of the same images, mirrored: seen in place of the plain ones half the time.
        checkpoint : Path or ObjectPath, optional
            File that says how far a long training has come: it is taken up from there, and removed at the end.
        on_progress : Progress
            Called with the steps that are done.

        Raises
        ------
        StackError
            If there is no box to learn from, a box is of another class, or the size of an image is not known.
        """

    @abstractmethod
    def from_tensors(self, tensors: Mapping[str, NDArray[np.float32]], facts: Mapping[str, Any]) -> FittedHead:
        """Return the head that `FittedHead.to_tensors` and `facts` are of.

        Raises
        ------
        ModelError
            If they are not of a head of this kind.
        """


HEADS: Plugins[Head] = Plugins(
    Head,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.detection_heads",
    "stackbone.stack.detection.heads",
    "HEAD",
    module="head",
    order=lambda each: (each.place, each.name),
)
"""All heads by name."""
