"""Every metric equals scikit-learn's function, with weights and without; what it cannot tell of is not a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn import metrics as theirs

from stackbone.cache.errors import UsageError
from stackbone.stack.metrics.calibration import calibration_curve, calibration_error
from stackbone.stack.metrics.compare import bootstrap_difference
from stackbone.stack.metrics.metrics import METRICS, class_metrics, find_metric
from stackbone.stack.metrics.model_scores import ModelScore, Prediction
from stackbone.stack.metrics.resample import resampled, resampled_difference

Reference = Callable[..., float]


def made(n: int, n_classes: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Uneven classes, the first half of them rare, and log-probabilities with ties."""
    rng = np.random.default_rng([n, n_classes, seed])
    share = np.where(np.arange(n_classes) < n_classes / 2, 1.0, 6.0)
    codes = np.concatenate([np.arange(n_classes), rng.choice(n_classes, n - n_classes, p=share / share.sum())])
    said = np.round(1.5 * np.eye(n_classes)[codes] + rng.normal(size=(n, n_classes)), 1)
    return codes, log_softmax(said, axis=1)


def named(y: NDArray[np.int64], logs: NDArray[np.float64]) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = logs.argmax(axis=1)
    return codes


def of_second(y: NDArray[np.int64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what scikit-learn's ranking metrics take: of two classes the second's, of several all."""
    return logs[:, 1] if logs.shape[1] == 2 else np.exp(logs)


CLASSES: dict[str, tuple[Callable[..., Any], Reference]] = {
    "accuracy": (named, theirs.accuracy_score),
    "balanced_accuracy": (named, theirs.balanced_accuracy_score),
    "macro_f1": (named, lambda *a, **k: theirs.f1_score(*a, average="macro", **k)),
    "weighted_f1": (named, lambda *a, **k: theirs.f1_score(*a, average="weighted", **k)),
    "mcc": (named, theirs.matthews_corrcoef),
    "kappa": (named, theirs.cohen_kappa_score),
    "log_loss": (lambda _, logs: np.exp(logs), theirs.log_loss),
    "roc_auc": (of_second, lambda *a, **k: theirs.roc_auc_score(*a, multi_class="ovr", **k)),
    "average_precision": (of_second, theirs.average_precision_score),
    "top5": (
        lambda _, logs: logs,
        lambda y, logs, **k: theirs.top_k_accuracy_score(y, logs, k=5, labels=np.arange(logs.shape[1]), **k),
    ),
}
NUMBERS: dict[str, Reference] = {
    "r2": theirs.r2_score,
    "mae": theirs.mean_absolute_error,
    "rmse": theirs.root_mean_squared_error,
}


def test_every_metric_is_compared() -> None:
    compared = {*CLASSES, *NUMBERS, "calibration_error"}  # scikit-learn has none of the last
    assert compared == {each.name for each in METRICS.values() if each.task in ("classification", "regression")}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("name", CLASSES)
def test_metrics_of_classes_equal_scikit_learns(name: str, n_classes: int, *, weighted: bool) -> None:
    codes, logs = made(150, n_classes)
    if name == "top5":
        logs = logs + 1e-6 * np.random.default_rng(0).normal(size=logs.shape)  # of ties scikit-learn takes the last
    weights = np.random.default_rng(1).gamma(1.0, size=len(codes)) if weighted else None
    as_they_take, reference = CLASSES[name]
    found = METRICS[name].measure(codes, logs, probability=True, weights=weights)
    if name == "top5" and n_classes <= 5:
        assert found == 1.0
        return
    assert found == pytest.approx(reference(codes, as_they_take(codes, logs), sample_weight=weights), abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_metrics_of_numbers_equal_scikit_learns(name: str, *, weighted: bool) -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(5, 2, 80)
    said = y + rng.normal(size=80)
    weights = rng.gamma(1.0, size=80) if weighted else None
    found = METRICS[name].measure(y, said, probability=False, weights=weights)
    assert found == pytest.approx(NUMBERS[name](y, said, sample_weight=weights))


@pytest.mark.parametrize("name", [*CLASSES, "calibration_error"])
def test_a_weight_counts_as_repeated_rows(name: str) -> None:
    codes, logs = made(90, 3)
    weights = np.random.default_rng(3).integers(1, 5, len(codes))
    repeated = np.repeat(np.arange(len(codes)), weights)
    metric = METRICS[name]
    found = metric.measure(codes, logs, probability=True, weights=weights.astype(np.float64))
    assert found == pytest.approx(metric.measure(codes[repeated], logs[repeated], probability=True))


@pytest.mark.parametrize("name", [name for name, each in METRICS.items() if each.task == "classification"])
def test_what_needs_probabilities_says_so(name: str) -> None:
    codes, logs = made(60, 3)
    found = METRICS[name].measure(codes, 7 * logs, probability=False)
    assert (found is None) == METRICS[name].needs_probability


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_without_images_in_a_test_part_is_left_out_of_the_mean(name: str) -> None:
    codes, logs = made(100, 4)
    kept = codes != 2
    found = METRICS[name].measure(codes[kept], logs[kept], probability=True)
    assert found is not None
    assert np.isfinite(found)
    if name == "roc_auc":
        ranks = [theirs.roc_auc_score(codes[kept] == code, logs[kept, code]) for code in (0, 1, 3)]
        assert found == pytest.approx(np.mean(ranks))


@pytest.mark.parametrize(("name", "expected"), [("roc_auc", None), ("average_precision", None), ("kappa", None)])
def test_of_one_class_alone_there_is_no_number(name: str, expected: None) -> None:
    logs = log_softmax(np.tile([3.0, 0.0], (5, 1)), axis=1)
    assert METRICS[name].measure(np.zeros(5, np.int64), logs, probability=True) is expected
    assert METRICS["mcc"].measure(np.zeros(5, np.int64), logs, probability=True) == 0.0


def test_only_what_is_asked_for_joins_the_numbers_of_every_model() -> None:
    codes, logs = made(60, 3)
    plain = class_metrics(codes, logs, probability=True)
    assert list(plain) == ["accuracy", "macro_f1", "log_loss", "calibration_error"]
    asked = class_metrics(codes, logs, probability=True, asked="mcc")
    assert {**plain, "mcc": asked["mcc"]} == asked
    assert class_metrics(codes, logs, probability=True, asked="top5")["top5"] == 1.0


@pytest.mark.parametrize(
    ("task", "typed", "name"),
    [
        ("classification", "balanced-accuracy", "balanced_accuracy"),
        ("classification", "f1_macro", "macro_f1"),
        ("classification", "neg_log_loss", "log_loss"),
        ("classification", "roc_auc_ovr", "roc_auc"),
        ("classification", "Matthews_Corrcoef", "mcc"),
        ("regression", "neg_root_mean_squared_error", "rmse"),
        ("regression", "R2", "r2"),
    ],
)
def test_metrics_go_by_their_names_and_by_scikit_learns(task: str, typed: str, name: str) -> None:
    assert find_metric(task, typed).name == name


@pytest.mark.parametrize("name", [alias for each in METRICS.values() for alias in each.aliases])
def test_aliases_that_are_scorers_of_scikit_learn_have_its_sign(name: str) -> None:
    metric = next(each for each in METRICS.values() if name in each.aliases)
    if name in theirs.get_scorer_names():
        assert metric.lower_is_better == name.startswith("neg_")


@pytest.mark.parametrize(
    ("task", "typed", "words"),
    [
        ("classification", "balanced-acuracy", r"unknown metric .* did you mean 'balanced-accuracy'\?"),
        ("classification", "neg_logloss", r"did you mean 'log-loss'\?"),
        ("classification", "rmse", r"rmse is a metric of regression \(--task regression\)"),
        ("regression", "maee", r"choose from r2, mae, rmse; did you mean 'mae'\?"),
        ("classification", "qqq", r"choose from accuracy, macro-f1, top5, [a-z0-9, -]*mcc$"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_nearest(task: str, typed: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_metric(task, typed)


def test_of_a_loss_the_least_is_the_best() -> None:
    low, high = (
        ModelScore("a", [0.1, 0.3], primary_metric="log_loss"),
        ModelScore("b", [0.9], primary_metric="accuracy"),
    )
    assert (low.merit, low.merits) == (-0.2, [-0.1, -0.3])
    assert (high.merit, high.merits) == (0.9, [0.9])


def test_bins_of_weighted_predictions_hold_equal_weight() -> None:
    codes, logs = made(300, 3)
    weights = np.random.default_rng(4).gamma(1.0, size=len(codes))
    curve = calibration_curve(codes, logs, 5, weights)
    masses = [each.weight for each in curve if each.weight is not None]
    assert sum(masses) == pytest.approx(weights.sum())
    assert max(masses) < 0.35 * weights.sum()
    assert "weight" not in calibration_curve(codes, logs)[0].to_dict()
    assert 0 < calibration_error(curve) < 1


def test_drawn_again_accuracy_has_the_interval_of_the_multinomial_bootstrap() -> None:
    codes, logs = made(200, 3)
    a, b = Prediction(logs, probability=True), Prediction(made(200, 3, seed=9)[1], probability=True)
    ours = resampled_difference(
        METRICS["accuracy"], *(resampled(METRICS["accuracy"], codes, each, seed=0) for each in (a, b))
    )
    right = [each.scores.argmax(axis=1) == codes for each in (a, b)]
    plain = bootstrap_difference(*right, seed=0)
    assert ours is not None
    assert ours.mean == pytest.approx(plain.mean)
    assert ours.low == pytest.approx(plain.low, abs=0.02)
    assert ours.high == pytest.approx(plain.high, abs=0.02)
    assert ours.method == plain.method


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "balanced_accuracy"])
def test_the_better_of_two_models_is_above_zero_whatever_the_sign_of_the_metric(name: str) -> None:
    codes, logs = made(150, 3)
    worse = log_softmax(0.3 * logs + np.random.default_rng(5).normal(size=logs.shape), axis=1)
    a, b = Prediction(logs, probability=True), Prediction(worse, probability=True)
    groups = np.arange(len(codes)) // 2
    one, other = (resampled(METRICS[name], codes, each, seed=0, groups=groups) for each in (a, b))
    found = resampled_difference(METRICS[name], one, other)
    back = resampled_difference(METRICS[name], other, one)
    assert found is not None
    assert back is not None
    assert found.low is not None
    assert 0 < found.low < found.mean
    assert back.mean == pytest.approx(-found.mean)
    assert back.high == pytest.approx(-found.low)
    drawn = resampled(METRICS[name], codes, a, seed=0).drawn
    value = METRICS[name].measure(codes, logs, probability=True)
    assert value is not None
    assert np.quantile(drawn, 0.025) < value < np.quantile(drawn, 0.975)
    assert one.whole == value


def test_draws_of_one_class_are_passed_over_and_what_cannot_be_measured_has_no_interval() -> None:
    codes = np.array([0, 0, 0, 1])
    logs = log_softmax(np.array([[2.0, 0], [1, 0], [0, 0.5], [0, 1]]), axis=1)
    says = Prediction(logs, probability=True)
    found = resampled(METRICS["roc_auc"], codes, says, seed=0)
    assert 0 < np.isnan(found.drawn).sum() < len(found.drawn)
    losses = [
        resampled(METRICS["log_loss"], codes, Prediction(logs, probability=each), seed=0) for each in (True, False)
    ]
    assert resampled_difference(METRICS["log_loss"], *losses) is None
    same = resampled_difference(METRICS["roc_auc"], found, found)
    assert same is not None
    assert (same.mean, same.low, same.p_value) == (0.0, None, 1.0)
