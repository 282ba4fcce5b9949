"""The `conv` head: targets and losses by their words, mirrored maps, checkpoints, memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.cache.errors import UsageError
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.cells import BACKGROUND, IGNORED, Cells, assign, centre_ness, corners_of, distances
from stackbone.stack.detection.framed import FramedBoxes, framed_boxes
from stackbone.stack.detection.heads.conv import training
from stackbone.stack.detection.heads.conv.head import HEAD, ConvFitted
from stackbone.stack.detection.heads.conv.losses import Targets, loss
from stackbone.stack.detection.heads.conv.training import Plan
from tests.made.planted_maps import CLASSES, SIDE, PlantedMaps, planted_images, sizes_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")

Floats = NDArray[np.float32]

PLAN = Plan(n_epochs=3, width=16, depth=1)


def floats(values: object) -> Floats:
    return np.asarray(values, np.float32)


@pytest.mark.parametrize("reach", [4.0, 8.0])
def test_cells_see_the_smallest_object_whose_size_is_theirs(reach: float) -> None:
    boxes = planted_images(0, 12)
    cells = Cells.of(PlantedMaps(boxes).levels, reach)
    for each in framed_boxes(boxes, sizes_of(boxes), SIDE, CLASSES):
        found = assign(cells, each)
        for cell, (x, y) in enumerate(cells.centres):
            best, area = BACKGROUND, np.inf
            for number, (left, top, right, bottom) in enumerate(each.corners):
                edges = (x - left, y - top, right - x, bottom - y)
                stride = cells.strides[cell]
                low, high = {8: (0.0, 8.0), 16: (8.0, 16.0), 32: (16.0, np.inf)}[int(stride)]
                low, high = low * reach, high * reach
                near = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < 1.5 * stride
                fits = min(edges) > 0 and near and low < max(edges) <= high
                if fits and (right - left) * (bottom - top) < area:
                    best, area = number, (right - left) * (bottom - top)
            assert found[cell] == best
    assert {each.stride for each in PlantedMaps(boxes).levels} == {8, 16, 32}


def test_distances_and_corners_are_each_others_inverse() -> None:
    cells = Cells.of(PlantedMaps([]).levels)
    corners = np.tile(floats([3, 5, 90, 70]), (len(cells.centres), 1))
    edges = distances(cells.centres, corners) / cells.strides[:, None]
    np.testing.assert_allclose(corners_of(cells, edges), corners, atol=1e-4)
    np.testing.assert_allclose(corners_of(cells, edges[None])[0], corners, atol=1e-4)
    assert centre_ness(floats([[2, 3, 2, 3]]))[0] == 1
    assert centre_ness(floats([[1, 3, 4, 3]]))[0] == pytest.approx(0.5)


def test_mirrored_boxes_are_where_they_are_in_the_mirrored_frame() -> None:
    """The view is the frame mirrored, and a frame's fill may be a pixel wider on one side than on the other."""
    boxes = [replace(each, width=88) for each in planted_images(0, 5)]
    plain = framed_boxes(boxes, sizes_of(boxes), SIDE, CLASSES)
    mirrored = framed_boxes(boxes, sizes_of(boxes), SIDE, CLASSES, mirrored=True)
    assert Letterbox(88, 150, SIDE).corner[0] * 2 + Letterbox(88, 150, SIDE).size[0] != SIDE
    for one, two in zip(plain, mirrored, strict=True):
        np.testing.assert_allclose(two.corners[:, 0], SIDE - one.corners[:, 2], atol=1e-4)
        np.testing.assert_allclose(two.corners[:, 2], SIDE - one.corners[:, 0], atol=1e-4)
        np.testing.assert_array_equal(one.corners[:, 1::2], two.corners[:, 1::2])
        np.testing.assert_array_equal(one.classes, two.classes)


