"""A detection experiment divides by image, keeps what was found, and compares the fusion with the best single one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.maps.reader import MapReader
from stackbone.stack.detection.experiments import training
from stackbone.stack.detection.head import HEADS
from stackbone.stack.detection.judging import intervals
from stackbone.stack.detection.results.reproduce import reproduce_detection
from stackbone.stack.detection.results.result_file import write_detection
from stackbone.stack.detection.run import run_detection
from stackbone.stack.detection.scores.bootstrap import draw_images
from stackbone.stack.detection.tables.verdict import verdict
from stackbone.stack.metrics.compare import RESAMPLED_T, Difference
from tests.made.caches import make_digests, make_index, on_disk
from tests.made.detection import BLURRED_HEAD, CellsHead, add_pyramid, boxes_of, make_detection_cache, make_images


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_detection_cache(tmp_path_factory.mktemp("cache"))


def test_every_image_is_tested_once_and_never_trained_on_in_that_fold(store: FeatureStore) -> None:
    experiment = run_detection(store, heads="cells", cv=4)
    tested = np.concatenate([fold.test for fold in experiment.folds])
    assert sorted(tested.tolist()) == list(range(40))
    assert all(not set(fold.train) & set(fold.test) for fold in experiment.folds)
    assert [each.model for each in experiment.scores] == ["cells:net_a", "cells:net_b", "cells:fusion", "best single"]
    assert all(0 < each.low <= each.ap50 <= each.high <= 1 for each in experiment.scores)
    assert experiment.gain is not None
    found = experiment.score("cells:fusion").ap50 - experiment.score("best single").ap50
    assert experiment.gain.mean == pytest.approx(found)


def test_folds_without_an_object_are_left_out_of_the_score_and_of_its_interval_alike(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",), noise=0.5)
    digests, boxes = make_images(40)
    boxes = [each if row < 4 else boxes_of(each.corners[:0], ()) for row, each in enumerate(boxes)]
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))
    experiment = run_detection(store, heads="cells", cv=10)
    [score] = experiment.scores
    assert score.folds.count(None) == 6
    assert score.ap50 == pytest.approx(np.mean([each for each in score.folds if each is not None]))
    assert score.low <= score.ap50 <= score.high


def test_tested_images_are_drawn_once_for_a_fold_whatever_the_number_of_detectors(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def count(n_images: int, *rest: Any) -> NDArray[np.uint16]:  # noqa: ANN401 - as of `draw_images`
        sizes.append(n_images)
        return draw_images(n_images, *rest)

    monkeypatch.setattr(intervals, "draw_images", count)
    assert len(run_detection(store, heads="cells", cv=4).scores) == 4
    assert sizes == [10] * 4


def test_the_fusion_is_compared_with_the_best_backbone_under_its_own_head(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that is worse throughout does not make its fusion look useless."""
    monkeypatch.setitem(HEADS._ours, "blurred", BLURRED_HEAD)
    experiment = run_detection(store, heads="blurred,cells", cv=2)
    assert [each.model for each in experiment.scores][-1] == "best single"
    chosen = {each.chosen for each in experiment.detectors["best single"]}
    assert chosen <= {"blurred:net_a", "blurred:net_b"}
    assert experiment.score("best single").ap50 < experiment.score("cells:net_a").ap50
    alone = run_detection(store, heads="blurred", cv=2)
    assert alone.gain == experiment.gain


def test_a_gain_without_an_interval_is_no_clear_one(store: FeatureStore) -> None:
    experiment = run_detection(store, heads="cells", cv=2)
    sure, untold = (Difference(0.02, low, high, p, RESAMPLED_T) for low, high, p in ((0.01, 0.03, 0.01), (None,) * 3))
    assert verdict(replace(experiment, gain=sure)).is_clear
    assert not verdict(replace(experiment, gain=untold)).is_clear


