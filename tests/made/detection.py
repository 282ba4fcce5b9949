"""Caches of maps and boxes for tests: coloured squares whose maps show them, and a head that needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from stackbone.cache import DatasetIndex, Digests, FeatureSpec, FeatureStore
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.records.parts import Part, RowForm
from stackbone.extract import index_dataset, open_dataset
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.head import PRECISIONS, FittedHead, Head
from stackbone.stack.detection.source import MapSource
from tests.made.annotated import make_voc, voc_object, voc_xml
from tests.made.caches import SPEC, make_digests, make_index, on_disk

SIDE = 64
"""Of the frame, in pixels; made images are as large."""
CLASSES = ("disc", "square")
PYRAMID_SPEC = replace(SPEC, input_size=(SIDE, SIDE), crop_fraction=1.0, crop_mode="letterbox", output="pyramid")
_SHAPES = ((8, 8, 4), (4, 4, 4), (2, 2, 4))


def one_image(rng: np.random.Generator, n: int = 2) -> ImageBoxes:
    """Return n boxes of either class, in cells of their own."""
    cells = rng.choice(16, n, replace=False)
    corners = []
    for cell in cells:
        left, top = 16 * (cell % 4) + rng.integers(0, 3), 16 * (cell // 4) + rng.integers(0, 3)
        corners.append((left, top, left + 12, top + 12))
    names = tuple(CLASSES[i] for i in rng.integers(0, 2, n))
    return boxes_of(np.array(corners, np.float32).reshape(-1, 4), names)


def boxes_of(corners: NDArray[np.float32], classes: tuple[str, ...], side: int = SIDE) -> ImageBoxes:
    """Return boxes that are neither difficult nor crowds, of a square image."""
    none = np.zeros(len(classes), np.bool_)
    return ImageBoxes(np.asarray(corners, np.float32).reshape(-1, 4), classes, none, none, side, side)


def make_images(n: int, seed: int = 0) -> tuple[Digests, list[ImageBoxes]]:
    """Return n images with one to three boxes each."""
    rng = np.random.default_rng(seed)
    return make_digests(n, seed), [one_image(rng, int(rng.integers(1, 4))) for _ in range(n)]


def maps_of(boxes: ImageBoxes, noise: float, seed: int) -> NDArray[np.float16]:
    """Return a row of maps of three strides: in a cell whose centre lies in a box, the channel of its class is 1."""
    rng = np.random.default_rng(seed)
    levels = []
    for (height, width, depth), stride in zip(_SHAPES, (8, 16, 32), strict=True):
        level = rng.normal(0, noise, (height, width, depth))
        for corners, name in zip(boxes.corners, boxes.classes, strict=True):
            for row in range(height):
                for column in range(width):
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    if corners[0] <= x < corners[2] and corners[1] <= y < corners[3]:
                        level[row, column, CLASSES.index(name)] += 1
        levels.append(level.reshape(-1))
    return np.concatenate(levels).astype(np.float16)


def add_pyramid(
    store: FeatureStore,
    digests: Digests,
    boxes: list[ImageBoxes],
    name: str,
    noise: float,
    seed: int = 0,
    view: str = PLAIN,
) -> str:
    """Commit the maps of some images, and return the feature set's id."""
    spec: FeatureSpec = replace(PYRAMID_SPEC, weights=f"random({seed})", view=view)
    form = RowForm(
        parts=tuple(Part(f"stride{stride}", h * w * d) for stride, (h, w, d) in zip((8, 16, 32), _SHAPES, strict=True)),
        map_shapes=_SHAPES,
    )
    rows = np.stack([maps_of(each, noise, seed * 10_000 + row) for row, each in enumerate(boxes)])
    found = store.feature_set(name, spec)
    found.append(spec, digests, rows, {"made": "by a test"}, form, sizes=np.full((len(digests), 2), SIDE, np.int64))
    return found.id


def make_detection_cache(
    folder: Path,
    n: int = 40,
    *,
    backbones: tuple[str, ...] = ("net_a", "net_b"),
    noise: float = 0.2,
    source: str = "voc",
) -> FeatureStore:
    """Return a cache with a dataset ``shapes`` of n images with boxes, and pyramids of each backbone."""
    store = FeatureStore(folder)
    digests, boxes = make_images(n)
    index: DatasetIndex = make_index("shapes", digests, ["|".join(sorted(set(each.classes))) for each in boxes])
    index = replace(index, label_form="sets", split=["test" if i % 4 == 0 else "train" for i in range(n)])
    store.write_dataset(index)
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, source))
    for seed, name in enumerate(backbones):
        add_pyramid(store, digests, boxes, name, noise, seed)
    return store


