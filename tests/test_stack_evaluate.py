"""The table of scores: right models, right numbers, no leak, and an error for what cannot be scored."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from mlxtend.classifier import StackingClassifier
from mlxtend.feature_selection import ColumnSelector
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cache.errors import StackError, UsageError
from stack import Evaluation, Fold, ModelScore, evaluate, split_folds, stratified_folds

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Blocks = dict[str, NDArray[np.float32]]
Labels = NDArray[np.str_]
MODELS = ["lr:a", "lr:b", "svm:a", "svm:b", "mean", "concat", "stack:oof", "stack:published"]


@pytest.fixture(scope="module")
def y() -> Labels:
    return np.array([f"digit {n}" for n in load_digits().target[:450]])


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    x = load_digits().data[:450].astype(np.float32)
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


def test_models_come_in_the_order_of_the_table(evaluation: Evaluation) -> None:
    assert [score.model for score in evaluation.results] == MODELS
    assert all(len(score.folds) == 3 for score in evaluation.results)


def test_stacks_beat_every_single_backbone(evaluation: Evaluation) -> None:
    scores = {score.model: score.mean for score in evaluation.results}
    best_single = max(value for model, value in scores.items() if model.startswith(("lr:", "svm:")))
    for model in ("mean", "concat", "stack:oof", "stack:published"):
        assert scores[model] > best_single


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
            meta_classifier=LinearSVC(),
            use_probas=True,
            average_probas=True,
        )
        predicted: Labels = model.fit(x[fold.train], y[fold.train]).predict(x[fold.test])
        return predicted

    assert by_model(evaluation)["stack:published"] == accuracies(predict, y, folds)


def test_oof_recipe_scores_as_a_plain_slow_sklearn_loop(
    monkeypatch: pytest.MonkeyPatch, blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    monkeypatch.setattr("stack.base.score_classes.__defaults__", ([0.01],))
    monkeypatch.setattr("stack.meta.predict_oof.__defaults__", ([0.1],))
    lr = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))

    def predict_stack(fold: Fold) -> Labels:
        inner = StratifiedKFold(5, shuffle=True, random_state=0)
        train = [
            cross_val_predict(lr, x[fold.train], y[fold.train], cv=inner, method="predict_proba")
            for x in blocks.values()
        ]
        test = [lr.fit(x[fold.train], y[fold.train]).predict_proba(x[fold.test]) for x in blocks.values()]
        svm = LinearSVC(C=0.1, dual=False).fit(np.hstack(train), y[fold.train])
        predicted: Labels = svm.predict(np.hstack(test))
        return predicted

    def predict_concat(fold: Fold) -> Labels:
        x = np.hstack(list(blocks.values()))
        predicted: Labels = lr.fit(x[fold.train], y[fold.train]).predict(x[fold.test])
        return predicted

    scores = by_model(evaluate(blocks, y, folds, recipes=("oof",)))
    assert scores["stack:oof"] == accuracies(predict_stack, y, folds)
    assert scores["concat"] == accuracies(predict_concat, y, folds)


def test_scores_do_not_depend_on_threads_or_repetition(
    evaluation: Evaluation, blocks: Blocks, y: Labels, folds: list[Fold]
) -> None:
    assert evaluate(blocks, y, folds, n_jobs=1) == evaluation


def test_shuffled_labels_score_at_chance(blocks: Blocks, y: Labels) -> None:
    shuffled = np.random.default_rng(0).permutation(y)
    scores = evaluate(blocks, shuffled, stratified_folds(shuffled, 3, 0)).results
    chance, three_sigma = 0.1, 3 * np.sqrt(0.1 * 0.9 / len(y))
    for score in scores:
        assert abs(score.mean - chance) < three_sigma, score


def test_test_labels_have_no_say_in_predictions(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    digits = ["digit 1", "digit 7", "digit 8"]
    kept = np.isin(y, digits)
    fold = Fold(folds[0].train[kept[folds[0].train]], folds[0].test[kept[folds[0].test]])
    share_called = dict.fromkeys(MODELS, 0.0)
    for digit in digits:
        relabelled = y.copy()
        relabelled[fold.test] = digit
        for model, (share,) in by_model(evaluate(blocks, relabelled, [fold])).items():
            share_called[model] += share
    # Were a test label learnt from, rows would be called what they are labelled in more than one run.
    assert share_called == pytest.approx(dict.fromkeys(MODELS, 1.0))


def test_one_backbone_is_its_own_concatenation(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    scores = by_model(evaluate({"a": blocks["a"]}, y, folds))
    assert list(scores) == ["lr:a", "svm:a", "mean", "concat", "stack:oof", "stack:published"]
    assert scores["lr:a"] == scores["mean"] == scores["concat"]


def test_a_dataset_s_own_split_is_one_fold(blocks: Blocks, y: Labels) -> None:
    split = np.repeat(["train", "validation", "test"], 150)
    scores = evaluate(blocks, y, split_folds(split, "test"), recipes=("published",)).results
    assert [score.model for score in scores] == [m for m in MODELS if m != "stack:oof"]
    assert all(len(score.folds) == 1 and score.std == 0 for score in scores)


def test_class_absent_from_a_fold_altogether_costs_nothing(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    keep = y != "digit 7"
    fold = Fold(folds[0].train[keep[folds[0].train]], folds[0].test[keep[folds[0].test]])
    assert all(score.mean > 0.75 for score in evaluate(blocks, y, [fold]).results)


def test_progress_counts_every_fit_to_the_end(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    calls: list[tuple[str, int, int]] = []
    evaluate(blocks, y, folds, progress=lambda what, done, total: calls.append((what, done, total)))
    n_fits = len(MODELS) * len(folds)
    assert calls == [("fitting", done, n_fits) for done in range(n_fits + 1)]


def test_model_score_goes_to_json_with_population_std() -> None:
    score = ModelScore("mean", [0.5, 0.7])
    assert json.loads(json.dumps(score.to_dict())) == {
        "model": "mean",
        "accuracy": {"mean": pytest.approx(0.6), "std": pytest.approx(0.1), "folds": [0.5, 0.7]},
    }


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_not_finite_name_backbone_and_rows(blocks: Blocks, y: Labels, folds: list[Fold], bad: float) -> None:
    broken = blocks["b"].copy()
    broken[[3, 200], 5] = bad
    with pytest.raises(StackError, match=r"'b' hold NaN or infinity in 2 of 450 rows \(first rows: 3, 200\)"):
        evaluate(blocks | {"b": broken}, y, folds)


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


def test_unknown_recipe_suggests_the_nearest(blocks: Blocks, y: Labels, folds: list[Fold]) -> None:
    with pytest.raises(UsageError, match=r"'publshed'.*did you mean 'published'"):
        evaluate(blocks, y, folds, recipes=("publshed",))


def test_class_that_only_the_test_part_has_is_named(blocks: Blocks, y: Labels) -> None:
    in_test = (y == "digit 4") | (np.arange(len(y)) % 3 == 0)
    fold = Fold(np.flatnonzero(~in_test), np.flatnonzero(in_test))
    with pytest.raises(StackError, match="training part of fold 1 of 1 has no image of class 'digit 4'"):
        evaluate(blocks, y, [fold])


def test_class_with_one_training_image_is_named() -> None:
    y = np.repeat(["cat", "dog"], [10, 2])
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    with pytest.raises(StackError, match=r"one image only of class\(es\) 'dog'"):
        evaluate({"a": x}, y, stratified_folds(y, 2, 0))


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(np.arange(400), np.arange(399, 450)), r"shares 1 rows with its test part \(row 399 first\)"),
        (Fold(np.arange(400), np.arange(0)), "400 training and 0 test rows"),
        (Fold(np.arange(400), np.arange(400, 451)), "reach beyond"),
    ],
)
def test_folds_that_cheat_or_miss_are_refused(blocks: Blocks, y: Labels, fold: Fold, message: str) -> None:
    with pytest.raises(StackError, match=message):
        evaluate(blocks, y, [fold])


def test_no_folds_are_refused(blocks: Blocks, y: Labels) -> None:
    with pytest.raises(StackError, match="no folds"):
        evaluate(blocks, y, [])
