"""Few-shot scores: so many images of each class, drawn at random, tested on whole test parts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack import Experiment, Fold, StackOptions, evaluate, run_experiment, stack_options
from stackbone.stack.experiments.provenance import repeat_commands
from stackbone.stack.experiments.reproduce import reproduce_experiment
from stackbone.stack.experiments.result_file import write_result
from stackbone.stack.experiments.shots import check_shots, parse_shots
from stackbone.stack.experiments.subsets import nested_order, take_each
from stackbone.stack.tables import few_shots as table
from stackbone.stack.tables.score_rows import score_rows

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 90
LABELS = [f"class {i % 3}" for i in range(N)]
CODES = np.arange(N) % 3
FIXED = StackOptions(c=0.1, inner_splits=3)
SHOTS, TRIES = [1, 2, 8], 4
Make = Callable[..., FeatureStore]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_cache: Make) -> FeatureStore:
    splits = ["test" if i < 30 else "train" for i in range(N)]
    return make_cache(tmp_path_factory.mktemp("features"), LABELS, splits=splits, noise=3.0)


@pytest.fixture(scope="module")
def experiment(store: FeatureStore) -> Experiment:
    return run_experiment(store, options=FIXED, recipes=["oof"], shots=SHOTS, tries=TRIES)


def drawn(experiment: Experiment, number: int, n: int) -> Fold:
    fold = experiment.folds[number % len(experiment.folds)]
    seed = int(np.random.SeedSequence([0, number]).generate_state(1)[0])
    return Fold(take_each(nested_order(fold.train, CODES, np.arange(N), seed), CODES, n), fold.test)


def test_scores_are_what_evaluate_gives_on_the_draws(experiment: Experiment) -> None:
    few, joined = experiment.few_shots, experiment.joined
    assert few is not None
    assert few.models == ["lr:resnet50", "lr:vgg19", "mean", "stack:oof"]
    for number in range(TRIES):
        fold = drawn(experiment, number, 8)
        expected = evaluate(
            joined.blocks,
            joined.labels,
            [fold],
            options=FIXED,
            recipes=["oof"],
            baselines=False,
            digests=joined.digests,
        )
        for model in few.models:
            found = few.of(model)[2]
            assert found.tries[number] == expected.score(model).mean
            assert found.metrics["log_loss"][number] == expected.score(model).metrics["log_loss"][0]


def test_draws_are_balanced_nested_and_never_of_the_test_part(experiment: Experiment) -> None:
    for number in range(TRIES):
        folds = [drawn(experiment, number, n) for n in SHOTS]
        for n, fold in zip(SHOTS, folds, strict=True):
            assert np.bincount(CODES[fold.train]).tolist() == [n] * 3
            assert not set(fold.train) & set(fold.test)
        assert set(folds[0].train) < set(folds[1].train) < set(folds[2].train)
    assert drawn(experiment, 0, 8).train.tolist() != drawn(experiment, 3, 8).train.tolist()


def test_the_interval_is_students(experiment: Experiment) -> None:
    assert experiment.few_shots is not None
    each = experiment.few_shots.of("mean")[1]
    low, high = stats.t.interval(0.95, TRIES - 1, each.mean, stats.sem(each.tries))
    assert each.reach == pytest.approx((high - low) / 2)


def test_with_one_image_of_a_class_the_stack_is_the_mean_and_that_is_said(experiment: Experiment) -> None:
    few = experiment.few_shots
    assert few is not None
    assert few.without_folds == [1]
    assert few.of("stack:oof")[0].tries == few.of("mean")[0].tries
    assert few.of("stack:oof")[0].mean > 0.4, "chance is a third"
    assert (
        "with 1 of each class nothing is left to choose C by: it is 0.1, and stack:oof is the mean"
        in table.footnotes(few)
    )


def test_more_images_teach_more(experiment: Experiment) -> None:
    assert experiment.few_shots is not None
    scores = experiment.few_shots.of("mean")
    assert scores[0].mean < scores[-1].mean <= experiment.evaluation.score("mean").mean + 0.05


def test_a_split_is_tested_on_whole(store: FeatureStore) -> None:
    found = run_experiment(store, split="test", options=FIXED, recipes=["oof"], shots=[4], tries=2, backbones="vgg19")
    assert found.few_shots is not None
    assert found.few_shots.models == ["lr:vgg19", "stack:oof"]
    assert all(
        30 * accuracy == pytest.approx(round(30 * accuracy)) for accuracy in found.few_shots.of("lr:vgg19")[0].tries
    )


@pytest.mark.parametrize("heads", [("lda",), ("knn", "prototype"), ("lr", "ridge_classifier")])
def test_heads_learn_from_a_few_images_too(store: FeatureStore, heads: tuple[str, ...]) -> None:
    options = replace(FIXED, heads=heads)
    found = run_experiment(store, split="test", options=options, recipes=["oof"], shots=[1, 8], tries=2).few_shots
    assert found is not None
    singles = [f"{head}:{name}" for head in dict.fromkeys(["lr", *heads]) for name in ("resnet50", "vgg19")]
    assert found.models == [*singles, "mean", "stack:oof"]
    assert found.without_folds == [1]
    for model in found.models:
        one, eight = found.of(model)
        assert 0 < one.mean < 1
        assert eight.mean > 0.4
    assert found.of("stack:oof")[0].tries == found.of("mean")[0].tries  # it learns nothing there


def test_groups_are_drawn_before_their_second_images(tmp_path: Path, make_cache: Make) -> None:
    groups = [f"patient {i // 6}" for i in range(N)]
    store = make_cache(tmp_path, LABELS, groups=groups)
    found = run_experiment(store, options=FIXED, recipes=["oof"], shots=[2, 4], tries=2)
    assert found.few_shots is not None
    assert len(found.few_shots.scores) == 8


def test_the_table_has_a_column_for_each_number(experiment: Experiment) -> None:
    few = experiment.few_shots
    assert few is not None
    assert table.header(few) == ["model", "1", "2", "8"]
    rows = table.rows(few)
    assert [row[0] for row in rows] == few.models
    assert rows[0][1] == f"{few.scores[0].mean:.3f} ± {few.scores[0].reach:.3f}"
    assert "accuracy after training on so many images of each class (mean of 4 draws" in table.title(few, "accuracy")


def test_rows_for_programs_follow_those_of_the_models(experiment: Experiment) -> None:
    rows = score_rows(experiment)
    assert len({tuple(row) for row in rows}) == 1, "one set of columns"
    whole, few = [row for row in rows if row["shots"] is None], [row for row in rows if row["shots"]]
    assert [row["model"] for row in whole] == [each.model for each in experiment.evaluation.results]
    assert [(row["model"], row["shots"]) for row in few[:3]] == [
        ("lr:resnet50", 1),
        ("lr:resnet50", 2),
        ("lr:resnet50", 8),
    ]
    assert experiment.few_shots is not None
    assert few[0]["accuracy"] == experiment.few_shots.scores[0].mean
    assert few[0]["fold_1"] is None


def test_a_result_is_repeated_from_what_was_kept(
    tmp_path: Path, store: FeatureStore, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(experiment, tmp_path / "result.json")
    monkeypatch.setattr(
        sys.modules["stackbone.stack.evaluation.score_cache"].ScoreCache,
        "save",
        lambda *_: pytest.fail("a fit was run again"),
    )
    assert reproduce_experiment(tmp_path / "result.json", store).to_dict() == experiment.to_dict()
    assert " --shots 1,2,8 --tries 4 " in repeat_commands(experiment, store)[-1]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda few: few["scores"][0]["tries"].__setitem__(1, 0.123), "for 1 images a class of lr:resnet50 in try 2"),
        (lambda few: few["scores"][0]["tries"].pop(), "lists the scores of others"),
        (lambda few: few.update(shots="1,2"), "not as they are written"),
        (lambda few: few.update(scores=[{}]), "not as they are written"),
        (lambda few: few.update(shots=[1, 2, 4, 8]), r"not those of \[1, 2, 4, 8\] images a class"),
        (lambda few: few.update(shots=[*range(1, 2000)]), "not those of"),
        (lambda few: few["scores"].pop(0), "not those of"),
    ],
)
def test_a_changed_result_is_refused(
    tmp_path: Path, store: FeatureStore, experiment: Experiment, change: Callable[[Any], Any], found: str
) -> None:
    file = tmp_path / "result.json"
    write_result(experiment, file)
    content = json.loads(file.read_text())
    change(content["few_shots"])
    file.write_text(json.dumps(content))
    with pytest.raises(StackError, match=found):
        reproduce_experiment(file, store)


def test_classes_with_too_few_images_are_refused_by_name_before_a_fit(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, [*LABELS, *["rare"] * 6])
    with pytest.raises(StackError, match=r"1 class has fewer in a training part: 'rare' \(4\).*type --shots 1,4, or"):
        run_experiment(store, options=FIXED, shots=[1, 4, 8, 16])


@pytest.mark.parametrize("text", ["", "one", "1,,2", "1;2", "-1", "1.5"])
def test_numbers_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shots lists numbers of images"):
        parse_shots(text)


def test_numbers_are_put_in_order() -> None:
    assert parse_shots(" 8,1, 2,1") == [1, 2, 8]


@pytest.mark.parametrize(
    ("task", "shots", "tries", "found"),
    [
        ("classification", [0, 1], 10, "expected numbers from 1 to 10,000"),
        ("classification", [1], 0, "--tries 0"),
        ("regression", [1], 10, "regression has no classes to draw from"),
        ("multilabel", [1], 10, "multilabel has no classes to draw from"),
        ("multitarget", [1], 10, "multitarget has no classes to draw from"),
    ],
)
def test_what_means_nothing_is_refused(task: str, shots: list[int], tries: int, found: str) -> None:
    with pytest.raises(UsageError, match=found):
        check_shots(task, shots, tries)


def test_a_meta_learner_of_the_users_own_is_taken(store: FeatureStore) -> None:
    options = stack_options(meta="lr", c=0.1, inner_splits=2)
    found = run_experiment(store, options=options, recipes=["oof"], shots=[4], tries=1)
    assert found.few_shots is not None
    assert found.few_shots.scores[0].reach is None


def test_each_image_left_out_is_no_test_of_a_try(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="--cv loo has one image, which tells nothing: type --cv 10, or use --split"):
        run_experiment(store, cv="loo", shots=[1])


@pytest.mark.parametrize("asked", [[8, 1], [8, 8, 1], (1, 8, 1)])
def test_numbers_in_any_order_are_asked_for_once(store: FeatureStore, asked: list[int]) -> None:
    found = run_experiment(store, options=FIXED, recipes=["oof"], backbones="vgg19", shots=asked, tries=1)
    assert found.few_shots is not None
    assert found.few_shots.shots == [1, 8]
    assert [each.shots for each in found.few_shots.of("lr:vgg19")] == [1, 8]


@pytest.mark.parametrize("n", [1, 8])
def test_weights_of_images_reach_few_shots(tmp_path: Path, make_cache: Make, n: int) -> None:
    store = make_cache(tmp_path, LABELS, noise=3.0)
    store.write_dataset(replace(store.dataset(), columns={"w": [str(1 + 20 * (i % 3 == 0)) for i in range(N)]}))
    plain, weighted = (
        run_experiment(store, options=replace(FIXED, weight_column=column), recipes=["oof"], shots=[n], tries=3)
        for column in (None, "w")
    )
    assert plain.few_shots is not None
    assert weighted.few_shots is not None
    assert plain.few_shots.of("lr:vgg19")[0].tries != weighted.few_shots.of("lr:vgg19")[0].tries