def make_voc_cache(
    folder: Path, n: int = 24, *, backbones: tuple[str, ...] = ("net_a", "net_b"), split: bool = False
) -> FeatureStore:
    """Return a cache in ``folder/features`` of n photographs in ``folder/shapes``, a dataset of VOC on the disk.

    With `split`, every fourth is of the split ``test``, the others of ``train``.
    """
    _, boxes = make_images(n)
    objects = [
        [voc_object(name, *map(int, corners)) for name, corners in zip(each.classes, each.corners, strict=True)]
        for each in boxes
    ]
    names = [f"photo{i:02}" for i in range(n)]
    make_voc(
        folder / "shapes",
        {name: voc_xml(*each, size=(SIDE, SIDE)) for name, each in zip(names, objects, strict=True)},
        (SIDE, SIDE),
    )
    if split:
        lists = folder / "shapes" / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        for name, of_part in {"test": names[::4], "train": [each for i, each in enumerate(names) if i % 4]}.items():
            (lists / f"{name}.txt").write_text("\n".join(of_part))
    store = FeatureStore(folder / "features")
    index = index_dataset(open_dataset(folder / "shapes"), store)
    table = store.boxes("shapes")
    assert table is not None
    listed = [table.of(digest.tobytes()) for digest in index.image_sha256]
    for seed, name in enumerate(backbones):
        add_pyramid(store, index.image_sha256, [each for each in listed if each is not None], name, 0.2, seed)
    return store


class CellsFitted(FittedHead):
    """Takes connected cells that show a class for an object of it, and learns nothing but how large objects are."""

    head = "cells"

    def __init__(self, facts: dict[str, Any], size: NDArray[np.float32]) -> None:
        self.facts, self.size = facts, size
        self.classes = tuple(facts["classes"])

    def detect(
        self, source: MapSource, digests: Digests, sizes: NDArray[np.integer], *, on_progress: Progress = silent
    ) -> list[Detections]:
        """See `FittedHead`."""
        found = []
        for number, (width, height) in enumerate(np.asarray(sizes).tolist()):
            level = source.read(digests[number : number + 1])[0][0].astype(np.float32)
            corners, scores, classes = [], [], []
            for name in self.classes:
                channel = level[..., CLASSES.index(name) if name in CLASSES else 3]
                labels, n = label(channel > 0.5)
                for each in range(1, n + 1):
                    rows, columns = np.nonzero(labels == each)
                    middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) * source.levels[0].stride
                    corners.append(np.concatenate([middle - self.size / 2, middle + self.size / 2]))
                    scores.append(min(1.0, float(channel[labels == each].mean()) / 2))
                    classes.append(self.classes.index(name))
            frame = Letterbox(width, height, source.side)
            boxes = frame.to_image(np.array(corners, np.float32).reshape(-1, 4))
            found.append(Detections.sort(boxes, np.array(scores), np.array(classes, np.int64)))
            on_progress("finding objects", len(found), len(digests))
        return found

    def to_tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the size of objects."""
        return {"size": self.size}


class CellsHead(Head):
    """See `CellsFitted`; counts how often it was fitted."""

    name = "cells"
    what = "for tests"
    source = "none"
    has_precision = True
    n_fits = 0
    checkpoints: ClassVar[set[Place | None]] = set()

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
        precision: str = PRECISIONS[0],
    ) -> CellsFitted:
        """Take the mean size of objects."""
        CellsHead.n_fits += 1
        self.checkpoints.add(checkpoint)
        if checkpoint is not None:
            on_disk(checkpoint).write_text("half")
        corners = np.concatenate([each.corners for each in boxes])
        on_progress("training", 1, 1)
        return CellsFitted({"classes": list(classes)}, (corners[:, 2:] - corners[:, :2]).mean(axis=0))

    def from_tensors(self, tensors: Mapping[str, NDArray[np.float32]], facts: Mapping[str, Any]) -> CellsFitted:
        """Return the same head."""
        return CellsFitted(dict(facts), tensors["size"])


CELLS_HEAD = CellsHead()
"""Declared as another package's plug-in would be."""


class BlurredHead(CellsHead):
    """The same head, with boxes half as large again as they should be."""

    name = "blurred"

    def fit(self, *args: Any, **kwargs: Any) -> CellsFitted:  # noqa: ANN401 - whatever the other head takes
        """Take too large a size."""
        fitted = super().fit(*args, **kwargs)
        return CellsFitted(fitted.facts, np.asarray(fitted.size * 1.3, np.float32))


BLURRED_HEAD = BlurredHead()
