"""The images of a dataset that carry boxes: which take part, what is annotated on each, and what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureStore, StackError
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.labels.sets import BAR
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images

TASK = "multilabel"
"""As which images are divided: any number of classes is present on each."""

EXTRACT = ("stackbone", "extract", "VOCdevkit/VOC2007", "--outputs", "pyramid")
"""What makes a dataset that can be learnt from, as it is typed."""


@dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Annotated images, row by row.

    Attributes
    ----------
    images : LabelledImages
        Which they are, and what must stay together. Their labels say nothing.
    boxes : sequence of ImageBoxes
        What is annotated on each.
    sizes : NDArray[np.int64]
        ``(n_images, 2)`` width and height of each upright image in pixels.
    classes : tuple of str
        All classes that are annotated, ascending.
    source : str
        Form of the annotations: ``voc``, ``coco`` or ``yolo``.
    """

    images: LabelledImages
    boxes: Sequence[ImageBoxes]
    sizes: NDArray[np.int64]
    classes: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def presence(self) -> NDArray[np.int8]:
        """``(n_images, n_classes)``: 1 where an image has an object of a class that is to be found.

        Difficult objects and crowds are neither learnt nor tested.
        """
        place = {name: i for i, name in enumerate(self.classes)}
        found = np.zeros((len(self), len(self.classes)), np.int8)
        for row, each in enumerate(self.boxes):
            to_find = np.flatnonzero(~(each.difficult | each.crowd)).tolist()
            found[row, [place[each.classes[number]] for number in to_find]] = 1
        return found

    @property
    def n_boxes(self) -> int:
        """Boxes on all of them."""
        return sum(len(each) for each in self.boxes)

    def take(self, positions: NDArray[np.int64], note: str | None = None) -> Self:
        """Return some of the images, by position, with a note that says why the others are left out."""
        return replace(
            self,
            images=self.images.take(positions, note),
            boxes=[self.boxes[row] for row in positions.tolist()],
            sizes=self.sizes[positions],
        )

    def only(self, classes: tuple[str, ...]) -> Self:
        """Return the same images with the boxes of some classes alone, which are the only ones then."""
        boxes = [each.of_classes(classes) for each in self.boxes]
        return replace(self, boxes=boxes, classes=classes)

    def note(self, *sentences: str) -> Self:
        """Return the same images with more for a reader of the scores to know."""
        return replace(self, images=replace(self.images, notes=[*self.images.notes, *sentences]))


def find_annotated(store: FeatureStore, dataset: str | None = None) -> tuple[DatasetIndex, BoxTable]:
    """Return a dataset with boxes, by default the one extracted last, and its boxes.

    Raises
    ------
    StackError
        If the dataset, or every one, has no boxes.
    CacheError, UsageError
        If there is no such dataset, or a file of the cache is damaged.
    """
    first = store.dataset(dataset)
    names = store.dataset_names() if dataset is None else [dataset]
    for name in names:
        table = store.boxes(name)
        if table is not None and len(table.digests):
            return (first if name == first.name else store.dataset(name)), table
    cache = [] if store.root == FeatureStore().root else ["--cache", str(store.root)]
    found = f"the dataset {names[0]!r} in" if len(names) == 1 else f"the {len(names):,} datasets in"
    have = "has" if len(names) == 1 else "have"
    message = (
        f"{found} the cache {store.root} {have} no boxes. Detection learns from boxes: extract a folder in the form of "
        f"Pascal VOC, COCO or YOLO, such as `{typed(*EXTRACT, *cache)}`"
    )
    raise StackError(message)


def annotated_images(
    index: DatasetIndex, table: BoxTable, *, split: str | None = None, group_by: str = "auto"
) -> AnnotatedImages:
    """Join a dataset's images to their boxes by digest.

    An image that nobody annotated takes no part; one that is annotated and shows no object does.

    Parameters
    ----------
    index : DatasetIndex
        The dataset.
    table : BoxTable
        Its boxes.
    split : str, optional
        The split to test on: of byte-identical images the one in this split is kept.
    group_by : str
        See `stack.divisions.labelled_images.label_images`.

    Raises
    ------
    StackError
        If no image is both sound and annotated, nothing is annotated on any, or an image's size is unknown.
    UsageError
        If `group_by` is none of its choices.
    """
    known = [
        table.of(digest.tobytes()) if ok else None for digest, ok in zip(index.image_sha256, index.ok, strict=True)
    ]
    if not any(each is not None for each in known):
        message = (
            f"none of the {counted(len(index), 'image')} of the dataset {index.name!r} is annotated and could be read. "
            "Correct what `stackbone inspect` lists as failed, and extract them again"
        )
        raise StackError(message)
    marked = replace(index, label=["" if each is None else BAR for each in known], label_form="sets", corrected=None)
    images = label_images(marked, split=split, group_by=group_by)
    boxes = [each for row in images.rows.tolist() if (each := known[row]) is not None]
    classes = tuple(sorted({name for each in boxes for name in each.classes}))
    if not classes:
        message = (
            f"no object is annotated on any of {counted(len(boxes), 'image')} of the dataset {index.name!r}: there is "
            "nothing to learn. Check the annotations, and extract them again"
        )
        raise StackError(message)
    return AnnotatedImages(images, boxes, _sizes(index, images, boxes), classes, table.source)


def _sizes(index: DatasetIndex, images: LabelledImages, boxes: Sequence[ImageBoxes]) -> NDArray[np.int64]:
    """Return ``(n_images, 2)`` widths and heights, as annotated; of annotations without, as the files declare them."""
    sizes = np.array([(each.width, each.height) for each in boxes], np.int64).reshape(-1, 2)
    unknown = (sizes <= 0).any(axis=1)
    if index.sizes is not None:
        sizes[unknown] = index.sizes[images.rows[unknown]]
    unknown = (sizes <= 0).any(axis=1)
    if unknown.any():
        path = images.paths[int(unknown.argmax())]
        message = (
            f"the width and height of {counted(int(unknown.sum()), 'image')} of the dataset {index.name!r} are not "
            f"known, such as of {path!r}: its annotation does not say. Extract the dataset again, which measures them"
        )
        raise StackError(message)
    return sizes
