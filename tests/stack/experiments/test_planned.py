"""Experiments on folds that are not drawn: scored on them, told of them, repeated with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack import Experiment, StackOptions, evaluate, run_experiment, save_model, stack_options
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.experiments.provenance import provenance, repeat_commands
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.experiments.self_check import run_self_check
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.chance.accuracy import check_at_chance
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.tables.table import title
from stackbone.stack.tables.verdict import verdict
from tests.made.multilabel import fill, index_of, make_presence, texts_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 72
LABELS = [f"class {i % 3}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3)
TIMES = [f"2024-{1 + i // 24:02}-{1 + i % 24:02}" for i in range(N)]
Make = Callable[..., FeatureStore]

PLANS: dict[str, dict[str, Any]] = {
    "given": {"folds": "site"},
    "logo": {"cv": "logo"},
    "ordered": {"time_column": "taken", "cv": 2},
}
SAID = {
    "given": ("4 folds of 'site'", "folds of your own", "--folds site"),
    "logo": ("each group left out once (6 folds)", "a random draw of them", "--cv logo"),
    "ordered": (
        "2 folds in the order of 'taken', trained on the past",
        "varies over time",
        "--time-column taken --cv 2",
    ),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    groups = [f"group {i // 12}" for i in range(N)]
    store = make_cache(tmp_path_factory.mktemp("features"), LABELS, groups=groups, noise=2.5)
    columns = {"site": [f"site {min(i // 12, 3)}" for i in range(N)], "taken": TIMES}
    store.write_dataset(replace(store.dataset(), columns=columns))
    return store


@pytest.fixture(scope="module")
def experiments(store: FeatureStore) -> dict[str, Experiment]:
    return {
        name: run_experiment(store, **asked, options=FIXED, group_by="none" if name == "ordered" else "auto")
        for name, asked in PLANS.items()
    }


@pytest.mark.parametrize("plan", PLANS)
def test_the_scores_are_those_of_these_folds(experiments: dict[str, Experiment], plan: str) -> None:
    found = experiments[plan]
    joined = found.joined
    expected = evaluate(
        joined.blocks,
        joined.labels,
        found.folds,
        options=FIXED,
        groups=joined.groups,
        digests=joined.digests,
        times=joined.times,
    )
    assert found.evaluation.results == expected.results
    assert found.cv == len(found.folds) == len(found.evaluation.results[0].folds)


def test_in_the_order_of_time_no_inner_fold_learns_from_the_future(experiments: dict[str, Experiment]) -> None:
    found = experiments["ordered"]
    times = found.joined.times
    assert times is not None
    units = found.joined.units("digests")
    for fold in found.folds:
        assert times[fold.train].max() < times[fold.test].min()
        for inner in found.kind.divide_training(found.truth, fold.train, units, 0, 3):
            own = times[fold.train]
            assert own[inner.train].max() < own[inner.test].min()


@pytest.mark.parametrize("plan", PLANS)
def test_how_the_images_were_divided_is_told(
    store: FeatureStore, experiments: dict[str, Experiment], plan: str
) -> None:
    found, (how, caveat, options) = experiments[plan], SAID[plan]
    assert how in title(found)
    assert caveat in str(verdict(found))
    assert "--repeats" not in str(verdict(found))
    assert f" {options} " in repeat_commands(found, store)[-1]
    said = provenance(found, store)["options"]
    assert isinstance(said, dict)
    assert said["plan"] == plan == found.to_dict()["plan"]
    assert said.get("column") == found.division.column


@pytest.mark.parametrize("plan", PLANS)
def test_a_result_is_repeated(
    tmp_path: Path, store: FeatureStore, experiments: dict[str, Experiment], plan: str
) -> None:
    write_result(experiments[plan], tmp_path / "result.json")
    assert reproduce_experiment(tmp_path / "result.json", store).to_dict() == experiments[plan].to_dict()


@pytest.mark.parametrize(
    "changes",
    [{"plan": "guessed"}, {"plan": "given", "column": None}, {"plan": "logo", "column": "site"}, {"plan": ["given"]}],
)
def test_a_result_of_another_plan_is_refused(
    tmp_path: Path, store: FeatureStore, experiments: dict[str, Experiment], changes: dict[str, Any]
) -> None:
    file = tmp_path / "result.json"
    write_result(experiments["given"], file)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(StackError, match="its plan is"):
        reproduce_experiment(file, store)


def test_drawn_folds_are_recorded_as_ever(store: FeatureStore) -> None:
    content = run_experiment(store, options=FIXED, recipes=["oof"]).to_dict()
    assert not {"plan", "column", "few_shots"} & set(content)


@pytest.mark.parametrize("plan", PLANS)
def test_a_steering_may_train_on_the_training_parts_of_the_experiment(
    store: FeatureStore, experiments: dict[str, Experiment], plan: str
) -> None:
    found = experiments[plan]
    parts = training_parts(store, **PLANS[plan], group_by=found.division.group_by, inner_splits=3)
    assert len(parts) == len(found.folds)
    for number, (part, fold) in enumerate(zip(parts, found.folds, strict=True), start=1):
        np.testing.assert_array_equal(part.digests, found.joined.digests[fold.train])
        assert part.division is not None
        assert (part.division["plan"], part.division["fold"], part.division["cv"]) == (plan, number, len(parts))


def test_a_model_of_the_order_of_time_is_saved(tmp_path: Path, store: FeatureStore) -> None:
    asked = {**PLANS["ordered"], "options": FIXED, "group_by": "none", "recipes": ["oof"]}
    found = run_experiment(store, **asked, with_model=True)
    assert found.model is not None
    assert found.model.n_images == N
    save_model(found.model, tmp_path / "m.stack")


@pytest.mark.parametrize("meta", ["ridge", "svr", "mean"])
def test_numbers_are_predicted_in_the_order_of_time(tmp_path: Path, make_cache: Make, meta: str) -> None:
    store = make_cache(tmp_path, [str(i % 11) for i in range(N)], noise=2.0)
    store.write_dataset(replace(store.dataset(), columns={"taken": TIMES}))
    options = stack_options("regression", meta=meta, inner_splits=3)
    found = run_experiment(store, task="regression", time_column="taken", cv=2, options=options, with_model=True)
    assert all(np.isfinite(score.folds).all() for score in found.evaluation.results)
    assert found.model is not None


@pytest.mark.parametrize("meta", ["svm", "lr", "mean"])
def test_every_meta_learner_learns_in_the_order_of_time(store: FeatureStore, meta: str) -> None:
    options = stack_options(meta=meta, c=0.1, inner_splits=3)
    found = run_experiment(store, **PLANS["ordered"], options=options, group_by="none")
    assert found.evaluation.score("stack:oof").mean > 0.4


def test_r2_of_one_image_is_refused(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, [str(i % 11) for i in range(24)])
    with pytest.raises(StackError, match=r"tests 1 image; R² needs at least 2.*use cross-validation \(--cv 3\)"):
        run_experiment(store, task="regression", cv="loo")


def test_each_image_is_left_out_and_the_interval_is_told_for_what_it_is(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS[:24], noise=3.0)
    found = run_experiment(store, cv="loo", options=StackOptions(c=0.1, inner_splits=2), recipes=["oof"])
    assert found.cv == 24
    assert set(found.evaluation.score("stack:oof").folds) <= {0.0, 1.0}
    assert "1.4 times as wide" in str(verdict(found)) or "no interval" in str(verdict(found))


def test_labels_that_mean_nothing_score_nothing_on_given_folds(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS)
    store.write_dataset(replace(store.dataset(), columns={"site": [str(i // 24) for i in range(N)]}))
    assert run_self_check(store, folds="site", options=FIXED).startswith("self-check passed")


@pytest.mark.parametrize("plan", [{"folds": "site"}, {"cv": "logo"}, {"time_column": "taken", "cv": 2}])
def test_classes_that_one_fold_has_alone_are_left_out_of_the_check_of_the_evaluation(
    tmp_path: Path, make_cache: Make, plan: dict[str, Any]
) -> None:
    labels = [*LABELS[:-3], *["late"] * 3]
    store = make_cache(tmp_path, labels, groups=[f"g{i // 4}" for i in range(N)])
    columns = {"site": [str(i // 24) for i in range(N)], "taken": TIMES}
    store.write_dataset(replace(store.dataset(), columns=columns))
    assert run_self_check(store, **plan, options=FIXED).startswith("self-check passed")


@pytest.mark.parametrize("n_small", [1, 3, 6])
def test_a_small_fold_by_luck_is_no_alarm(n_small: int) -> None:
    y = np.array(LABELS)
    folds = [Fold.testing(rows, N) for rows in np.split(np.arange(N), [N - n_small])]
    lucky = ModelScore("stack:oof", [0.33, 1.0], {})
    assert "scores 0.3" in check_at_chance([lucky], y, folds)
    with pytest.raises(StackError, match=r"stack:oof scores 0\.[89]"):
        check_at_chance([ModelScore("stack:oof", [0.95, 0.0], {})], y, folds)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Return a cache of images with several labels, and columns that put all of one label into one fold, or last."""
    presence = make_presence(N, (0.4, 0.5, 0.4))
    night_last = np.argsort(np.argsort(presence[:, 2], kind="stable"))
    columns = {
        "site": [str(i % 3) for i in range(N)],
        "night": ["night" if has else str(i % 2) for i, has in enumerate(presence[:, 2])],
        "taken": TIMES,
        "dusk": [TIMES[rank] for rank in night_last],
    }
    folder = tmp_path_factory.mktemp("scenes") / "features"
    return fill(folder, presence, replace(index_of(texts_of(presence)), columns=columns))