def test_what_is_ignored_counts_for_nothing_in_the_loss() -> None:
    cells = Cells.of(PlantedMaps([]).levels)
    own = FramedBoxes(floats([[8, 8, 40, 40]]), np.array([1]), floats([[80, 80, 120, 120]]))
    found = assign(cells, own)
    assert (found == IGNORED).sum() > 5
    targets = Targets(cells, [own], 2)
    torch.manual_seed(0)
    outputs = (torch.randn(1, len(found), 2), torch.rand(1, len(found), 4) + 0.1, torch.randn(1, len(found)))
    first = loss(outputs, targets)
    outputs[0][0, torch.from_numpy(found == IGNORED)] = 9.0
    assert loss(outputs, targets) == first
    outputs[0][0, torch.from_numpy(found == BACKGROUND)] = 9.0
    assert loss(outputs, targets) > first


def test_an_object_between_all_cells_is_no_background() -> None:
    cells = Cells.of(PlantedMaps([]).levels)
    thin = FramedBoxes(floats([[5, 5, 11, 11]]), np.array([1]), np.zeros((0, 4), np.float32))
    found = assign(cells, thin)
    nearest = np.abs(cells.centres - 8).max(axis=1) < 12
    np.testing.assert_array_equal(np.flatnonzero(found == IGNORED), np.flatnonzero(nearest & (cells.strides == 8)))
    assert set(found.tolist()) == {IGNORED, BACKGROUND}


def test_the_loss_of_right_answers_is_nought() -> None:
    cells = Cells.of(PlantedMaps([]).levels)
    own = FramedBoxes(floats([[0, 0, 128, 128], [8, 8, 40, 40]]), np.array([0, 1]), np.zeros((0, 4), np.float32))
    found = assign(cells, own)
    targets = Targets(cells, [own], 2)
    logits, edges = torch.full((1, len(found), 2), -20.0), torch.ones(1, len(found), 4)
    has = np.flatnonzero(found >= 0)
    logits[0, has, own.classes[found[has]]] = 20.0
    true = distances(cells.centres[has], own.corners[found[has]])
    edges[0, has] = torch.from_numpy(true / cells.strides[has, None])
    value = loss((logits, edges, torch.zeros(1, len(found))), targets)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(torch.zeros(len(has)), targets.centre)
    assert float(value) == pytest.approx(float(entropy), abs=1e-5)
    nothing = Targets(cells, [FramedBoxes(own.corners[:0], own.classes[:0], own.ignored)], 2)
    assert float(loss((torch.full_like(logits, -20.0), edges, torch.zeros(1, len(found))), nothing)) < 1e-6


