"""What changed since an earlier result: paired scores, images won and lost; refused where folds or datasets differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.corrections.batch import Batch
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.experiments.against.change import Change
from stackbone.stack.experiments.against.check import check_against
from stackbone.stack.experiments.against.compare_results import compare_results
from stackbone.stack.experiments.against.earlier import read_earlier
from stackbone.stack.experiments.against.image_answers import image_answers, images_tested
from stackbone.stack.experiments.against.same_folds import fold_gain, share_images
from stackbone.stack.experiments.experiment import Planned
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.tables.changes import words as against
from tests.conftest import MakeCache

pytestmark = pytest.mark.usefixtures("one_blas_thread")

LABELS = [f"class {i % 3}" for i in range(60)]
FIXED = StackOptions(c=0.1, inner_splits=3)  # nothing to choose: the fastest fits


def run(store: FeatureStore, **options: Any) -> Experiment:  # noqa: ANN401 - of several types
    return run_experiment(store, **{"recipes": ["oof"], "options": FIXED, "n_jobs": 1, **options})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> Path:
    """Return a folder with a cache, in features/, and the result of a run, before.json: no test changes it."""
    folder = tmp_path_factory.mktemp("finished")
    write_result(run(make_cache(folder / "features", LABELS, noise=1.5)), folder / "before.json")
    return folder


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> FeatureStore:
    """Return a copy of the cache, with the scores of the run."""
    shutil.copytree(finished / "features", tmp_path / "features")
    return FeatureStore(tmp_path / "features")


@pytest.fixture
def result(finished: Path, tmp_path: Path) -> Path:
    shutil.copy(finished / "before.json", tmp_path)
    return tmp_path / "before.json"


def compared(store: FeatureStore, result: Path, **options: Any) -> Change:  # noqa: ANN401 - of several types
    return compare_results(run(store, **options), read_earlier(result))


def changed(result: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    content = json.loads(result.read_text())
    change(content)
    result.write_text(json.dumps(content))
    return result


def flip(store: FeatureStore, n: int) -> None:
    """Correct the labels of the first images to wrong ones."""
    index = store.dataset()
    label = ["class 0" if each != "class 0" else "class 1" for each in index.label[:n]]
    store.add_corrections(index.name, Batch(index.path[:n], label, list(index.label[:n]), index.image_sha256[:n]))


def test_the_same_run_again_changes_nothing(store: FeatureStore, result: Path) -> None:
    found = compared(store, result)
    assert (found.before, found.images, found.classes, found.notes) == (found.now, [], [], [])
    assert (found.n_both, found.n_moved, found.n_relabelled, found.n_other_fold) == (60, 0, 0, 0)
    assert against.headline(found).endswith("no difference")


def test_corrected_labels_count_for_both(store: FeatureStore, tmp_path: Path) -> None:
    flip(store, 6)
    before = run(store)
    write_result(before, tmp_path / "flipped.json")
    store.undo_corrections("photos")
    found = compared(store, tmp_path / "flipped.json")
    assert found.n_relabelled == 6
    assert "by the labels of now" in found.notes[0]
    right = sum(each.change == "won" for each in found.images) - sum(each.change == "lost" for each in found.images)
    assert found.difference is not None
    n_same = (found.n_both or 0) - found.n_other_fold
    assert found.difference.mean == pytest.approx(right / n_same, abs=0.02)  # folds have almost one size
    assert {each.label for each in found.won if each.before == each.label} == set()
    assert all(each.now == each.label for each in found.won)
    assert all(each.before == each.label and each.now != each.label for each in found.lost)


def test_labels_that_differ_leave_other_metrics_without_an_interval(store: FeatureStore, tmp_path: Path) -> None:
    options = replace(FIXED, metric="macro_f1")
    flip(store, 6)
    write_result(run(store, options=options), tmp_path / "flipped.json")
    store.undo_corrections("photos")
    found = compared(store, tmp_path / "flipped.json", options=options)
    assert found.difference is None
    assert all(each.difference is None for each in found.models)
    assert "by its own labels" in found.notes[0]


def test_labels_that_became_what_the_earlier_model_said_are_told(store: FeatureStore, tmp_path: Path) -> None:
    flip(store, 6)
    write_result(run(store), tmp_path / "flipped.json")
    earlier = read_earlier(tmp_path / "flipped.json")
    store.undo_corrections("photos")
    assert earlier.images is not None
    said = dict(zip(earlier.images.paths, earlier.images.predicted, strict=True))
    index = store.dataset()
    n = sum(said[path] == label for path, label in zip(index.path[:6], index.label[:6], strict=True))
    assert n > 3
    found = compare_results(run(store), earlier)
    assert f"{n} of 6 labels that changed became what the earlier model had said" in found.notes[-1]


def test_other_backbones_are_compared_with_the_corrected_interval(store: FeatureStore, result: Path) -> None:
    found = compared(store, result, backbones="resnet50")
    assert found.difference is not None
    assert found.difference.method == "corrected resampled t"
    assert "svm:resnet50" in [each.model for each in found.models]
    assert "svm:vgg19" not in [each.model for each in found.models]


def test_images_that_moved_are_known_by_their_bytes(store: FeatureStore, result: Path) -> None:
    index = store.dataset()
    store.write_dataset(replace(index, path=[f"moved/{path}" for path in index.path]))
    found = compared(store, result)
    assert (found.n_both, found.n_moved, found.images) == (60, 60, [])


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ({"seed": 1}, "seed 0 .now 1.*: add --seed 0 for its folds"),
        ({"cv": 4, "seed": 2}, "add --cv 3 --seed 0 for its folds"),
        ({"repeats": 2}, "add --repeats 1 for its folds"),
        ({"near_duplicates": 0.99}, "cannot be compared: leave --near-duplicates out for its folds"),
    ],
)
def test_other_folds_are_refused(store: FeatureStore, result: Path, options: dict[str, Any], typed: str) -> None:
    with pytest.raises(StackError, match=typed):
        compared(store, result, **options)


def test_another_metric_and_another_task_are_refused(store: FeatureStore, result: Path) -> None:
    with pytest.raises(StackError, match="add --metric accuracy"):
        compared(store, result, options=replace(FIXED, metric="macro_f1"))
    with pytest.raises(StackError, match="stackbone stack --task regression"):
        compared(store, changed(result, lambda content: content.update(task="regression")))


def test_other_images_are_another_dataset(store: FeatureStore, result: Path) -> None:
    other = ["0" * 14 + f"{i:02x}" for i in range(60)]
    with pytest.raises(StackError, match="0 are among the 60 of 'photos': these are different datasets"):
        compared(store, changed(result, lambda content: content["images"].update(image_sha256=other)))


@pytest.mark.parametrize("options", [{"seed": 1}, {"cv": 4}, {"options": replace(FIXED, metric="macro_f1")}])
def test_what_a_comparison_refuses_is_refused_before_any_fit(
    store: FeatureStore, result: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    before = read_earlier(result)
    monkeypatch.setattr("stackbone.stack.experiments.run._evaluate", lambda *_, **__: pytest.fail("a fit was made"))
    with pytest.raises(StackError, match=r"other folds|ranks models by"):
        run(store, **options, check=lambda planned: check_against(planned, before))


def test_what_is_planned_is_what_an_experiment_tests(store: FeatureStore, result: Path) -> None:
    planned: list[Planned] = []
    experiment = run(store, repeats=2, check=planned.append)
    answers, tested = image_answers(experiment), images_tested(planned[0])
    rows = sorted(zip(tested.images, tested.paths, tested.labels, tested.folds, strict=True))
    assert rows == list(zip(answers.images, answers.paths, answers.labels, answers.folds, strict=True))
    assert planned[0].ranked_by == experiment.evaluation.results[0].primary_metric
    write_result(experiment, result)
    check_against(planned[0], read_earlier(result))
    assert share_images(answers, tested).is_same


def test_images_in_other_folds_are_refused(store: FeatureStore, result: Path) -> None:
    shift = changed(result, lambda content: content["images"].update(fold=[3] * 60))
    with pytest.raises(StackError, match=r"in the same fold.*--dealing digests"):
        compared(store, shift)


def test_a_result_of_an_earlier_version_compares_scores_alone(store: FeatureStore, result: Path) -> None:
    found = compared(store, changed(result, lambda content: content.pop("images")))
    assert (found.n_both, found.images) == (None, [])
    assert "does not tell its images one by one" in found.notes[0]
    with pytest.raises(StackError, match="--dataset others"):
        compared(store, changed(result, lambda content: content.update(dataset="others")))


def test_a_result_of_an_earlier_version_of_other_images_is_refused(store: FeatureStore, result: Path) -> None:
    changed(result, lambda content: (content.pop("images"), content.update(n_images=59)))
    with pytest.raises(StackError, match="tested 59 images, and there are 60"):
        compared(store, result)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(results=[]),
        lambda content: content.pop("findings"),
        lambda content: content["images"].pop("fold"),
        lambda content: content["images"].update(label=[1] * 60),
        lambda content: content["images"].update(image_sha256=["a"] * 60),
    ],
)
def test_a_result_that_is_not_whole_is_refused(result: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(StackError, match="is not a valid result"):
        read_earlier(changed(result, change))


def test_images_that_one_alone_tested_are_told(store: FeatureStore, result: Path) -> None:
    def swap(content: dict[str, Any]) -> None:
        content["images"]["image_sha256"][:2] = ["f" * 16, "0" * 16]

    facts = against.facts(compared(store, changed(result, swap)))
    assert facts[0].startswith("58 images tested in both; 2 images tested only now, 2 images tested only before")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.5, 0.6, 0.7], "no difference"),
        ([0.52, 0.62, 0.72], "better by 2.0 points, alike in every fold"),
        ([0.48, 0.58, 0.68], "worse by 2.0 points, alike in every fold"),
    ],
)
def test_differences_without_spread_are_put_in_words(
    store: FeatureStore, result: Path, scores: list[float], said: str
) -> None:
    difference = fold_gain("accuracy", scores, [0.5, 0.6, 0.7], (40, 20))
    found = replace(compared(store, result), difference=difference)
    assert against.headline(found).endswith(f"; {said}")
    assert said.endswith(against.certainty(difference))


def test_as_many_images_ahead_in_folds_of_unequal_size_give_no_interval(make_cache: MakeCache, tmp_path: Path) -> None:
    store = make_cache(tmp_path / "features", [f"class {i % 2}" for i in range(46)], noise=1.5)
    experiment = run(store)
    tested = [len(fold.test) for fold in experiment.folds]
    assert len(set(tested)) > 1
    write_result(experiment, tmp_path / "before.json")

    def lose_one(content: dict[str, Any]) -> None:
        for each in content["results"]:
            scores = experiment.evaluation.score(each["model"]).folds
            each["accuracy"]["folds"] = [score - 1 / n for score, n in zip(scores, tested, strict=True)]

    found = compare_results(experiment, read_earlier(changed(tmp_path / "before.json", lose_one)))
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(3 / 46, rel=0.01)
    assert all(each.difference is not None and each.difference.low is None for each in found.models)
    assert found.difference.low is None


def test_a_single_split_is_compared_by_images(store: FeatureStore, tmp_path: Path) -> None:
    splits = ["test" if i >= 40 else "train" for i in range(60)]
    store.write_dataset(replace(store.dataset(), split=splits))
    write_result(run(store, split="test"), tmp_path / "split.json")
    found = compared(store, tmp_path / "split.json", split="test", backbones="vgg19")
    assert found.difference is not None
    assert found.difference.method == "paired bootstrap over images"
    assert found.difference.mean == pytest.approx((len(found.won) - len(found.lost)) / 20)


def test_numbers_have_no_images_won(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path / "features", [f"{i}.5" for i in range(40)], noise=1.0)
    options = {"task": "regression", "options": None}
    write_result(run(store, **options), tmp_path / "numbers.json")
    found = compared(store, tmp_path / "numbers.json", backbones="vgg19", **options)
    assert found.images == []
    assert np.isfinite(found.now - found.before)
