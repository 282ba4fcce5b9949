"""The metrics equal scikit-learn's where it has them, hand-computed numbers where it has not, and are never NaN."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn import metrics as plain
from sklearn.calibration import calibration_curve as plain_curve

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.calibration import calibration_curve, calibration_error
from stackbone.stack.metrics.checks import check_log_probabilities
from stackbone.stack.metrics.metrics import class_metrics, regression_metrics

Codes = NDArray[np.int64]
Matrix = NDArray[np.float64]


def guesses(n: int, n_classes: int, seed: int = 0) -> tuple[Codes, Matrix]:
    """Return classes and log probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(n_classes, size=n)
    values = rng.normal(size=(n, n_classes))
    values[np.arange(n), truth] += 1.5
    logs: Matrix = log_softmax(values, axis=1)
    return truth, logs


def log(probabilities: list[list[float]]) -> Matrix:
    logs: Matrix = np.log(np.array(probabilities))
    return logs


def test_class_metrics_equal_scikit_learn() -> None:
    truth, logs = guesses(400, 25)
    found = class_metrics(truth, logs, probability=True)
    predicted = logs.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(plain.accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(plain.f1_score(truth, predicted, average="macro"))
    assert found["log_loss"] == pytest.approx(plain.log_loss(truth, np.exp(logs), labels=np.arange(25)))
    assert found["top5"] == pytest.approx(plain.top_k_accuracy_score(truth, logs, k=5, labels=np.arange(25)))
    assert found["accuracy"] < found["top5"] < 1
    single = class_metrics(truth, logs.astype(np.float32), probability=True)
    assert single == pytest.approx(found, rel=1e-5)
    json.dumps(found, allow_nan=False)


def test_decision_values_have_no_probability_metrics() -> None:
    truth, logs = guesses(100, 4)
    assert set(class_metrics(truth, 7 * logs, probability=False)) == {"accuracy", "macro_f1"}
    assert set(class_metrics(truth, logs, probability=True)) == {
        *("accuracy", "macro_f1", "log_loss", "calibration_error")
    }


def test_top5_is_counted_from_twenty_classes_on() -> None:
    for n_classes, counted in ((19, False), (20, True)):
        truth, logs = guesses(50, n_classes)
        assert ("top5" in class_metrics(truth, logs, probability=True)) is counted


def test_of_equal_scores_the_first_class_is_predicted() -> None:
    truth = np.array([0, 4, 5, 19])
    found = class_metrics(truth, np.zeros((4, 20)), probability=False)
    assert found["accuracy"] == 0.25
    assert found["top5"] == 0.5  # classes 0 and 4 are among the first five, 5 and 19 are not


def test_macro_f1_counts_classes_that_occur_in_truth_or_prediction() -> None:
    # Class 2 is predicted and never true, class 3 neither: (2/3 + 1 + 0) / 3.
    truth = np.array([0, 0, 1])
    scores = np.eye(4)[[0, 2, 1]]
    assert class_metrics(truth, scores, probability=False)["macro_f1"] == pytest.approx((2 / 3 + 1) / 3)


def test_a_class_held_for_impossible_leaves_the_log_loss_finite() -> None:
    with np.errstate(divide="ignore"):
        logs = log([[1.0, 0.0], [0.5, 0.5]])
    found = class_metrics(np.array([1, 0]), logs, probability=True)
    assert found["log_loss"] == pytest.approx((-np.log(np.finfo(np.float64).tiny) + np.log(2)) / 2)
    json.dumps(found, allow_nan=False)


def test_certain_and_right_scores_perfectly() -> None:
    with np.errstate(divide="ignore"):
        logs = np.log(np.eye(3))
    found = class_metrics(np.array([0, 1, 2]), logs, probability=True)
    assert found == {"accuracy": 1.0, "macro_f1": 1.0, "log_loss": 0.0, "calibration_error": 0.0}
    assert str(found["log_loss"]) == "0.0"  # and not -0.0, which a table would show


def test_a_single_row_and_a_single_class_have_metrics() -> None:
    found = class_metrics(np.array([0]), np.zeros((1, 1)), probability=True)
    assert found == {"accuracy": 1.0, "macro_f1": 1.0, "log_loss": 0.0, "calibration_error": 0.0}


def test_calibration_error_by_hand() -> None:
    truth = np.array([0, 0, 1, 0, 1, 1])
    logs = log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.45, 0.55], [0.4, 0.6], [0.35, 0.65]])
    # By confidence: .55 wrong, .6 right | .65 right, .7 wrong | .8 right, .9 right.
    curve = calibration_curve(truth, logs, bins=3)
    assert [(each.n, each.accuracy) for each in curve] == [(2, 0.5), (2, 0.5), (2, 1.0)]
    assert [each.confidence for each in curve] == pytest.approx([0.575, 0.675, 0.85])
    assert calibration_error(curve) == pytest.approx((0.075 + 0.175 + 0.15) / 3)
    assert class_metrics(truth, logs, probability=True)["calibration_error"] == pytest.approx(
        (0.55 + 0.4 + 0.35 + 0.7 + 0.2 + 0.1) / 6  # fewer rows than bins: each row is one
    )


