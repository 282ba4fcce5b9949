"""One set of photographs, annotated in each of the forms, has the same boxes, labels and splits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.embedding.indexing import make_index
from tests.made.annotated import coco_content, make_coco

CLASSES = ("RBC", "WBC", "Platelets")
COCO = {"train": "train2017", "validation": "val2017", "test": "test2017"}
YOLO = {"train": "train", "validation": "val", "test": "test"}


@pytest.fixture
def blood(shared_data: Path) -> Dataset:
    folder = shared_data / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return open_dataset(folder)


def indexed(dataset: Dataset) -> BoxTable:
    made = make_index(dataset, FeatureStore("nowhere"), retry_failed=False, report=lambda *_: None)
    assert made.boxes is not None
    return made.boxes


def boxes_of(dataset: Dataset, path: str) -> ImageBoxes:
    assert dataset.boxes is not None
    return dataset.boxes[path]


def link(dataset: Dataset, row: int, folder: Path) -> str:
    """Put an image into a folder and return its name."""
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.basename(dataset.paths[row])
    (folder / name).symlink_to(dataset.root / dataset.paths[row])
    return name


def as_coco(dataset: Dataset, folder: Path) -> Path:
    for split, tag in COCO.items():
        rows = [row for row, each in enumerate(dataset.splits) if each == split]
        images = {}
        for row in rows:
            boxes = boxes_of(dataset, dataset.paths[row])
            pairs = zip(boxes.classes, boxes.corners.tolist(), strict=True)
            images[link(dataset, row, folder / tag)] = [(name, *corners) for name, corners in pairs]
        content = json.dumps(coco_content(images, CLASSES, (640, 480)))
        make_coco(folder, content, f"annotations/instances_{tag}.json")
    return folder


def as_yolo(dataset: Dataset, folder: Path) -> Path:
    for row, (path, split) in enumerate(zip(dataset.paths, dataset.splits, strict=True)):
        boxes = boxes_of(dataset, path)
        name = link(dataset, row, folder / "images" / YOLO[split])
        lines = [
            f"{CLASSES.index(kind)} {(x1 + x2) / 1280:.7f} {(y1 + y2) / 960:.7f} "
            f"{(x2 - x1) / 640:.7f} {(y2 - y1) / 480:.7f}"
            for kind, (x1, y1, x2, y2) in zip(boxes.classes, boxes.corners.tolist(), strict=True)
        ]
        labels = folder / "labels" / YOLO[split] / f"{os.path.splitext(name)[0]}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("\n".join(lines))
    splits = "".join(f"{key}: images/{key}\n" for key in YOLO.values())
    (folder / "data.yaml").write_text(f"path: ../datasets/blood\n{splits}names: [{', '.join(CLASSES)}]\n")
    return folder


def test_blood_cells_are_the_same_in_each_form(blood: Dataset, tmp_path: Path) -> None:
    expected = indexed(blood)
    assert (len(expected), expected.n_boxes) == (364, 4886)
    for folder in (as_coco(blood, tmp_path / "coco"), as_yolo(blood, tmp_path / "yolo")):
        dataset = open_dataset(folder)
        found = indexed(dataset)
        np.testing.assert_array_equal(found.digests, expected.digests)
        np.testing.assert_allclose(found.flat.corners, expected.flat.corners, atol=1e-3)
        np.testing.assert_array_equal(found.flat.classes, expected.flat.classes)
        assert found.source == folder.name
        assert sorted(zip(dataset.splits, dataset.labels, strict=True)) == sorted(
            zip(blood.splits, blood.labels, strict=True)
        )
        assert len(dataset.notes) == 1
