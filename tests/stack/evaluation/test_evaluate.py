"""The table of scores: right models, right numbers, no leak, and an error for what cannot be scored."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mlxtend.classifier import StackingClassifier
from mlxtend.feature_selection import ColumnSelector
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack import Evaluation, Fold, MetaOptions, StackOptions, evaluate, split_folds, stratified_folds
from stackbone.stack.folds.per_fold import PerFold
from stackbone.stack.learners.bases import lr as lr_module
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.learners.learner import BaseScores
from tests.made.references import ModeratedScaler, ShrunkLinear

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Blocks = dict[str, Matrix]
Labels = NDArray[np.str_]
Digits = tuple[Matrix, NDArray[np.int64]]
MODELS = ["lr:a", "lr:b", "svm:a", "svm:b", "mean", "concat", "stack:oof", "stack:published"]
FIXED = StackOptions(c=0.01, meta=MetaOptions(c=0.1))
"""One C each: a fit in place of a search, where the search is not what is tested."""


@pytest.fixture(scope="module")
def y(digits: Digits) -> Labels:
    return np.array([f"digit {n}" for n in digits[1][:450]])


@pytest.fixture(scope="module")
def blocks(digits: Digits) -> Blocks:
    x = digits[0][:450] / np.float32(16)  # 0 to 1: the published recipe does not standardise, and would take long
    return {"a": x[:, :30], "b": x[:, 30:]}


@pytest.fixture(scope="module")
def folds(y: Labels) -> list[Fold]:
    return stratified_folds(y, 3, 0)


@pytest.fixture(scope="module")
def evaluation(blocks: Blocks, y: Labels, folds: list[Fold]) -> Evaluation:
    return evaluate(blocks, y, folds)


def by_model(evaluation: Evaluation) -> dict[str, list[float]]:
    return {score.model: score.folds for score in evaluation.results}


def accuracies(predict: Callable[[Fold], Labels], y: Labels, folds: list[Fold]) -> list[float]:
    return [float((predict(fold) == y[fold.test]).mean()) for fold in folds]


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    """Require equal numbers to the last bit, whatever was counted on the way."""
    assert found.results == expected.results
    assert found.without == expected.without
    assert found.chosen == expected.chosen
    assert list(found.predictions) == list(expected.predictions)
    for model, predictions in expected.predictions.items():
        for one, other in zip(found.predictions[model], predictions, strict=True):
            assert one.probability == other.probability
            np.testing.assert_array_equal(one.scores, other.scores)


def test_models_come_in_the_order_of_the_table(evaluation: Evaluation) -> None:
    assert [score.model for score in evaluation.results] == MODELS
    assert all(len(score.folds) == 3 for score in evaluation.results)


def test_stacks_beat_every_single_backbone(evaluation: Evaluation) -> None:
    scores = {score.model: score.mean for score in evaluation.results}
    best_single = max(value for model, value in scores.items() if model.startswith(("lr:", "svm:")))
    for model in ("mean", "concat", "stack:oof", "stack:published"):
        assert scores[model] > best_single


def test_metrics_of_every_model_are_those_of_its_predictions(
    evaluation: Evaluation, y: Labels, folds: list[Fold]
) -> None:
    names = np.unique(y)
    for score in evaluation.results:
        for number, (fold, prediction) in enumerate(zip(folds, evaluation.predictions[score.model], strict=True)):
            predicted = names[prediction.scores.argmax(axis=1)]
            assert prediction.scores.shape == (len(fold.test), 10)
            assert score.folds[number] == (predicted == y[fold.test]).mean()
            macro = f1_score(y[fold.test], predicted, average="macro")
            assert score.metrics["macro_f1"][number] == pytest.approx(macro)
            assert prediction.probability is not score.model.startswith(("svm:", "stack:published"))
            if prediction.probability:
                loss = log_loss(y[fold.test], np.exp(prediction.scores), labels=names)
                assert score.metrics["log_loss"][number] == pytest.approx(loss)
            else:
                assert "log_loss" not in score.metrics


def test_published_scores_as_a_plain_loop_of_mlxtend(
    evaluation: Evaluation, blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    x = np.hstack(list(blocks.values()))

    def predict(fold: Fold) -> Labels:
        model = StackingClassifier(
            classifiers=[
                make_pipeline(ColumnSelector(cols=cols), LogisticRegression(max_iter=10_000))
                for cols in (list(range(30)), list(range(30, 64)))
            ],
            meta_classifier=LinearSVC(random_state=0),
            use_probas=True,
            average_probas=True,
        )
        predicted: Labels = model.fit(x[fold.train], y[fold.train]).predict(x[fold.test])
        return predicted

    assert by_model(evaluation)["stack:published"] == accuracies(predict, y, folds)


def plain_lr(c: float) -> Pipeline:
    return make_pipeline(ModeratedScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=20_000))


@pytest.mark.usefixtures("exact_solver")
def test_oof_recipe_scores_as_a_plain_slow_sklearn_loop(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    lr = plain_lr(0.01)

    def predict_stack(fold: Fold) -> Labels:
        inner = StratifiedKFold(4, shuffle=True, random_state=7)
        train = [
            cross_val_predict(lr, x[fold.train], y[fold.train], cv=inner, method="predict_proba")
            for x in blocks.values()
        ]
        test = [lr.fit(x[fold.train], y[fold.train]).predict_proba(x[fold.test]) for x in blocks.values()]
        names, codes = np.unique(y[fold.train], return_inverse=True)
        average = np.tile(np.eye(len(names)), (len(blocks), 1)) * 2 / len(blocks)
        svm = ShrunkLinear("svm", 0.1, average, -1.0).fit(np.hstack(train), codes)
        predicted: Labels = names[svm.predict(np.hstack(test))]
        return predicted

    def predict_concat(fold: Fold) -> Labels:
        x = np.hstack(list(blocks.values()))
        predicted: Labels = lr.fit(x[fold.train], y[fold.train]).predict(x[fold.test])
        return predicted

    def predict_mean(fold: Fold) -> Labels:
        each = [lr.fit(x[fold.train], y[fold.train]).predict_proba(x[fold.test]) for x in blocks.values()]
        predicted: Labels = np.unique(y)[np.mean(each, axis=0).argmax(axis=1)]
        return predicted

    options = StackOptions(c=0.01, inner_splits=4, meta=MetaOptions(c=0.1))
    evaluation = evaluate(blocks, y, folds, recipes=("oof",), options=options, seed=7)
    scores = by_model(evaluation)
    assert scores["stack:oof"] == accuracies(predict_stack, y, folds)
    assert scores["concat"] == accuracies(predict_concat, y, folds)
    assert scores["mean"] == accuracies(predict_mean, y, folds)
    assert evaluation.chosen == {
        m: [c] * 3 for m, c in (("lr:a", 0.01), ("lr:b", 0.01), ("concat", 0.01), ("stack:oof", 0.1))
    }


@pytest.mark.usefixtures("exact_solver")
def test_single_backbones_score_as_plain_sklearn(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    evaluation = evaluate(blocks, y, folds, recipes=(), options=FIXED)
    for fold, lr, svm in zip(folds, evaluation.predictions["lr:b"], evaluation.predictions["svm:b"], strict=True):
        train, test = blocks["b"][fold.train].astype(np.float64), blocks["b"][fold.test].astype(np.float64)
        expected = plain_lr(0.01).fit(train, y[fold.train]).predict_proba(test)
        np.testing.assert_allclose(np.exp(lr.scores), expected, atol=1e-4)
        scale = np.sqrt((train**2).sum(axis=1).mean())
        plain_svm = LinearSVC(dual=False, tol=1e-8, max_iter=20_000).fit(train / scale, y[fold.train])
        np.testing.assert_allclose(svm.scores, plain_svm.decision_function(test / scale), atol=5e-3)


def test_stack_probabilities_are_better_calibrated_than_the_mean_of_probabilities(evaluation: Evaluation) -> None:
    stack_, mean = evaluation.score("stack:oof").metrics, evaluation.score("mean").metrics
    assert np.mean(stack_["calibration_error"]) < np.mean(mean["calibration_error"])
    assert np.mean(stack_["log_loss"]) < np.mean(mean["log_loss"])


@pytest.mark.parametrize("meta", [MetaOptions("lr", "log-probability"), MetaOptions("mean")], ids=str)
def test_meta_learner_is_the_one_asked_for(blocks: Blocks, y: Labels, folds: list[Fold], meta: MetaOptions) -> None:
    evaluation = evaluate(blocks, y, folds, recipes=("oof",), options=StackOptions(c=0.01, meta=meta))
    assert evaluation.score("stack:oof").mean > 0.85
    # The mean as a meta-learner decides as the baseline does, and has no C.
    assert (by_model(evaluation)["stack:oof"] == by_model(evaluation)["mean"]) == (meta.learner == "mean")
    assert ("stack:oof" in evaluation.chosen) == (meta.learner != "mean")


def test_stack_without_a_backbone_is_the_evaluation_of_the_others(digits: Digits) -> None:
    x, y = digits[0][:300], np.array([f"digit {n}" for n in digits[1][:300]])
    three = {"a": x[:, :22], "b": x[:, 22:43], "c": x[:, 43:]}
    folds = stratified_folds(y, 3, 0)
    full = evaluate(three, y, folds, recipes=("oof",), options=FIXED)
    assert list(full.without) == ["a", "b", "c"]
    for name, score in full.without.items():
        fewer = evaluate({n: b for n, b in three.items() if n != name}, y, folds, recipes=("oof",), options=FIXED)
        alone = fewer.score("stack:oof")
        assert (score.model, score.folds, score.metrics) == (f"without:{name}", alone.folds, alone.metrics)
        for found, expected in zip(full.predictions[f"without:{name}"], fewer.predictions["stack:oof"], strict=True):
            np.testing.assert_array_equal(found.scores, expected.scores)
    assert not any(each.model.startswith("without:") for each in full.results)


def test_nothing_is_without_a_backbone_where_there_is_one_or_no_stack(
    blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    assert evaluate(blocks, y, folds, recipes=(), options=FIXED).without == {}
    assert evaluate({"a": blocks["a"]}, y, folds, recipes=("oof",), options=FIXED).without == {}


def test_scores_do_not_depend_on_threads_or_repetition(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    one, two, again = (evaluate(blocks, y, folds, options=FIXED, n_jobs=n) for n in (1, 2, 2))
    assert_same(two, one)
    assert_same(again, one)


def test_repeats_are_the_single_divisions_one_after_another(blocks: Blocks, y: Labels) -> None:
    folds = stratified_folds(y, 2, 0, repeats=2)
    both = evaluate(blocks, y, folds, recipes=("oof",), options=FIXED)
    first, second = (evaluate(blocks, y, half, recipes=("oof",), options=FIXED) for half in (folds[:2], folds[2:]))
    assert by_model(both) == {m: [*f, *by_model(second)[m]] for m, f in by_model(first).items()}
    assert by_model(first) != by_model(second)


def made_classes(n_classes: int, per_class: int = 6) -> tuple[Blocks, Labels]:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(n_classes), per_class)
    x = (rng.normal(size=(n_classes, 8))[codes] + 0.7 * rng.normal(size=(len(codes), 8))).astype(np.float32)
    return {"made": x}, np.array([f"class {n:02}" for n in codes])


@pytest.mark.parametrize(("n_classes", "counted"), [(19, False), (20, True)])
def test_top5_appears_from_twenty_classes_on(n_classes: int, *, counted: bool) -> None:
    blocks, y = made_classes(n_classes)
    folds = stratified_folds(y, 3, 0)
    evaluation = evaluate(blocks, y, folds, recipes=("oof",), options=FIXED)
    for score in evaluation.results:
        assert ("top5" in score.metrics) == counted
    if counted:
        codes = np.unique(y, return_inverse=True)[1]
        expected = [
            top_k_accuracy_score(codes[fold.test], prediction.scores, k=5, labels=np.arange(20))
            for fold, prediction in zip(folds, evaluation.predictions["stack:oof"], strict=True)
        ]
        assert evaluation.score("stack:oof").metrics["top5"] == pytest.approx(expected)
        assert min(expected) > max(evaluation.score("stack:oof").folds)


def test_shuffled_labels_score_at_chance(blocks: Blocks, y: Labels) -> None:
    shuffled = np.random.default_rng(0).permutation(y)
    scores = evaluate(blocks, shuffled, stratified_folds(shuffled, 3, 0), recipes=("oof",)).results
    chance, three_sigma = 0.1, 3 * np.sqrt(0.1 * 0.9 / len(y))
    for score in scores:
        assert abs(score.mean - chance) < three_sigma, score


def test_test_labels_have_no_say_in_predictions(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    relabelled = y.copy()
    relabelled[folds[0].test] = np.roll(y[folds[0].test], 1)
    honest, other = (evaluate(blocks, labels, folds[:1], options=FIXED) for labels in (y, relabelled))
    for model, (prediction,) in honest.predictions.items():
        np.testing.assert_array_equal(other.predictions[model][0].scores, prediction.scores)
    assert other.score("stack:oof").mean < 0.3 < honest.score("stack:oof").mean


def recorded_inner_folds(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Fold]]:
    """Collect the inner folds that base learners are given."""
    given: list[Sequence[Fold]] = []

    def record(
        x: Matrix,
        y: NDArray[np.int64],
        test: Matrix,
        k: int,
        folds: Sequence[Fold],
        grid: Sequence[float],
        fitted: None,
        weight: float,
    ) -> BaseScores:
        assert (fitted, weight) == (None, 1.0)  # no views: every row is learnt from and counts as one
        given.append(folds)
        return score_classes(x, y, test, k, folds, grid)

    monkeypatch.setattr(lr_module, "score_classes", record)
    return given


def burst_photos() -> tuple[Blocks, Labels, NDArray[np.int64]]:
    """Bursts of five photos: features tell the burst and nothing of the class."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    blocks = {
        name: (3 * rng.normal(size=(60, 40))[groups] + 0.1 * rng.normal(size=(300, 40))).astype(np.float32)
        for name in ("a", "b")
    }
    y = np.array(["cat", "dog", "emu"])[np.arange(60) % 3][groups]
    return blocks, y, groups