@pytest.mark.parametrize("plan", [{"folds": "site"}, {"time_column": "taken", "cv": 2}])
def test_images_of_several_labels_are_divided_in_these_ways_too(scenes: FeatureStore, plan: dict[str, Any]) -> None:
    options = stack_options("multilabel", c=0.1, inner_splits=2)
    found = run_experiment(scenes, task="multilabel", **plan, options=options, recipes=["oof"])
    assert len(found.evaluation.score("stack:oof").folds) == len(found.folds) == found.cv
    assert found.evaluation.score("stack:oof").mean > 0.5


@pytest.mark.parametrize("plan", [{"folds": "night"}, {"time_column": "dusk", "cv": 2}, {"cv": "loo"}])
def test_labels_that_a_training_part_lacks_are_refused(scenes: FeatureStore, plan: dict[str, Any]) -> None:
    options = stack_options("multilabel", c=0.1, inner_splits=2)
    with pytest.raises(
        StackError, match=r"cannot teach 1 label: 'night'|no image that fold \d+ of 72 tests has a label"
    ):
        run_experiment(scenes, task="multilabel", **plan, options=options, recipes=["oof"])


def test_what_is_asked_twice_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="use one of the two"):
        run_experiment(store, folds="site", cv=3)


@pytest.mark.parametrize(
    ("asked", "task", "in_place"),
    [
        ({"folds": "site"}, "classification", " in place of --folds site"),
        ({"folds": "my site", "group_by": "none"}, "classification", " in place of --folds 'my site'"),
        ({"time_column": "taken", "cv": 3}, "classification", " in place of --time-column taken"),
        ({"split": "test"}, "classification", " in place of --split test"),
        ({"cv": "loo"}, "regression", ""),
    ],
    ids=["folds", "a column of two words", "time", "split", "each image"],
)
def test_advice_names_what_a_cross_validation_takes_the_place_of(
    tmp_path: Path, make_cache: Make, asked: dict[str, Any], task: str, in_place: str
) -> None:
    labels = [str(i // 12) for i in range(36)]  # no fold of these columns teaches what it tests
    store = make_cache(tmp_path, labels, splits=["test" if label == "2" else "train" for label in labels])
    columns = {"site": labels, "my site": labels, "taken": [str(i) for i in range(36)]}
    store.write_dataset(replace(store.dataset(), columns=columns))
    with pytest.raises(StackError, match="use cross-validation") as refused:
        run_experiment(store, task=task, **asked)
    assert str(refused.value).endswith(f"use cross-validation (--cv 3){in_place}")
    run_experiment(store, task=task, cv=3, recipes=["oof"])
