"""Stacked regression: right models, right numbers, no leak, and an error for what cannot be scored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack import Evaluation
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds, split_folds
from stackbone.stack.folds.per_fold import PerFold
from stackbone.stack.learners.bases.ridge import score_numbers
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.registry import meta_learners
from stackbone.stack.solvers.ridge import SideBySide
from tests.made.learners import evaluate_numbers, fit_numbers, inner_number_folds, score_matrix

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Blocks = dict[str, NDArray[np.float32]]
Floats = NDArray[np.float64]
META_LEARNERS = meta_learners("regression")
MODELS = ["ridge:a", "ridge:b", "mean", "concat", "stack:oof"]
N = 150


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    rng = np.random.default_rng(0)
    return {"a": rng.normal(3, 2, size=(N, 8)).astype(np.float32), "b": rng.normal(size=(N, 12)).astype(np.float32)}


@pytest.fixture(scope="module")
def y(blocks: Blocks) -> Floats:
    """Return lengths in centimetres, of which each block knows half."""
    lengths = np.random.default_rng(1).normal(60, 2, size=N)
    for x in blocks.values():
        half = x.mean(axis=1, dtype=np.float64)
        lengths += 10 * (half - half.mean()) / half.std()
    return lengths


@pytest.fixture(scope="module")
def folds(y: Floats) -> list[Fold]:
    return regression_folds(y, 3, 0)


@pytest.fixture(scope="module")
def evaluation(blocks: Blocks, y: Floats, folds: list[Fold]) -> Evaluation:
    return evaluate_numbers(blocks, y, folds)


def means(evaluation: Evaluation) -> dict[str, float]:
    return {score.model: score.mean for score in evaluation.results}


def values(evaluation: Evaluation, model: str) -> list[Floats]:
    return [prediction.scores.astype(np.float64) for prediction in evaluation.predictions[model]]


def test_models_come_in_the_order_of_the_table(evaluation: Evaluation, folds: list[Fold]) -> None:
    assert [score.model for score in evaluation.results] == MODELS
    assert list(evaluation.predictions) == [*MODELS, "without:a", "without:b"]
    assert list(evaluation.chosen) == ["ridge:a", "ridge:b", "concat"]
    assert all(len(score.folds) == 3 for score in evaluation.results)
    for predictions in evaluation.predictions.values():
        for prediction, fold in zip(predictions, folds, strict=True):
            assert prediction.scores.shape == fold.test.shape


def test_the_stack_beats_backbones_that_each_know_half(evaluation: Evaluation) -> None:
    scores = means(evaluation)
    assert 0.2 < scores["ridge:a"] < 0.7
    assert 0.2 < scores["ridge:b"] < 0.7
    assert scores["stack:oof"] > 0.8
    assert scores["stack:oof"] > scores["mean"]  # which shrinks both halves
    assert scores["concat"] > 0.9


def test_the_best_of_a_kind_is_found_by_its_mean(evaluation: Evaluation) -> None:
    scores = means(evaluation)
    best = evaluation.best("ridge:")
    assert best is not None
    assert best.mean == max(scores["ridge:a"], scores["ridge:b"])
    assert evaluation.best("svm:") is None
    assert evaluation.score("mean").mean == scores["mean"]


def test_the_stack_without_a_backbone_knows_what_the_other_knows(
    evaluation: Evaluation, blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    assert list(evaluation.without) == ["a", "b"]
    for dropped, left in (("a", "b"), ("b", "a")):
        alone = evaluate_numbers({left: blocks[left]}, y, folds)
        assert evaluation.without[dropped].folds == alone.score("stack:oof").folds
        assert alone.without == {}


def test_errors_are_in_the_labels_unit(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    centimetres = evaluate_numbers(blocks, y, folds).results[-1]
    millimetres = evaluate_numbers(blocks, 10 * y, folds).results[-1]
    assert millimetres.folds == pytest.approx(centimetres.folds, abs=1e-4)
    for measure in ("mae", "rmse"):
        assert millimetres.metrics[measure] == pytest.approx([10 * e for e in centimetres.metrics[measure]], rel=1e-3)


def test_every_row_is_its_plain_fit_on_the_training_part(
    evaluation: Evaluation, blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    features = {"ridge:a": blocks["a"], "ridge:b": blocks["b"], "concat": np.hstack(list(blocks.values()))}
    for number, fold in enumerate(folds):
        inner = regression_folds(y[fold.train], 5, 0)
        scores = {m: score_matrix(x[fold.train], y[fold.train], x[fold.test], inner) for m, x in features.items()}
        for model, each in scores.items():
            assert evaluation.chosen[model][number] == each.chosen
            np.testing.assert_allclose(values(evaluation, model)[number], each.test)
        mean = (scores["ridge:a"].test + scores["ridge:b"].test) / 2
        np.testing.assert_allclose(values(evaluation, "mean")[number], mean)


def test_of_one_backbone_no_row_repeats_its_own(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    alone = evaluate_numbers({"a": blocks["a"]}, y, folds)
    assert list(means(alone)) == ["ridge:a", "stack:oof"]


@pytest.mark.parametrize("meta", META_LEARNERS)
def test_shuffled_targets_score_nothing(meta: str, blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    shuffled = np.random.default_rng(2).permutation(y)
    assert max(means(evaluate_numbers(blocks, shuffled, folds, meta=meta)).values()) < 0.05


@pytest.mark.parametrize("meta", META_LEARNERS)
def test_targets_of_the_test_part_change_no_prediction(meta: str, blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    other = y.copy()
    other[folds[0].test] = np.random.default_rng(3).normal(0, 100, size=len(folds[0].test))
    a, b = (evaluate_numbers(blocks, targets, folds[:1], meta=meta) for targets in (y, other))
    for model in MODELS:
        np.testing.assert_array_equal(values(a, model)[0], values(b, model)[0])


def test_features_of_the_test_part_change_their_own_predictions_only(
    evaluation: Evaluation, blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    changed = {name: x.copy() for name, x in blocks.items()}
    for x in changed.values():
        x[folds[0].test[1:]] += 100
    again = evaluate_numbers(changed, y, folds[:1])
    for model in MODELS:
        assert values(again, model)[0][0] == pytest.approx(values(evaluation, model)[0][0], rel=1e-6)


def test_groups_reach_the_inner_folds(monkeypatch: pytest.MonkeyPatch, blocks: Blocks, y: Floats) -> None:
    groups = np.random.default_rng(4).integers(0, 30, size=N)
    outer = regression_folds(y, 3, 0, groups=groups)
    seen: list[list[Fold]] = []

    def record(*args: object, **kwargs: object) -> list[Fold]:
        seen.append(regression_folds(*args, **kwargs))  # type: ignore[arg-type]  # passed on as they come
        return seen[-1]

    monkeypatch.setattr("stackbone.stack.tasks.kinds.regression.regression_folds", record)
    evaluate_numbers(blocks, y, outer, groups=groups)
    assert len(seen) == 3
    for fold, inner in zip(outer, seen, strict=True):
        assert len(inner) == 5
        for each in inner:
            train, test = groups[fold.train][each.train], groups[fold.train][each.test]
            assert not set(train) & set(test)


def test_negative_group_ids_are_no_group(evaluation: Evaluation, blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    assert means(evaluate_numbers(blocks, y, folds, groups=np.full(N, -1))) == means(evaluation)


def test_inner_folds_are_as_many_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    asked: list[int] = []

    def record(y: Floats, n_splits: int, seed: int, **units: Any) -> list[Fold]:  # noqa: ANN401 - passed on
        asked.append(n_splits)
        return regression_folds(y, n_splits, seed, **units)

    monkeypatch.setattr("stackbone.stack.tasks.kinds.regression.regression_folds", record)
    evaluate_numbers(blocks, y, folds, inner_splits=3)
    assert asked == [3, 3, 3]


def test_few_groups_make_few_inner_folds(blocks: Blocks, y: Floats) -> None:
    groups = np.arange(N) % 4
    assert len(inner_number_folds(y, 0, groups)) == 4
    found = evaluate_numbers(blocks, y, regression_folds(y, 2, 0, groups=groups), groups=groups)
    assert means(found)["stack:oof"] > max(means(found)["ridge:a"], means(found)["ridge:b"])


def test_a_group_on_both_sides_is_refused(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    groups = np.arange(N)
    groups[folds[1].test[0]] = groups[folds[1].train[0]]
    with pytest.raises(StackError, match=r"1 group of fold \d of 3 .* make the folds with these groups"):
        evaluate_numbers(blocks, y, folds, groups=groups)


def test_threads_and_repetition_change_nothing(
    evaluation: Evaluation, blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    assert means(evaluate_numbers(blocks, y, folds, n_jobs=1)) == means(evaluation)


def test_the_datasets_own_split_is_one_fold(blocks: Blocks, y: Floats) -> None:
    split = np.where(np.arange(N) < 100, "train", "test")
    found = evaluate_numbers(blocks, y, split_folds(split, "test"))
    assert [len(score.folds) for score in found.results] == [1] * len(MODELS)
    assert found.predictions["mean"][0].scores.shape == (N - 100,)


def test_progress_counts_every_fit(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    calls: list[tuple[str, int, int]] = []
    evaluate_numbers(blocks, y, folds, progress=lambda *call: calls.append(call))
    # Of each of 3 folds: a, b, concat; the stack and those without one backbone.
    assert calls == [("fitting", done, 18) for done in range(19)]


@pytest.mark.parametrize("meta", META_LEARNERS)
def test_the_saved_model_predicts_as_the_evaluated_one(meta: str, blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    train, test = folds[0].train, folds[0].test
    inner = regression_folds(y[train], 5, 0)
    bases, stacked = fit_numbers({name: x[train] for name, x in blocks.items()}, y[train], inner, meta)
    assert [base.coef.shape for base in bases] == [(8, 1), (12, 1)]
    sides = [base.decide(x[test])[:, 0] for base, x in zip(bases, blocks.values(), strict=True)]
    evaluated = evaluate_numbers(blocks, y, folds[:1], meta=meta).predictions["stack:oof"][0]
    np.testing.assert_allclose(stacked.values(sides), evaluated.scores, rtol=1e-4)


def test_features_must_be_finite_and_of_the_same_images(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    spoilt = blocks["b"].copy()
    spoilt[[4, 9], 3] = np.nan
    with pytest.raises(StackError, match=r"'b' hold NaN or infinity in 2 of 150 rows \(first rows: 4, 9\)"):
        evaluate_numbers({"a": blocks["a"], "b": spoilt}, y, folds)
    with pytest.raises(StackError, match=r"'a' have shape \(149, 8\)"):
        evaluate_numbers({"a": blocks["a"][1:]}, y, folds)
    with pytest.raises(StackError, match="no features were given"):
        evaluate_numbers({}, y, folds)


def test_targets_must_be_finite_and_vary(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    gap = np.where(np.arange(N) == 7, np.nan, y)
    with pytest.raises(StackError, match="row 7 first"):
        evaluate_numbers(blocks, gap, folds)
    with pytest.raises(StackError, match="every image has the target 5"):
        evaluate_numbers(blocks, np.full(N, 5.0), folds)


def test_an_unknown_meta_learner_is_refused_before_anything_is_fitted(
    blocks: Blocks, y: Floats, folds: list[Fold]
) -> None:
    with pytest.raises(UsageError, match=r"unknown meta-learner 'svm'.*did you mean 'svr'"):
        evaluate_numbers(blocks, y, folds, meta="svm")


def test_one_test_image_has_no_r2(blocks: Blocks, y: Floats) -> None:
    with pytest.raises(StackError, match=r"fold 1 of 1 tests 1 image; R² needs at least 2"):
        evaluate_numbers(blocks, y, [Fold(np.arange(1, N), np.arange(1))])


def test_groups_of_other_images_are_refused(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    with pytest.raises(StackError, match=r"groups have shape \(3,\)"):
        evaluate_numbers(blocks, y, folds, groups=np.arange(3))


def test_a_training_part_too_small_to_divide_is_refused(blocks: Blocks, y: Floats) -> None:
    with pytest.raises(StackError, match=r"training part of fold 1 of 1 has 1 "):
        evaluate_numbers(blocks, y, [Fold(np.array([0]), np.array([1, 2]))])


def test_constant_features_predict_the_mean(y: Floats, folds: list[Fold]) -> None:
    found = evaluate_numbers({"a": np.full((N, 4), 0.3, np.float32)}, y, folds)
    for prediction, fold in zip(found.predictions["ridge:a"], folds, strict=True):
        np.testing.assert_allclose(prediction.scores, y[fold.train].mean())


def test_scores_of_an_earlier_run_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    blocks = {name: rng.normal(size=(60, 8)).astype(np.float32) for name in "ab"}
    y = (blocks["a"].sum(axis=1) + blocks["b"].sum(axis=1)).astype(np.float64)
    folds = regression_folds(y, 3, 0)
    fits: list[int] = []

    def counted(train: SideBySide, y_train: Floats, test: SideBySide, *rest: Any, **named: Any) -> BaseScores:  # noqa: ANN401
        fits.append(test.n)
        return score_numbers(train, y_train, test, *rest, **named)

    monkeypatch.setattr("stackbone.stack.learners.bases.ridge.score_numbers", counted)

    def run(y: NDArray[np.float64], names: str = "ab") -> Evaluation:
        fits.clear()
        cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets={"a": "a-1", "b": "b-1"})
        return evaluate_numbers({name: blocks[name] for name in names}, y, folds, n_jobs=1, cache=cache)

    first = run(y, "a")
    assert len(fits) == 3
    both = run(y)
    assert len(fits) == 6  # the new backbone, and both side by side
    again = run(y)
    assert fits == []
    plain = evaluate_numbers(blocks, y, folds, n_jobs=1)
    for found in (both, again):
        assert [each.to_dict() for each in found.results] == [each.to_dict() for each in plain.results]
        assert found.chosen == plain.chosen
    assert first.score("ridge:a").folds == both.score("ridge:a").folds
    run(y + np.eye(60)[folds[0].test[0]])  # a label of the first test part: two folds learn from it
    assert len(fits) == 6


def test_every_model_of_a_fold_sees_the_features_of_that_fold(blocks: Blocks, y: Floats, folds: list[Fold]) -> None:
    own = [blocks["b"] + np.float32(number) * blocks["b"][:, ::-1] for number in range(3)]
    found = evaluate_numbers({"a": blocks["a"], "b": PerFold(own)}, y, folds)
    for number, fold in enumerate(folds):
        alone = evaluate_numbers({"a": blocks["a"], "b": own[number]}, y, [fold])
        for model in MODELS:
            np.testing.assert_array_equal(values(found, model)[number], values(alone, model)[0], err_msg=model)
    with pytest.raises(StackError, match="'b' are of 2 folds, and there are 3"):
        evaluate_numbers({"b": PerFold(own[:2])}, y, folds)
