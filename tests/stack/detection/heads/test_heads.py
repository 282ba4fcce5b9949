"""Every head finds objects that are planted in maps, comes out the same again, and travels as tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import ModelError, StackError
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.head import HEADS, FittedHead
from stackbone.stack.detection.heads.conv.training import Plan
from stackbone.stack.detection.scores.coco import coco_scores
from tests.made.drawn_boxes import image_boxes
from tests.made.planted_maps import CLASSES, PlantedMaps, planted_images, sizes_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")

DOCUMENT = Path(__file__).parents[4] / "docs" / "detection.md"
OURS = ("conv", "linear", "published")
QUICK = Plan(n_epochs=11, width=32, depth=1, rate=5e-3)
SHORT = Plan(n_epochs=2, width=16, depth=1)
N_TRAIN = 60


def fit(
    name: str,
    boxes: Sequence[ImageBoxes],
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
    *,
    source: PlantedMaps | None = None,
    plan: Plan = SHORT,
) -> FittedHead:
    source = source or PlantedMaps(boxes)
    settings: dict[str, dict[str, Any]] = {"conv": {"plan": plan}, "published": {"epochs": 4}}
    return HEADS[name].fit(source, source.digests, boxes, classes, seed, **settings.get(name, {}))


def find(head: FittedHead, source: PlantedMaps, boxes: Sequence[ImageBoxes]) -> list[Detections]:
    return head.detect(source, source.digests, sizes_of(boxes))


@pytest.fixture(scope="module")
def train() -> list[ImageBoxes]:
    return planted_images(1, N_TRAIN)


@pytest.fixture(scope="module")
def fitted(train: list[ImageBoxes], one_torch_thread: None) -> dict[str, FittedHead]:
    return {name: fit(name, train, plan=QUICK) for name in OURS}


def test_heads_are_found_by_their_folder() -> None:
    assert set(OURS) <= set(HEADS.our_names)
    for name in OURS:
        assert HEADS[name].name == name
        assert HEADS[name].what
        assert HEADS[name].source


@pytest.mark.parametrize("name", ["conv", "linear"])
def test_a_head_finds_what_is_planted(name: str, fitted: dict[str, FittedHead]) -> None:
    test = planted_images(2, 40)
    found = find(fitted[name], PlantedMaps(test, seed=5), test)
    assert (coco_scores(test, found, CLASSES).ap50 or 0) > 0.9
    for each, boxes in zip(found, test, strict=True):
        assert (np.diff(each.scores) <= 0).all()
        assert len(each) <= 100
        assert (each.corners >= 0).all()
        assert (each.corners <= [boxes.width, boxes.height] * 2).all()
        assert set(each.classes.tolist()) <= {0, 1}


def test_the_published_head_has_as_many_boxes_as_the_fullest_image(fitted: dict[str, FittedHead]) -> None:
    test = planted_images(2, 10)
    found = find(fitted["published"], PlantedMaps(test), test)
    assert fitted["published"].facts["n_slots"] == 3
    assert 0 < max(len(each) for each in found) <= 3 * len(CLASSES)


@pytest.mark.parametrize("name", OURS)
def test_the_same_arguments_give_the_same_head_and_another_seed_another(name: str, train: list[ImageBoxes]) -> None:
    few = train[:20]
    first, again, other = (fit(name, few, seed=seed).to_tensors() for seed in (0, 0, 1))
    assert first.keys() == again.keys() == other.keys()
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert name == "linear" or any(not np.array_equal(first[key], other[key]) for key in first)


def documented(name: str) -> dict[str, str]:
    """Return what the table of heads in the documentation says of one."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]
    header = next(row for row in table if row[:2] == ["head", "what it is"])
    return dict(zip(header, next(row for row in table if row[0] == f"`{name}`"), strict=True))


@pytest.mark.parametrize("name", OURS)
def test_the_documentation_says_of_each_head_what_it_does(name: str, train: list[ImageBoxes], tmp_path: Path) -> None:
    few, said = train[:20], documented(name)
    source, mirrored = PlantedMaps(few), PlantedMaps(few, is_mirrored=True)
    settings: dict[str, dict[str, Any]] = {"conv": {"plan": SHORT}, "published": {"epochs": 2}}
    ours = settings.get(name, {})
    plain = HEADS[name].fit(source, source.digests, few, CLASSES, 0, **ours).to_tensors()
    both = HEADS[name].fit(source, source.digests, few, CLASSES, 0, mirrored=mirrored, **ours).to_tensors()
    learns_from_both = any(not np.array_equal(plain[key], both[key]) for key in plain)
    assert said["mirrored maps"] == ("seen half of the time" if learns_from_both else "not used")

    def stop(what: str, done: int, total: int) -> None:
        if done == total and what != "sampling cells":
            raise KeyboardInterrupt

    file = tmp_path / "head.training"
    with pytest.raises(KeyboardInterrupt):
        HEADS[name].fit(source, source.digests, few, CLASSES, 0, checkpoint=file, on_progress=stop, **ours)
    assert said["after an interruption"] == ("goes on where it was" if file.is_file() else "starts over")
    assert said["`--epochs`"] == ("yes" if HEADS[name].has_epochs else "no")
    assert said["`--precision`"] == ("yes" if HEADS[name].has_precision else "no")