def test_calibration_curve_equals_scikit_learns_quantile_bins() -> None:
    truth, logs = guesses(300, 5)
    curve = calibration_curve(truth, logs, bins=10)
    right, confidence = logs.argmax(axis=1) == truth, np.exp(logs.max(axis=1))
    accuracy, mean_confidence = plain_curve(right, confidence, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([each.accuracy for each in curve], accuracy)
    np.testing.assert_allclose([each.confidence for each in curve], mean_confidence)
    assert [each.n for each in curve] == [30] * 10


def test_row_order_does_not_change_the_calibration_error_of_equal_confidences() -> None:
    # Half of the predictions are right, all at confidence .5: perfectly calibrated.
    logs = log([[0.5, 0.5]] * 60)
    truth = np.repeat([0, 1], 30)
    (only,) = calibration_curve(truth, logs)
    assert (only.accuracy, only.n) == (0.5, 60)
    assert only.confidence == pytest.approx(0.5)
    truth, logs = guesses(200, 3)
    logs = log_softmax(logs.round(1), axis=1)
    order = np.random.default_rng(1).permutation(200)
    assert calibration_error(calibration_curve(truth, logs)) == pytest.approx(
        calibration_error(calibration_curve(truth[order], logs[order]))
    )


def test_truthful_confidence_has_a_small_calibration_error() -> None:
    rng = np.random.default_rng(0)
    logs = log_softmax(2 * rng.normal(size=(20_000, 3)), axis=1)
    truth = (rng.random((20_000, 1)) > np.exp(logs).cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert calibration_error(calibration_curve(truth, logs)) < 0.01
    boastful = log_softmax(3 * logs, axis=1)
    assert calibration_error(calibration_curve(truth, boastful)) > 0.1


def test_a_calibration_bin_is_a_json_object() -> None:
    truth, logs = guesses(40, 3)
    (first, *_) = calibration_curve(truth, logs)
    assert json.loads(json.dumps(first.to_dict())) == {
        "confidence": first.confidence,
        "accuracy": first.accuracy,
        "n": first.n,
    }


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        (np.zeros(0, np.int64), np.zeros((0, 3)), "not empty"),
        (np.zeros(2, np.int64), np.zeros((3, 3)), "same rows of both"),
        (np.zeros(3, np.int64), np.zeros(3), "n_classes"),
        (np.array([0, 3]), np.zeros((2, 3)), "class codes run from 0 to 3; expected 0 to 2"),
        (np.array([-1, 0]), np.zeros((2, 3)), "class codes run from -1 to 0"),
        (np.array([0, 0, 0]), np.array([[0.0, 1], [np.nan, 0], [0, np.inf]]), r"2 of 3 rows \(first rows: 1, 2\)"),
        (np.array([0, 0]), np.array([[0.0, 1], [-np.inf, -np.inf]]), r"1 of 2 rows \(first rows: 1\)"),
    ],
)
def test_scores_that_cannot_be_measured_are_refused(truth: Codes, scores: Matrix, message: str) -> None:
    with pytest.raises(StackError, match=message):
        class_metrics(truth, scores, probability=False)


def test_decision_values_are_not_taken_for_probabilities() -> None:
    truth, logs = guesses(30, 4)
    for values in (2 * logs, np.where(logs > -1, 5000.0, 0.0)):
        with pytest.raises(StackError, match="do not sum to 1"):
            class_metrics(truth, values, probability=True)
    check_log_probabilities(logs.astype(np.float32))


def test_less_than_one_bin_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="0 bins"):
        calibration_curve(*guesses(10, 2), bins=0)


def test_regression_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 20, size=50)
    predicted = truth + rng.normal(3, 10, size=50)
    found = regression_metrics(truth, predicted)
    assert found == pytest.approx(
        {
            "r2": plain.r2_score(truth, predicted),
            "mae": plain.mean_absolute_error(truth, predicted),
            "rmse": plain.root_mean_squared_error(truth, predicted),
        }
    )
    assert regression_metrics(truth, np.full(50, truth.mean()))["r2"] == pytest.approx(0)
    assert regression_metrics(truth, -truth)["r2"] < 0


def test_r2_of_a_truth_that_does_not_vary_is_one_or_zero() -> None:
    truth = np.full(3, 0.1)  # whose mean is not 0.1 to the last bit
    assert regression_metrics(truth, truth) == {"r2": 1.0, "mae": 0.0, "rmse": 0.0}
    assert regression_metrics(truth, truth + 1)["r2"] == 0.0
    assert regression_metrics(np.array([5.0]), np.array([3.0])) == {"r2": 0.0, "mae": 2.0, "rmse": 2.0}


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros(0), np.zeros(0), "not empty"),
        (np.zeros(3), np.zeros(2), "same length"),
        (np.zeros((3, 1)), np.zeros((3, 1)), "two vectors"),
        (np.array([0.0, np.nan]), np.zeros(2), r"true values are NaN or infinite in 1 of 2 rows \(first rows: 1\)"),
        (np.zeros(2), np.array([np.inf, 0.0]), "predicted values are NaN or infinite"),
    ],
)
def test_numbers_that_cannot_be_measured_are_refused(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(StackError, match=message):
        regression_metrics(truth, predicted)