def test_a_training_that_was_cut_short_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    boxes = planted_images(1, 20)
    source, mirrored = PlantedMaps(boxes), PlantedMaps(boxes, is_mirrored=True)

    def train(checkpoint: Path | None, stop: int = 10**9) -> tuple[dict[str, Floats], list[float]]:
        def tell(_what: str, done: int, _total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        head = HEAD.fit(
            source,
            source.digests,
            boxes,
            CLASSES,
            3,
            mirrored=mirrored,
            checkpoint=checkpoint,
            on_progress=tell,
            plan=PLAN,
        )
        return head.to_tensors(), head.facts["losses"]

    whole, losses = train(None)
    file = tmp_path / "head.training"
    with pytest.raises(KeyboardInterrupt):
        train(file, stop=8)  # in the third epoch
    assert file.is_file()
    tensors, again = train(file)
    assert again == losses
    assert all(np.array_equal(whole[name], tensors[name]) for name in whole)
    assert not file.exists()


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = planted_images(1, 16)
    source, file = PlantedMaps(boxes), tmp_path / "head.training"

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HEAD.fit(source, source.digests, boxes, CLASSES, 0, checkpoint=file, on_progress=stop, plan=PLAN)
    with caplog.at_level(logging.WARNING):
        other = HEAD.fit(source, source.digests, boxes, CLASSES, 1, checkpoint=file, plan=PLAN).to_tensors()
    assert "The training starts over" in caplog.text
    plain = HEAD.fit(source, source.digests, boxes, CLASSES, 1, plan=PLAN).to_tensors()
    assert all(np.array_equal(plain[name], other[name]) for name in plain)
    file.write_bytes(b"not a checkpoint")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        HEAD.fit(source, source.digests, boxes, CLASSES, 1, checkpoint=file, plan=PLAN)
    assert "is not a sound checkpoint" in caplog.text


def test_training_is_in_float32_whatever_the_machine_multiplies_and_in_bfloat16_on_request(tmp_path: Path) -> None:
    boxes = planted_images(1, 16)
    source, file = PlantedMaps(boxes), tmp_path / "head.training"

    def train(on_progress: Progress = silent, **asked: Any) -> ConvFitted:  # noqa: ANN401 - arguments of fit
        return HEAD.fit(source, source.digests, boxes, CLASSES, 0, plan=PLAN, on_progress=on_progress, **asked)

    usual, single, half = train(), train(precision="fp32"), train(precision="bf16")
    assert [each.facts["precision"] for each in (usual, single, half)] == ["fp32", "fp32", "bf16"]
    one, two, three = usual.to_tensors(), single.to_tensors(), half.to_tensors()
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], three[name]) for name in one)
    assert usual.facts["losses"] != half.facts["losses"]
    assert usual.facts["losses"] == pytest.approx(half.facts["losses"], rel=0.05)

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stop, precision="bf16", checkpoint=file)
    assert file.is_file()
    after = train(checkpoint=file).to_tensors()
    assert all(np.array_equal(one[name], after[name]) for name in one)
    with pytest.raises(UsageError, match="unknown --precision 'auto'"):
        train(precision="auto")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda facts, tensors: facts.update(history=[1.0] * 3),
        lambda facts, tensors: facts.update(history=[]),
        lambda facts, tensors: facts.update(history="long"),
        lambda facts, tensors: facts.update(history=[float("1e400")]),
        lambda facts, tensors: tensors.pop(sorted(tensors)[0]),
        lambda facts, tensors: tensors.update(stranger=np.zeros(1, np.float32)),
        lambda facts, tensors: tensors.update({sorted(tensors)[0]: np.zeros((2, 2), np.float32)}),
        lambda facts, tensors: tensors.update({sorted(tensors)[0]: tensors[sorted(tensors)[0]] * np.nan}),
    ],
)
def test_a_checkpoint_that_no_training_wrote_is_not_taken_up(
    spoil: Callable[[dict[str, Any], dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boxes = planted_images(1, 4)
    source, file = PlantedMaps(boxes), tmp_path / "head.training"
    plan = Plan(n_epochs=3, width=16, depth=1)
    kept: list[tuple[str, dict[str, Any], dict[str, Floats]]] = []

    def keep(_path: Path, run: str, facts: dict[str, Any], tensors: dict[str, Floats]) -> bool:
        kept.append((run, dict(facts), {name: array.copy() for name, array in tensors.items()}))
        return True

    monkeypatch.setattr(training, "try_checkpoint", keep)
    whole = HEAD.fit(source, source.digests, boxes, CLASSES, 0, checkpoint=file, plan=plan).to_tensors()
    run, facts, tensors = kept[0]
    spoil(facts, tensors)
    monkeypatch.setattr(training, "load_checkpoint", lambda _path, name: (facts, tensors) if name == run else None)
    again = HEAD.fit(source, source.digests, boxes, CLASSES, 0, checkpoint=file, plan=plan).to_tensors()
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_maps_that_are_too_many_are_read_again_and_give_the_same_head() -> None:
    boxes = planted_images(1, 20)
    held, streamed = PlantedMaps(boxes), PlantedMaps(boxes)
    first = HEAD.fit(held, held.digests, boxes, CLASSES, 0, plan=PLAN)
    second = HEAD.fit(
        streamed, streamed.digests, boxes, CLASSES, 0, plan=Plan(n_epochs=3, width=16, depth=1, held_bytes=0)
    )
    assert held.images_read == 20
    assert streamed.images_read == 20 + 3 * 20  # moments, then three epochs
    one, two = first.to_tensors(), second.to_tensors()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_progress_counts_all_steps_and_epochs_are_as_many_as_asked() -> None:
    boxes = planted_images(1, 20)
    source = PlantedMaps(boxes)
    told: list[tuple[int, int]] = []
    head = HEAD.fit(
        source,
        source.digests,
        boxes,
        CLASSES,
        0,
        epochs=2,
        on_progress=lambda _, done, n: told.append((done, n)),
        plan=PLAN,
    )
    assert told == [(step, 6) for step in range(1, 7)]
    assert len(head.facts["losses"]) == 2
    assert head.facts["losses"][1] < head.facts["losses"][0]
