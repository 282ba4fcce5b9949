"""Classes, pairs and images that a model gets wrong are found, counted rightly, and always in the same order."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.confusion import (
    ClassReport,
    ConfusedPair,
    confidently_wrong,
    confused_pairs,
    overruled,
    per_class,
)

Codes = NDArray[np.int64]
ANIMALS = np.array(["cat", "dog", "owl", "yak"])


def answers(n: int, n_classes: int) -> tuple[Codes, Codes]:
    rng = np.random.default_rng(0)
    truth = rng.integers(n_classes, size=n)
    return truth, np.where(rng.random(n) < 0.6, truth, rng.integers(n_classes, size=n))


def test_each_class_is_measured_as_scikit_learn_does() -> None:
    truth, predicted = answers(200, 4)
    columns = precision_recall_fscore_support(truth, predicted)
    for found, *expected in zip(per_class(truth, predicted, ANIMALS), *columns, strict=True):
        assert [found.precision, found.recall, found.f1, found.n] == pytest.approx(expected)


def test_classes_without_images_or_predictions_are_reported_as_zero() -> None:
    reports = per_class(np.array([0, 0, 1]), np.array([0, 2, 0]), ["cat", "dog", "owl", "yak"])
    assert reports == [
        ClassReport("cat", 2, 0.5, 0.5, 0.5),
        ClassReport("dog", 1, 0.0, 0.0, 0.0),  # never predicted
        ClassReport("owl", 0, 0.0, 0.0, 0.0),  # no image of it
        ClassReport("yak", 0, 0.0, 0.0, 0.0),  # neither
    ]
    assert json.loads(json.dumps(reports[0].to_dict())) == {
        **{"name": "cat", "n": 2},
        **{"precision": 0.5, "recall": 0.5, "f1": 0.5},
    }


def test_confused_pairs_are_directed_and_the_most_frequent_come_first() -> None:
    truth = np.array([0] * 10 + [1] * 5 + [2] * 3)
    predicted = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 3, 3, 3])
    assert confused_pairs(truth, predicted, ANIMALS) == [
        ConfusedPair("owl", "yak", 3, 1.0),
        ConfusedPair("dog", "cat", 2, 0.4),  # as many as the next, and a larger share of its class
        ConfusedPair("cat", "dog", 2, 0.2),
        ConfusedPair("dog", "yak", 1, 0.2),
    ]
    assert confused_pairs(truth, predicted, ANIMALS, top=1) == [ConfusedPair("owl", "yak", 3, 1.0)]


def test_confused_pairs_are_the_matrix_off_its_diagonal() -> None:
    truth, predicted = answers(500, 4)
    matrix = confusion_matrix(truth, predicted)
    pairs = confused_pairs(truth, predicted, ANIMALS, top=100)
    names = ANIMALS.tolist()
    assert {(p.true, p.predicted): p.n for p in pairs} == {
        (names[i], names[j]): matrix[i, j] for i in range(4) for j in range(4) if i != j and matrix[i, j]
    }
    order = np.random.default_rng(1).permutation(500)
    assert confused_pairs(truth[order], predicted[order], ANIMALS, top=100) == pairs
    json.dumps([pair.to_dict() for pair in pairs], allow_nan=False)


def test_a_model_that_never_errs_confuses_nothing() -> None:
    truth, _ = answers(20, 4)
    assert confused_pairs(truth, truth, ANIMALS) == []
    scores = np.log(np.eye(4)[truth] * 0.9 + 0.025)
    assert confidently_wrong(truth, scores).tolist() == []


def test_confidently_wrong_rows_are_ordered_by_the_probability_of_the_wrong_answer() -> None:
    truth = np.array([0, 0, 1, 1])
    logs = np.log([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05], [0.5, 0.5]])  # of equals the first class is the answer
    assert confidently_wrong(truth, logs).tolist() == [2, 1, 3]
    assert confidently_wrong(truth, logs, top=2).tolist() == [2, 1]


def test_confidently_wrong_decision_values_are_ordered_by_margin() -> None:
    truth = np.array([0, 0, 0, 1])
    decision = np.array([[9.0, 10, 0], [-5, -2, -9], [1, 0, 0], [3, 0, 0]])  # margins 1, 3, right, 3
    assert confidently_wrong(truth, decision, probability=False).tolist() == [1, 3, 0]


def test_of_equally_sure_rows_the_least_likely_truth_comes_first() -> None:
    # In float32 many probabilities are 1 to the last bit.
    decision = np.array([[0, 30, -9], [0, 40, -9], [0, 40, -9], [0, 50, -9]], np.float32)
    logs = log_softmax(decision, axis=1)
    assert (logs[:, 1] == 0).all()
    assert confidently_wrong(np.zeros(4, np.int64), logs).tolist() == [3, 1, 2, 0]


def test_an_impossible_truth_is_the_surest_error() -> None:
    with np.errstate(divide="ignore"):
        logs = np.log([[0.0, 1.0], [0.1, 0.9]])
    assert confidently_wrong(np.zeros(2, np.int64), logs).tolist() == [0, 1]


def test_decision_values_are_not_ordered_as_probabilities() -> None:
    with pytest.raises(StackError, match="do not sum to 1"):
        confidently_wrong(np.array([0, 1]), np.array([[1.0, 4.0], [2.0, 0.0]]))


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros(0, np.int64), np.zeros(0, np.int64), "not empty"),
        (np.zeros(2, np.int64), np.zeros(3, np.int64), "same length"),
        (np.array([0, 4]), np.array([0, 0]), "0 to 4; expected 0 to 3"),
        (np.array([0, 0]), np.array([0, -1]), "-1 to 0; expected 0 to 3"),
    ],
)
def test_codes_that_cannot_be_compared_are_refused(truth: Codes, predicted: Codes, message: str) -> None:
    with pytest.raises(StackError, match=message):
        per_class(truth, predicted, ANIMALS)
    with pytest.raises(StackError, match=message):
        confused_pairs(truth, predicted, ANIMALS)


def test_a_top_of_none_is_wrong_usage() -> None:
    truth, predicted = answers(10, 4)
    with pytest.raises(UsageError, match="top 0"):
        confused_pairs(truth, predicted, ANIMALS, top=0)
    with pytest.raises(UsageError, match="top -1"):
        confidently_wrong(truth, np.zeros((10, 4)), top=-1, probability=False)


def test_a_model_overrules_its_members_only_where_these_agree() -> None:
    says = [np.array(each) for each in ([0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 2, 1])]
    assert overruled(says[2], says[:2]).tolist() == [True, False, True, False]
    assert overruled(says[2], says[:1]).tolist() == [False] * 4
    assert overruled(says[2], []).tolist() == [False] * 4


def test_of_repeats_images_are_counted_and_shares_stay() -> None:
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    often, again = np.tile(truth, 5), np.tile(predicted, 5)
    assert per_class(often, again, ["a", "b"], 5) == per_class(truth, predicted, ["a", "b"])
    assert confused_pairs(often, again, ["a", "b"], repeats=5) == confused_pairs(truth, predicted, ["a", "b"])
    truth, predicted = np.array([0, 0, 0, 0]), np.array([0, 0, 1, 0])  # wrong in one repeat of two
    [pair] = confused_pairs(truth, predicted, ["a", "b"], repeats=2)
    assert (pair.n, pair.share) == (1, 0.25)
