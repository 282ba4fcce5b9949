"""The calibration factor is the one of the least log-loss, and stays sober where there is no such one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.metrics import class_metrics
from stackbone.stack.metrics.temperature import LEAST_REACH, MOST_REACH, fit_scale, log_probabilities

Codes = NDArray[np.int64]
Matrix = NDArray[np.float64]


def sample(n: int, n_classes: int, seed: int = 0) -> tuple[Matrix, Codes]:
    """Draw logits, and classes with exactly the probabilities that they say."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, n_classes))
    probabilities = np.exp(log_softmax(logits, axis=1))
    codes = (rng.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=n_classes - 1)
    return logits, codes


@pytest.mark.parametrize("n_classes", [2, 7])
def test_scale_has_the_least_plain_log_loss(n_classes: int) -> None:
    logits, codes = sample(300, n_classes)
    decision = 0.3 * logits + 5.0  # what is the same for all classes of a row does not matter

    def plain(log_scale: float) -> float:
        return float(log_loss(codes, np.exp(log_softmax(np.exp(log_scale) * decision, axis=1))))

    best = minimize_scalar(plain, bounds=(-7, 7), method="bounded", options={"xatol": 1e-8})
    scale = fit_scale(decision, codes)
    assert np.log(scale) == pytest.approx(best.x, abs=1e-5)
    assert class_metrics(codes, log_probabilities(decision, scale), probability=True)["log_loss"] <= best.fun + 1e-12


def test_scale_undoes_what_the_decision_values_were_multiplied_by() -> None:
    logits, codes = sample(20_000, 3)  # more rows than are summed at a time
    scale = fit_scale(logits, codes)
    assert scale == pytest.approx(1, abs=0.03)
    for factor in (1e-6, 0.25, 1e6):
        assert fit_scale(factor * logits, codes) == pytest.approx(scale / factor, rel=1e-6)
    assert fit_scale(logits.astype(np.float32), codes) == pytest.approx(scale, rel=1e-5)


def test_calibration_lowers_the_calibration_error_of_other_rows() -> None:
    decision, codes = sample(3000, 5)
    decision *= 4  # four times too sure
    scale = fit_scale(decision[:1500], codes[:1500])
    before = class_metrics(codes[1500:], log_probabilities(decision[1500:], 1.0), probability=True)
    after = class_metrics(codes[1500:], log_probabilities(decision[1500:], scale), probability=True)
    assert after["calibration_error"] < 0.05 < 0.15 < before["calibration_error"]
    assert after["log_loss"] < before["log_loss"]
    assert after["accuracy"] == before["accuracy"]


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_rows_that_are_all_right_are_as_sure_as_the_rule_of_succession(n: int) -> None:
    codes = np.arange(n) % 2
    decision = np.where(np.eye(2)[codes] == 1, 0.7, -0.7)
    scale = fit_scale(decision, codes)
    assert scale == pytest.approx(np.log(n + 1) / 1.4)
    probability = np.exp(log_probabilities(decision, scale)[np.arange(n), codes])
    np.testing.assert_allclose(probability, (n + 1) / (n + 2))


def test_rows_that_are_all_right_by_various_margins_are_sober_on_average() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=200)
    decision = rng.normal(size=(200, 4))
    decision[np.arange(200), codes] = decision.max(axis=1) + rng.uniform(0.5, 3, size=200)
    doubt = 1 - np.exp(log_probabilities(decision, fit_scale(decision, codes)).max(axis=1))
    assert 0.2 / 202 < doubt.mean() < 5 / 202


def test_values_no_better_than_chance_become_nearly_equal_probabilities() -> None:
    codes = np.arange(12) % 3
    decision = -5.0 * np.eye(3)[codes]  # the true class is always the last
    scale = fit_scale(decision, codes)
    assert scale == pytest.approx(LEAST_REACH / 5)
    probabilities = np.exp(log_probabilities(decision, scale))
    np.testing.assert_allclose(probabilities, 1 / 3, rtol=1e-3)
    assert (probabilities[np.arange(12), codes] < 1 / 3).all()  # in the same order as before


def test_scale_is_bounded_where_nothing_else_bounds_it() -> None:
    decision = np.array([[2.0, 2.0, 0.0], [0.0, 2.0, 2.0]])  # right by a tie: the last class never shows
    assert fit_scale(decision, np.array([0, 2])) == pytest.approx(MOST_REACH / 2)


def test_values_that_tell_no_class_from_another_leave_the_scale_at_one() -> None:
    assert fit_scale(np.full((4, 3), 2.5), np.array([0, 1, 2, 0])) == 1.0
    assert fit_scale(np.array([[3.0], [4.0]]), np.zeros(2, np.int64)) == 1.0  # a single class


def test_log_probabilities_are_those_of_the_scaled_softmax() -> None:
    logits, _ = sample(50, 4)
    found = log_probabilities(logits.astype(np.float32), 0.5)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.log(np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1)[:, None]), atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))
    huge = log_probabilities(np.array([[1e6, 0.0]], np.float32), 100.0)
    np.testing.assert_array_equal(huge, [[0.0, -1e8]])


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_factor_that_is_none_is_wrong_usage(scale: float) -> None:
    with pytest.raises(UsageError, match="finite number above 0"):
        log_probabilities(np.zeros((2, 2)), scale)


@pytest.mark.parametrize(
    ("decision", "codes", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0, np.int64), "not empty"),
        (np.zeros((2, 2)), np.zeros(3, np.int64), "same rows of both"),
        (np.zeros((2, 2)), np.array([0, 2]), "0 to 2; expected 0 to 1"),
        (np.array([[0.0, 1.0], [np.nan, np.nan]]), np.zeros(2, np.int64), "no classifier scored"),
        (np.array([[0.0, 1.0], [0.0, -np.inf]]), np.zeros(2, np.int64), r"1 of 2 rows \(first rows: 1\)"),
    ],
)
def test_values_that_cannot_be_calibrated_are_refused(decision: Matrix, codes: Codes, message: str) -> None:
    with pytest.raises(StackError, match=message):
        fit_scale(decision, codes)
