"""Confusion, calibration and histogram count every prediction once; similar classes become neighbours."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from stackbone.stack.folds.folds import Fold
from stackbone.stack.metrics.calibration import calibration_curve, calibration_error
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.report.sections.errors import error_figures, error_sections, similarity_order, target_points

N, CLASSES = 120, 4


@pytest.fixture
def codes() -> NDArray[np.int64]:
    return (np.arange(N) % CLASSES).astype(np.int64)


def predictions(codes: NDArray[np.int64], folds: list[Fold]) -> list[Prediction]:
    found = []
    for seed, fold in enumerate(folds):
        raw = np.eye(CLASSES)[codes[fold.test]] + np.random.default_rng(seed).normal(size=(len(fold.test), CLASSES))
        found.append(Prediction(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)), probability=True))
    return found


def test_figures_agree_with_scikit_learn_and_count_each_prediction_of_each_repeat(codes: NDArray[np.int64]) -> None:
    folds = [Fold.testing(np.arange(k, N, 3), N) for k in range(3)] * 2
    answers = predictions(codes, folds)
    truth = np.concatenate([codes[fold.test] for fold in folds])
    scores = np.concatenate([each.scores for each in answers])
    curve = calibration_curve(truth, scores)
    found = error_figures("stack:oof", answers, folds, codes, CLASSES, curve)

    np.testing.assert_array_equal(found.confusion.counts, confusion_matrix(truth, scores.argmax(axis=1)))
    assert found.confusion.counts.sum() == 2 * N
    assert found.calibration_error == pytest.approx(calibration_error(curve))
    assert [(each.confidence, each.accuracy, each.n) for each in found.calibration] == [
        (each.confidence, each.accuracy, each.n) for each in curve
    ]
    assert all(each.low <= each.confidence <= each.high for each in found.calibration)
    assert all(a.high < b.low for a, b in zip(found.calibration, found.calibration[1:], strict=False))
    right = scores.argmax(axis=1) == truth
    assert (found.scores.right.sum(), found.scores.wrong.sum()) == (right.sum(), (~right).sum())
    assert found.scores.right[-1] == (np.exp(scores.max(axis=1))[right] >= 0.95).sum()


def test_decision_values_have_a_confusion_matrix_and_no_probabilities(codes: NDArray[np.int64]) -> None:
    fold = Fold.testing(np.arange(N), N)
    answers = [Prediction(np.eye(CLASSES)[codes], probability=False)]
    found = error_figures("stack:published", answers, [fold], codes, CLASSES, [])
    np.testing.assert_array_equal(found.confusion.counts, 30 * np.eye(CLASSES))
    assert found.calibration == []
    assert found.calibration_error is None
    assert len(found.scores.edges) == len(found.scores.right) == len(found.scores.wrong) == 0


def test_classes_taken_for_one_another_are_neighbours() -> None:
    counts = 50 * np.eye(6, dtype=np.int64)
    for a, b in ((0, 3), (3, 5), (1, 4), (4, 2)):  # two chains, whose middles are 3 and 4
        counts[a, b] = counts[b, a] = 20
    order = similarity_order(counts).tolist()
    assert sorted(order) == list(range(6))
    for a, b in ((0, 3), (3, 5), (1, 4), (4, 2)):
        assert abs(order.index(a) - order.index(b)) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 450])
def test_any_number_of_classes_has_an_order_also_without_a_confusion_or_an_image(n: int) -> None:
    assert sorted(similarity_order(np.zeros((n, n), np.int64)).tolist()) == list(range(n))
    assert sorted(similarity_order(np.eye(n, dtype=np.int64)).tolist()) == list(range(n))


def test_a_large_class_does_not_outweigh_a_small_one() -> None:
    counts = np.diag([10_000, 10, 10, 10_000])
    counts[0, 3], counts[1, 2] = 100, 9
    order = similarity_order(counts).tolist()
    assert abs(order.index(1) - order.index(2)) == 1


def test_targets_of_repeats_are_averaged_and_the_worst_come_first() -> None:
    y = np.arange(100, dtype=np.float64)
    once = y.copy()
    once[[7, 40]] += [30, -50]
    answers = [Prediction(values, probability=False) for values in (once, y)]
    found = target_points("stack:oof", answers, [Fold.testing(np.arange(100), 100)] * 2, y, seed=0)
    assert found.worst[:2].tolist() == [40, 7]
    assert len(found.worst) == 60
    np.testing.assert_allclose(found.predicted - found.true, (once - y) / 2)


def test_many_targets_are_a_sample_that_holds_the_worst() -> None:
    n = 25_000
    y, rng = np.zeros(n), np.random.default_rng(0)
    folds = [Fold.testing(np.arange(n), n)]
    found = target_points("stack:oof", [Prediction(rng.normal(size=n), probability=False)], folds, y, seed=0)
    assert 19_000 < len(found.rows) <= 20_000
    assert np.isin(found.worst, found.rows).all()
    assert (np.diff(found.rows) > 0).all()
    again = target_points("stack:oof", [Prediction(rng.normal(size=n), probability=False)], folds, y, seed=0)
    assert len(np.intersect1d(again.rows, found.rows)) > 19_900


def test_a_regression_fills_no_section_of_a_classification() -> None:
    sections = error_sections(None)
    assert sections["confusion"] is sections["overlap"] is sections["scores"] is None
    assert sections["wrong"] == sections["per_class"] == sections["calibration"] == []
