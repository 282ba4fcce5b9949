"""Images with annotations of their objects, in each of the forms that are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Box = tuple[str, float, float, float, float]
"""Class, and left, top, right, bottom in pixels."""

SIZE = (40, 30)


def photo(path: Path, size: tuple[int, int] = SIZE, *, seed: int = 0, **how: Any) -> Path:  # noqa: ANN401 - Pillow's
    """Write an image, each seed another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return path


def voc_xml(*objects: str, size: tuple[int, int] | None = SIZE) -> str:
    """Return an annotation of Pascal VOC."""
    told = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>x.jpg</filename>{told}{''.join(objects)}</annotation>"


def voc_object(name: str, *corners: object, more: str = "") -> str:
    """Return an object of Pascal VOC; corners are its xmin, ymin, xmax and ymax."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    box = "".join(f"<{key}>{value}</{key}>" for key, value in zip(keys, corners, strict=False))
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def make_voc(folder: Path, annotations: Mapping[str, str | None], size: tuple[int, int] = SIZE) -> Path:
    """Write a folder in the form of Pascal VOC: a photograph for each name, and its annotation unless None."""
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    for seed, (name, xml) in enumerate(annotations.items()):
        photo(folder / "JPEGImages" / f"{name}.jpg", size, seed=seed)
        if xml is not None:
            (folder / "Annotations" / f"{name}.xml").write_text(xml)
    return folder


def coco_content(
    images: Mapping[str, Sequence[Box] | None], classes: Sequence[str], size: tuple[int, int] | None = SIZE
) -> dict[str, Any]:
    """Return annotations of COCO; categories are numbered from 1, images from 10."""
    told = {} if size is None else {"width": size[0], "height": size[1]}
    listed = [{"id": 10 + i, "file_name": name, **told} for i, name in enumerate(images)]
    annotations = [
        {"image_id": 10 + i, "category_id": 1 + classes.index(name), "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        for i, boxes in enumerate(images.values())
        for name, x1, y1, x2, y2 in boxes or ()
    ]
    numbered = [{"id": i, "segmentation": [[1, 2, 3, 4, 5, 6]], **each} for i, each in enumerate(annotations)]
    categories = [{"id": 1 + i, "name": name} for i, name in enumerate(classes)]
    return {"info": {}, "images": listed, "annotations": numbered, "categories": categories}


def make_coco(folder: Path, content: Any, name: str = "annotations/instances_train2017.json") -> Path:  # noqa: ANN401
    """Write a file of annotations into a folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def make_yolo(folder: Path, labels: Mapping[str, str | None], config: str, size: tuple[int, int] = SIZE) -> Path:
    """Write a folder in the form of YOLO: ``train/a`` to the text of its labels, None for no file."""
    for seed, (name, text) in enumerate(labels.items()):
        photo(folder / "images" / f"{name}.jpg", size, seed=seed)
        file = folder / "labels" / f"{name}.txt"
        if text is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (folder / "data.yaml").write_text(config)
    return folder