def test_one_backbone_under_two_heads_has_no_best_single(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HEADS._ours, "blurred", BLURRED_HEAD)
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    experiment = run_detection(store, heads="cells,blurred", cv=2)
    assert [each.model for each in experiment.scores] == ["cells:net_a", "blurred:net_a"]
    assert "blurred:net_a is" in str(verdict(experiment))


def test_a_second_run_reads_no_map_and_says_the_same_of_near_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_detection_cache(tmp_path / "cache")
    digests, boxes = make_images(40)
    again = np.roll(digests, 1, axis=1)  # other files of the same pictures
    for seed, name in enumerate(("net_a", "net_b")):
        add_pyramid(store, again, boxes, name, 0.2, seed)
    index = store.dataset("shapes")
    both = np.concatenate([digests, again])
    twice = replace(make_index("shapes", both, ["disc"] * 80), split=[*index.split, *index.split])
    store.write_dataset(twice)
    store.write_boxes("shapes", box_table({d.tobytes(): boxes[i % 40] for i, d in enumerate(both)}, "voc"))
    first = run_detection(store, heads="cells", cv=2)
    assert any("look much like one of the training part" in note for note in first.notes)
    together = run_detection(store, heads="cells", cv=2, near_duplicates=0.98)
    monkeypatch.setattr(MapReader, "read", None)
    assert run_detection(store, heads="cells", cv=2).to_dict() == first.to_dict()
    assert run_detection(store, heads="cells", cv=2, near_duplicates=0.98).to_dict() == together.to_dict()


def test_a_second_run_trains_nothing_and_gives_the_same_numbers(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache")
    first = run_detection(store, heads="cells").to_dict()
    assert CellsHead.n_fits == 2 * 3 * 2
    assert run_detection(store, heads="cells").to_dict() == first
    assert CellsHead.n_fits == 2 * 3 * 2


def test_another_version_of_a_head_or_of_its_package_trains_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    run_detection(store, heads="cells", split="test")
    assert CellsHead.n_fits == 2
    monkeypatch.setattr(CellsHead, "version", 2)
    run_detection(store, heads="cells", split="test")
    assert CellsHead.n_fits == 4
    for version in ("1.0", "1.1", "1.1"):
        monkeypatch.setattr(HEADS, "package_of", lambda _, version=version: ("made", version))
        run_detection(store, heads="cells", split="test")
    assert CellsHead.n_fits == 8


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    on_disk(store.scores_folder).write_text("in the way")
    monkeypatch.setattr(CellsHead, "has_epochs", True)
    experiment = run_detection(store, heads="cells", cv=2, with_model=True)
    assert experiment.model is not None
    assert [each.message for each in caplog.records if "not kept for later runs" in each.message] == [
        each.message for each in caplog.records
    ]
    assert len(caplog.records) == 1
    assert CellsHead.checkpoints == {None}


def test_heads_that_train_long_are_given_a_file_that_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    run_detection(store, heads="cells", split="test")
    assert CellsHead.checkpoints == {None}
    monkeypatch.setattr(CellsHead, "has_epochs", True)
    run_detection(store, heads="cells", cv=2)
    assert len(CellsHead.checkpoints - {None}) == 4
    assert {on_disk(path).suffix for path in store.scores_folder.iterdir()} == {".scores"}


def test_what_was_kept_of_one_precision_is_not_taken_for_another(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    usual = run_detection(store, heads="cells", split="test")
    assert (CellsHead.n_fits, usual.settings) == (2, {})
    other = run_detection(store, heads="cells", split="test", precision="bf16")
    assert (CellsHead.n_fits, other.to_dict()["settings"]) == (4, {"cells": {"precision": "bf16"}})
    write_detection(other, tmp_path / "r.json")
    again = reproduce_detection(tmp_path / "r.json", store)
    assert (CellsHead.n_fits, again.settings) == (4, other.settings)


def test_keys_name_the_precision_that_was_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: FeatureStore
) -> None:
    seen: list[Mapping[str, object]] = []

    def name(described: Mapping[str, object], *_rest: object) -> str:
        seen.append(described)
        return "0" * 64

    monkeypatch.setattr(training, "key_of", name)
    run_detection(store, heads="cells", split="test", backbones="net_a")
    assert all(each["settings"] == {"precision": "fp32"} for each in seen)


def test_a_backbone_that_joins_pays_for_its_own_heads_alone(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    alone = run_detection(store, heads="cells")
    assert alone.gain is None
    assert [each.model for each in alone.scores] == ["cells:net_a"]
    digests, boxes = make_images(40)
    add_pyramid(store, digests, boxes, "net_b", 0.2, 1)
    both = run_detection(store, heads="cells")
    assert CellsHead.n_fits == 2 * 2 * 3
    assert both.scores[0] == alone.scores[0]


def test_a_changed_box_trains_the_heads_that_learn_from_it_again(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    run_detection(store, heads="cells", split="test")
    digests, boxes = make_images(40)
    boxes[0] = boxes_of(boxes[0].corners + 1, boxes[0].classes)  # a tested image
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))
    run_detection(store, heads="cells", split="test")
    assert CellsHead.n_fits == 2
    boxes[1] = boxes_of(boxes[1].corners + 1, boxes[1].classes)
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))
    run_detection(store, heads="cells", split="test")
    assert CellsHead.n_fits > 2