def test_groups_reach_the_inner_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, y, groups = burst_photos()
    order = np.random.default_rng(1).permutation(len(y))
    blocks, y, groups = {n: x[order] for n, x in blocks.items()}, y[order], groups[order]
    folds = stratified_folds(y, 3, 0, groups=groups)
    given = recorded_inner_folds(monkeypatch)
    evaluate(blocks, y, folds, recipes=("oof",), options=FIXED, groups=groups, n_jobs=1)
    assert len(given) == 9  # concat, a and b of three folds
    for position, inner in enumerate(given):
        own = groups[folds[position % 3].train]
        assert len(inner) == 5
        for each in inner:
            assert not set(own[each.train]) & set(own[each.test])


def test_features_that_tell_the_group_alone_leave_the_stack_as_unsure_as_it_should_be() -> None:
    blocks, y, groups = burst_photos()
    folds = stratified_folds(y, 3, 0, groups=groups)
    honest, leaking = (
        evaluate(blocks, y, folds, recipes=("oof",), groups=each).score("stack:oof") for each in (groups, None)
    )
    # Where a burst lies on both sides of an inner fold the stack learns to trust itself, and pays for it outside.
    assert np.mean(honest.metrics["log_loss"]) < 1.05 * np.log(3)
    assert np.mean(leaking.metrics["log_loss"]) > 2 * np.log(3)
    for score in (honest, leaking):
        assert abs(score.mean - 1 / 3) < 3 * np.sqrt(1 / 3 * 2 / 3 / 60)


