"""What is held out of a training part leaves objects to learn from, and what cannot be divided is told by the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.records.annotated import TASK, AnnotatedImages, annotated_images, find_annotated
from stackbone.stack.detection.records.folds import divide_images, hold_out
from stackbone.stack.detection.run import run_detection
from stackbone.stack.divisions.division import Division
from tests.made.detection import boxes_of, make_detection_cache, make_images


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_detection_cache(tmp_path_factory.mktemp("cache"), backbones=("net_a",))


def annotated(store: FeatureStore, with_objects: set[int], split: str | None = None) -> AnnotatedImages:
    """Return the images of the cache with boxes on some of them alone."""
    write(store, with_objects)
    index, table = find_annotated(store, "shapes")
    return annotated_images(index, table, split=split)


def write(store: FeatureStore, with_objects: set[int]) -> None:
    digests, boxes = make_images(40)
    left: list[ImageBoxes] = [
        each if row in with_objects else boxes_of(each.corners[:0], ()) for row, each in enumerate(boxes)
    ]
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, left, strict=True)}, "voc"))


@pytest.mark.parametrize("only", range(8))
def test_the_only_image_with_objects_is_never_held_out(store: FeatureStore, only: int) -> None:
    images = annotated(store, {only})
    part = hold_out(images, np.arange(40), Division(task=TASK, seed=0))
    assert only in part.train.tolist()
    assert len(part.test)
    assert sorted([*part.train.tolist(), *part.test.tolist()]) == list(range(40))


@pytest.mark.parametrize("seed", range(8))
def test_of_two_images_with_objects_one_is_held_out(store: FeatureStore, seed: int) -> None:
    images = annotated(store, {3, 11})
    part = hold_out(images, np.arange(40), Division(task=TASK, seed=seed))
    assert images.presence[part.train].any()
    assert images.presence[part.test].any()


def test_few_images_with_objects_train_and_test_under_a_split(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    write(store, {0, 1})  # one of the split test, and one to learn from
    score = run_detection(store, heads="cells", split="test").score("cells:net_a")
    assert score.ap50 > 0


def test_a_split_that_leaves_no_object_to_learn_from_names_what_helps(store: FeatureStore) -> None:
    images = annotated(store, {0, 4}, "test")
    with pytest.raises(StackError, match=r"no class can be scored: .*Or use cross-validation .* --cv 3"):
        divide_images(images, Division(task=TASK, split="test"))
    write(store, {0, 4})
    assert run_detection(store, heads="cells", cv=3).score("cells:net_a").ap50 > 0


def test_a_training_part_without_objects_is_told_by_the_plan(store: FeatureStore) -> None:
    images = annotated(store, {0})
    with pytest.raises(StackError, match=r"training part, all but the split 'test', .* 39 images.*--cv 3"):
        hold_out(images, np.arange(1, 40), Division(task=TASK, split="test"))
    with pytest.raises(StackError, match=r"training part of one of 2 folds .* 39 images.*Annotate more images"):
        hold_out(images, np.arange(1, 40), Division(task=TASK, cv=2))


def test_a_training_part_of_one_image_is_told_by_the_plan(store: FeatureStore) -> None:
    images = annotated(store, {0})
    with pytest.raises(StackError, match=r"all but the split 'test', is 1 image or group, and detection needs two"):
        hold_out(images, np.arange(1), Division(task=TASK, split="test"))


def test_difficult_objects_make_no_class_present(store: FeatureStore) -> None:
    images = annotated(store, {0, 1})
    boxes = [replace(each, difficult=np.ones(len(each), np.bool_)) for each in images.boxes]
    assert not replace(images, boxes=boxes).presence.any()