def test_no_boxes_says_what_to_extract(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "cache")
    store.write_dataset(make_index("plain", make_digests(4)))
    with pytest.raises(StackError, match=r"has no boxes\. Detection learns .*`stackbone extract .* --outputs pyramid"):
        run_detection(store, heads="cells")


def test_no_pyramid_says_what_to_extract(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=())
    with pytest.raises(StackError, match=r"no pyramids of every annotated image .* Run `stackbone extract .*pyramid"):
        run_detection(store, heads="cells")


def test_a_class_on_one_image_is_said_and_not_scored(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    digests, boxes = make_images(40)
    boxes[5] = replace(boxes[5], classes=("rare", *boxes[5].classes[1:]))
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "coco"))
    experiment = run_detection(store, heads="cells", cv=3)
    assert experiment.score("cells:net_a").per_class["rare"] is None
    assert any("never scored" in note and "'rare' (on 1 image)" in note for note in experiment.notes)
    assert experiment.score("cells:net_a").voc is None


def test_a_class_that_is_only_difficult_where_it_could_be_learnt_is_said_and_not_scored(tmp_path: Path) -> None:
    store = make_detection_cache(tmp_path / "cache", backbones=("net_a",))
    digests, boxes = make_images(40)
    for row in range(8):  # rows 0 and 4 are of the split test
        named = replace(boxes[row], classes=("rare", *boxes[row].classes[1:]))
        boxes[row] = named if row % 4 == 0 else replace(named, difficult=np.arange(len(named)) == 0)
    store.write_boxes("shapes", box_table({d.tobytes(): b for d, b in zip(digests, boxes, strict=True)}, "voc"))
    experiment = run_detection(store, heads="cells", split="test")
    score = experiment.score("cells:net_a")
    assert score.per_class["rare"] is None
    assert score.ap50 == pytest.approx(np.mean([score.per_class[name] or 0 for name in ("disc", "square")]))
    assert any("never scored" in note and "'rare' (on 2 images)" in note for note in experiment.notes)


def test_an_unknown_head_and_a_plan_of_folds_are_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="unknown head 'conf'"):
        run_detection(store, heads="conf")
    with pytest.raises(UsageError, match="unknown --precision 'fp16': choose from fp32, bf16"):
        run_detection(store, heads="conv", precision="fp16")
    with pytest.raises(UsageError, match=r"--precision is for conv.*, and --head names linear: leave it out"):
        run_detection(store, heads="linear", precision="bf16")
    with pytest.raises(UsageError, match="use a number, such as --cv 3"):
        run_detection(store, heads="cells", cv="loo")


def test_a_split_without_annotated_images_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="annotated images are in the splits: test, train"):
        run_detection(store, heads="cells", split="summer")