def test_of_one_backbone_no_row_repeats_its_own_unless_asked_for(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    alone = {"a": blocks["a"]}
    assert list(by_model(evaluate(alone, y, folds, options=FIXED))) == ["lr:a", "svm:a", "stack:oof", "stack:published"]
    evaluation = evaluate(alone, y, folds, recipes=("mean", "concat"), options=FIXED)
    scores = by_model(evaluation)
    assert list(scores) == ["lr:a", "svm:a", "mean", "concat"]
    assert scores["lr:a"] == scores["mean"] == scores["concat"]
    assert evaluation.chosen["concat"] == evaluation.chosen["lr:a"]


def test_a_dataset_s_own_split_is_one_fold(blocks: Blocks, y: Labels) -> None:
    split = np.repeat(["train", "validation", "test"], 150)
    scores = evaluate(blocks, y, split_folds(split, "test"), recipes=("published",), options=FIXED).results
    assert [score.model for score in scores] == [m for m in MODELS if m != "stack:oof"]
    assert all(len(score.folds) == 1 and score.std == 0 for score in scores)


def test_class_kept_for_training_alone_is_learnt_and_costs_nothing(blocks: Blocks, y: Labels) -> None:
    rare = y.copy()
    rare[0] = "letter a"
    folds = stratified_folds(rare, 3, 0, rare="keep")
    evaluation = evaluate(blocks, rare, folds, options=FIXED)
    for score in evaluation.results:
        assert score.mean > 0.7
        assert all(p.scores.shape[1] == 11 for p in evaluation.predictions[score.model])
    for prediction in evaluation.predictions["stack:oof"]:
        assert 10 not in prediction.scores.argmax(axis=1)  # no inner fold can test it


def test_class_that_no_inner_fold_could_test_costs_a_bounded_log_loss(digits: Digits, blocks: Blocks) -> None:
    codes = digits[1][:450]
    fours = np.flatnonzero(codes == 4)
    train = np.setdiff1d(np.arange(300), fours[1:])  # one 4, which no inner fold can test
    test = np.sort(np.concatenate([fours[-5:], np.setdiff1d(np.arange(300, 450), fours)]))
    y = np.array([f"digit {n}" for n in codes])
    evaluation = evaluate(blocks, y, [Fold(train, test)], recipes=("oof",), options=FIXED)
    (stacked,), (mean,) = (evaluation.score(model).metrics["log_loss"] for model in ("stack:oof", "mean"))
    assert stacked < 5 * mean  # the class is known: a probability of zero would say that it cannot be


def test_class_absent_from_a_training_part_is_an_error_that_says_which(
    blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    keep = y != "digit 7"
    fold = Fold(folds[0].train[keep[folds[0].train]], folds[0].test[keep[folds[0].test]])
    with pytest.raises(StackError, match=r"lacks 1 of 10 classes \(codes 7\)"):
        evaluate(blocks, y, [fold])


def test_spared_groups_leave_the_evaluation_standing() -> None:
    # Each inner training part must know "bee": one of its groups may be learnt from alone, and never tested.
    codes = np.array([0, 0, 2, 2, 1, 0, 0, 0, 1, 0, 1, 2])
    y = np.array(["ant", "bee", "cat"])[codes]
    groups = np.array([2, 1, 1, 0, 2, 2, 0, 0, 1, 3, 3, 3])
    x = np.random.default_rng(3).normal(size=(12, 3)).astype(np.float32)
    fold = Fold(np.arange(9), np.arange(9, 12))
    evaluation = evaluate({"a": x}, y, [fold], recipes=("oof",), options=FIXED, groups=groups, seed=3)
    assert np.isfinite(evaluation.predictions["stack:oof"][0].scores).all()


def test_progress_counts_every_fit_to_the_end(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    calls: list[tuple[str, int, int]] = []
    evaluate(blocks, y, folds, options=FIXED, progress=lambda what, done, total: calls.append((what, done, total)))
    # Of each fold: lr and svm of two backbones, concat, published; the stack and those without one backbone.
    n_fits = (2 * 2 + 1 + 1 + 3) * len(folds)
    assert calls == [("fitting", done, n_fits) for done in range(n_fits + 1)]


def test_lr_baselines_are_log_probabilities_of_their_decisions(
    monkeypatch: pytest.MonkeyPatch, blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    made: list[BaseScores] = []
    fit: Callable[..., Any] = lr_module.score_classes

    def keep(*args: Any, **options: Any) -> BaseScores:  # noqa: ANN401 - passed on
        found: BaseScores = fit(*args, **options)
        made.append(found)
        return found

    monkeypatch.setattr(lr_module, "score_classes", keep)
    evaluation = evaluate({"a": blocks["a"]}, y, folds, recipes=(), options=FIXED, n_jobs=1)
    for scores, prediction in zip(made, evaluation.predictions["lr:a"], strict=True):
        np.testing.assert_allclose(prediction.scores, log_softmax(scores.test.astype(np.float64), axis=1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_not_finite_name_backbone_and_rows(blocks: Blocks, y: Labels, folds: list[Fold], bad: float) -> None:
    broken = blocks["b"].copy()
    broken[[3, 200], 5] = bad
    with pytest.raises(StackError, match=r"'b' hold NaN or infinity in 2 of 450 rows \(first rows: 3, 200\)"):
        evaluate(blocks | {"b": broken}, y, folds)


def test_constant_columns_do_no_harm(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    padded = {name: np.hstack([x, np.full((450, 2), 0.1, np.float32)]) for name, x in blocks.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        scores = evaluate(padded, y, folds, recipes=("oof",), options=FIXED)
    for model, each in by_model(evaluate(blocks, y, folds, recipes=("oof",), options=FIXED)).items():
        assert by_model(scores)[model] == pytest.approx(each, abs=0.021)  # three of 150 rows


@pytest.mark.parametrize("shape", [(449, 30), (450, 0), (450,)])
def test_shapes_that_disagree_are_refused(blocks: Blocks, y: Labels, folds: list[Fold], shape: tuple[int, ...]) -> None:
    with pytest.raises(StackError, match=r"features of 'b' have shape .*expected \(450, dim\)"):
        evaluate(blocks | {"b": np.zeros(shape, np.float32)}, y, folds)


def test_no_features_are_refused(y: Labels, folds: list[Fold]) -> None:
    with pytest.raises(StackError, match="at least one backbone"):
        evaluate({}, y, folds)


def test_unlabelled_image_is_refused(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    missing = y.copy()
    missing[9] = ""
    with pytest.raises(StackError, match=r"1 of 450 images have no label \(first rows: 9\)"):
        evaluate(blocks, missing, folds)


@pytest.mark.parametrize("n_groups", [440, 460])
def test_groups_of_other_images_are_refused(blocks: Blocks, y: Labels, folds: list[Fold], n_groups: int) -> None:
    with pytest.raises(StackError, match=f"groups have shape .{n_groups},. for 450 labels"):
        evaluate(blocks, y, folds, recipes=(), options=FIXED, groups=np.arange(n_groups))


def test_unknown_recipe_suggests_the_nearest(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    with pytest.raises(UsageError, match=r"'publshed'.*did you mean 'published'"):
        evaluate(blocks, y, folds, recipes=("publshed",))


def test_class_that_only_the_test_part_has_is_named(blocks: Blocks, y: Labels) -> None:
    in_test = (y == "digit 4") | (np.arange(len(y)) % 3 == 0)
    fold = Fold(np.flatnonzero(~in_test), np.flatnonzero(in_test))
    with pytest.raises(StackError, match="training part of fold 1 of 1 has no image of class 'digit 4'"):
        evaluate(blocks, y, [fold])


def test_training_part_that_cannot_be_divided_says_why() -> None:
    y = np.repeat(["cat", "dog"], [10, 2])
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    with pytest.raises(StackError, match=r"only class 'cat' with at least 2 images .*too few to test of class 'dog'"):
        evaluate({"a": x}, y, stratified_folds(y, 2, 0))


def test_two_images_are_too_few_and_it_is_said() -> None:
    fold = Fold(np.array([0]), np.array([1]))
    with pytest.raises(StackError, match="no image of class 'dog'"):
        evaluate({"a": np.zeros((2, 3), np.float32)}, np.array(["cat", "dog"]), [fold])


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(np.arange(400), np.arange(399, 450)), r"shares 1 rows with its test part \(row 399 first\)"),
        (Fold(np.arange(400), np.arange(0)), "400 training and 0 test rows"),
        (Fold(np.arange(0), np.arange(400)), "0 training and 400 test rows"),
        (Fold(np.arange(400), np.arange(400, 451)), "reach beyond"),
        (Fold(np.arange(-1, 400), np.arange(400, 450)), "reach beyond"),
    ],
)
def test_folds_that_cheat_or_miss_are_refused(blocks: Blocks, y: Labels, fold: Fold, message: str) -> None:
    with pytest.raises(StackError, match=message):
        evaluate(blocks, y, [fold])


def test_no_folds_are_refused(blocks: Blocks, y: Labels) -> None:
    with pytest.raises(StackError, match="no folds"):
        evaluate(blocks, y, [])


def test_every_model_of_a_fold_sees_the_features_of_that_fold(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    rng = np.random.default_rng(0)
    own = [(blocks["b"] * rng.uniform(0.2, 1, 34)[rng.permutation(34)]).astype(np.float32) for _ in folds]
    found = evaluate({"a": blocks["a"], "b": PerFold(own)}, y, folds, options=FIXED)
    for number, fold in enumerate(folds):
        alone = evaluate({"a": blocks["a"], "b": own[number]}, y, [fold], options=FIXED)
        assert list(found.predictions) == list(alone.predictions)
        for model, [prediction] in alone.predictions.items():
            np.testing.assert_array_equal(found.predictions[model][number].scores, prediction.scores, err_msg=model)
    one = evaluate({"b": PerFold(own)}, y, folds, recipes=("concat",), options=FIXED)
    assert by_model(one)["concat"] == by_model(one)["lr:b"]


def test_features_of_other_folds_or_not_finite_in_one_are_refused(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    with pytest.raises(StackError, match="'b' are of 2 folds, and there are 3"):
        evaluate({"b": PerFold([blocks["b"]] * 2)}, y, folds)
    broken = blocks["b"].copy()
    broken[5, 0] = np.nan
    with pytest.raises(StackError, match=r"'b' hold NaN .* 1 of 450 rows \(first rows: 5\)"):
        evaluate({"b": PerFold([blocks["b"], broken, broken])}, y, folds)