@pytest.mark.parametrize("name", OURS)
def test_a_head_travels_as_tensors_and_json(name: str, fitted: dict[str, FittedHead]) -> None:
    test = planted_images(3, 6)
    source, first = PlantedMaps(test), fitted[name]
    facts = json.loads(json.dumps(first.facts))
    again = HEADS[name].from_tensors(first.to_tensors(), facts)
    assert (again.head, again.classes) == (name, CLASSES)
    for one, two in zip(find(first, source, test), find(again, source, test), strict=True):
        np.testing.assert_array_equal(one.corners, two.corners)
        np.testing.assert_array_equal(one.scores, two.scores)
        np.testing.assert_array_equal(one.classes, two.classes)
    assert all(array.dtype == np.float32 for array in first.to_tensors().values())


@pytest.mark.parametrize("name", OURS)
def test_tensors_that_are_not_of_the_head_are_refused(name: str, fitted: dict[str, FittedHead]) -> None:
    tensors, facts = fitted[name].to_tensors(), fitted[name].facts
    key = sorted(tensors)[0]
    bad = [
        ({**tensors, "stranger": np.zeros(1, np.float32)}, facts),
        ({**tensors, key: np.full_like(tensors[key], np.nan)}, facts),
        ({**tensors, key: np.zeros((3, 3, 3), np.float32)}, facts),
        ({each: array for each, array in tensors.items() if each != key}, facts),
        (tensors, {**facts, "classes": ["one", "two", "three"]}),
        (tensors, {each: fact for each, fact in facts.items() if each != "pyramid"}),
        (tensors, {**facts, "pyramid": {"side": 128, "levels": [[8]]}}),
    ]
    for each, its_facts in bad:
        with pytest.raises(ModelError, match=f"`{name}` head"):
            HEADS[name].from_tensors(each, its_facts)


@pytest.mark.parametrize("name", OURS)
def test_maps_of_another_shape_are_refused(name: str, fitted: dict[str, FittedHead]) -> None:
    test = planted_images(3, 2)
    source = PlantedMaps(test)
    source.levels = tuple(replace(each, depth=each.depth + 1) for each in source.levels)
    with pytest.raises(StackError, match="Use maps of the backbone and the --map-size that it was trained on"):
        find(fitted[name], source, test)


@pytest.mark.parametrize("name", OURS)
def test_empty_images_one_class_and_a_class_with_one_object_are_learned(name: str) -> None:
    nothing = image_boxes([], ())
    one_class = [*planted_images(4, 20, CLASSES[:1]), nothing, nothing]
    source = PlantedMaps(one_class)
    head = fit(name, one_class, CLASSES[:1])
    assert {code for each in find(head, source, one_class) for code in each.classes.tolist()} <= {0}
    rare = [*planted_images(5, 20, CLASSES[:1]), image_boxes([[40, 40, 90, 90]], ("dog",)), nothing]
    found = find(fit(name, rare), PlantedMaps(rare), rare)
    assert all(np.isfinite(each.corners).all() and np.isfinite(each.scores).all() for each in found)
    assert coco_scores(rare, found, CLASSES).classes["dog"].ap50 is not None
    none_at_all = PlantedMaps([])
    assert find(head, none_at_all, []) == []


@pytest.mark.parametrize("name", OURS)
def test_nothing_to_learn_from_is_told(name: str) -> None:
    corners = [[10, 10, 50, 50]]
    for boxes in (
        [image_boxes([], ())] * 3,
        [image_boxes(corners, ("cat",), difficult=[True]), image_boxes(corners, ("dog",), crowd=[True])],
    ):
        with pytest.raises(StackError, match="has no box that is to be found: a head learns from at least one"):
            fit(name, boxes)
    with pytest.raises(StackError, match=r"there are boxes of 'd\\x1bog',"):
        fit(name, [image_boxes(corners, ("d\x1bog",))], source=PlantedMaps([image_boxes([], ())]))
    with pytest.raises(StackError, match="images are not known"):
        fit(name, [replace(image_boxes(corners, ("cat",)), width=0)], source=PlantedMaps([image_boxes([], ())]))


@pytest.mark.parametrize("name", OURS)
def test_a_box_that_fills_the_image_is_learned(name: str) -> None:
    full = [image_boxes([[0, 0, 200, 150]], ("cat",)) for _ in range(30)]
    found = find(fit(name, full, plan=replace(QUICK, width=16)), PlantedMaps(full, seed=3), full)
    if name != "published":
        assert (coco_scores(full, found, CLASSES).ap50 or 0) > 0.9


def test_a_difficult_object_is_neither_learned_nor_background() -> None:
    """Its cells would say "nothing here", against all others: heads find it because they were not told so."""
    boxes = planted_images(6, N_TRAIN)
    rng = np.random.default_rng(0)
    hard = [replace(each, difficult=rng.random(len(each)) < 0.5) for each in boxes]
    test = planted_images(7, 30)
    found = find(fit("linear", hard, source=PlantedMaps(boxes)), PlantedMaps(test, seed=9), test)
    assert (coco_scores(test, found, CLASSES).ap50 or 0) > 0.9
