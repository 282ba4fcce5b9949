"""A recorded detection is run again as it was, and refused where it would be another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.records.views import MIRROR
from stackbone.stack.detection.results.reproduce import reproduce_detection
from stackbone.stack.detection.results.result_file import write_detection
from stackbone.stack.detection.run import run_detection
from tests.made.detection import CellsHead, add_pyramid, boxes_of, make_detection_cache, make_images


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return make_detection_cache(tmp_path / "cache")


@pytest.fixture
def file(store: FeatureStore, tmp_path: Path) -> Path:
    write_detection(run_detection(store, heads="cells", cv=2), tmp_path / "r.json")
    return tmp_path / "r.json"


def write_boxes(store: FeatureStore, boxes: list[ImageBoxes]) -> None:
    digests, _ = make_images(40)
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))


def test_the_same_numbers_come_back_and_nothing_is_trained(store: FeatureStore, file: Path) -> None:
    n_fits = CellsHead.n_fits
    assert reproduce_detection(file, store).to_dict() == json.loads(file.read_text())
    assert CellsHead.n_fits == n_fits


def _moved(boxes: ImageBoxes) -> ImageBoxes:
    return boxes_of(boxes.corners + 1, boxes.classes)


def _difficult(boxes: ImageBoxes) -> ImageBoxes:
    return replace(boxes, difficult=np.ones(len(boxes), np.bool_))


def _larger(boxes: ImageBoxes) -> ImageBoxes:
    return replace(boxes, width=65)


@pytest.mark.parametrize("change", [_moved, _difficult, _larger])
def test_as_many_but_other_boxes_are_refused_before_anything_is_trained(
    store: FeatureStore, file: Path, change: Callable[[ImageBoxes], ImageBoxes]
) -> None:
    n_fits = CellsHead.n_fits
    _, boxes = make_images(40)
    write_boxes(store, [change(boxes[0]), *boxes[1:]])
    with pytest.raises(StackError, match=r"boxes are others, or their boxes, classes or sizes are.*--result again"):
        reproduce_detection(file, store)
    assert CellsHead.n_fits == n_fits


def test_fewer_boxes_are_told_by_their_number(store: FeatureStore, file: Path) -> None:
    _, boxes = make_images(40)
    write_boxes(store, [boxes_of(boxes[0].corners[:0], ()), *boxes[1:]])
    with pytest.raises(StackError, match=rf"of 40 images with {sum(map(len, boxes))} boxes, and there are 40 with"):
        reproduce_detection(file, store)


def test_the_test_of_a_saved_model_is_no_experiment_to_run_again(store: FeatureStore, tmp_path: Path) -> None:
    experiment = replace(run_detection(store, heads="cells", cv=2), tested="a saved model on 40 images")
    write_detection(experiment, tmp_path / "m.json")
    with pytest.raises(StackError, match=r"a saved model on 40 images.*`stackbone evaluate DATA --model FILE"):
        reproduce_detection(tmp_path / "m.json", store)


def test_views_and_backbones_that_join_later_take_no_part(store: FeatureStore, file: Path) -> None:
    digests, boxes = make_images(40)
    n_fits = CellsHead.n_fits
    add_pyramid(store, digests, boxes, "net_a", 0.2, 0, view=MIRROR)
    add_pyramid(store, digests, boxes, "net_a", 0.9, 7)
    add_pyramid(store, digests, boxes, "net_c", 0.2, 8)
    assert reproduce_detection(file, store).to_dict() == json.loads(file.read_text())
    assert CellsHead.n_fits == n_fits


def test_maps_that_are_gone_are_named(store: FeatureStore, file: Path) -> None:
    told = json.loads(file.read_text())
    told["backbones"]["net_a"] = ["net_a:pyramid-0123456789ab"]
    file.write_text(json.dumps(told))
    with pytest.raises(StackError, match=r"no maps of every image in 'net_a:pyramid-0123456789ab'"):
        reproduce_detection(file, store)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("scores", 0, "ap50"), r"records 0\.123 for cells:net_a ap50"),
        (("scores", 2, "folds", 1), r"records 0\.123 for cells:fusion folds 2"),
        (("scores", 1, "per_class", "disc"), r"records 0\.123 for cells:net_b per_class disc"),
        (("scores", 1, "low"), r"records 0\.123 for cells:net_b low"),
    ],
)
def test_other_numbers_are_refused(store: FeatureStore, file: Path, place: tuple[Any, ...], said: str) -> None:
    told = json.loads(file.read_text())
    inner = told
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = 0.123
    file.write_text(json.dumps(told))
    with pytest.raises(StackError, match=said):
        reproduce_detection(file, store)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images_sha256", None),
        ("tested", 3),
        ("cv", None),
        ("seed", -1),
        ("dealing", "none"),
        ("heads", []),
        ("heads", [3]),
        ("backbones", {}),
        ("backbones", {"net_a": []}),
        ("backbones", {"net_a": "net_a"}),
        ("settings", {"cells": {"epochs": "many"}}),
        ("settings", {"cells": {"epochs": 0}}),
        ("settings", {"cells": {"precision": "fp16"}}),
        ("settings", {"cells": {}}),
        ("settings", []),
    ],
)
def test_fields_of_another_form_are_no_result(store: FeatureStore, file: Path, name: str, value: object) -> None:
    told = json.loads(file.read_text())
    told[name] = value
    file.write_text(json.dumps(told))
    with pytest.raises(StackError, match="stackbone detect --result FILE"):
        reproduce_detection(file, store)
