"""Estimators on a handful of rows: columns that are all but constant among them do not throw others out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from stackbone.stack.estimator.estimator import StackedBackbones, StackedBackbonesRegressor
from stackbone.stack.estimator.meta_classifier import MetaClassifier
from stackbone.stack.estimator.ridge_regression import RidgeRegression
from stackbone.stack.folds.folds import regression_folds
from tests.made.learners import score_matrix
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]
DIM = 300
BLOCKS = {"left": slice(0, DIM), "right": slice(DIM, 2 * DIM)}


def sparse_features(n: int, n_classes: int, seed: int) -> tuple[Doubles, NDArray[np.int64]]:
    """Features after a ReLU: most are next to 0 in most rows, so that a few rows say little of a column's spread."""
    rng = np.random.default_rng([seed, n_classes])
    centres = rng.normal(0, 0.5, (n_classes, 2 * DIM))
    codes = np.arange(n) % n_classes
    x = np.maximum(centres[codes] + rng.normal(size=(n, 2 * DIM)) - 1.5, 0) + 1e-3 * rng.random((n, 2 * DIM))
    return x, codes


# With 6 of these rows in 2 classes the members themselves are at chance, and a comparison would say nothing.
@pytest.mark.parametrize(("n", "n_classes"), [(12, 2), (12, 3), (20, 5)])
def test_a_stack_of_few_rows_is_no_worse_than_its_members_or_plain_standardisation(n: int, n_classes: int) -> None:
    scores: dict[str, list[float]] = {"moderated": [], "plain": [], "member": []}
    for seed in range(8):
        x, y = sparse_features(n + 300, n_classes, seed)
        kinds: dict[str, BaseEstimator] = {
            "moderated": StackedBackbones(None, MetaClassifier(C=0.01), blocks=BLOCKS, cv=2),
            "plain": StackedBackbones(
                SoftmaxRegression(C=0.01, moderation=0), MetaClassifier(C=0.01), blocks=BLOCKS, cv=2
            ),
        }
        for name, stack in kinds.items():
            scores[name].append(stack.fit(x[:n], y[:n]).score(x[n:], y[n:]))
        members = [
            SoftmaxRegression(C=0.01).fit(x[:n, each], y[:n]).score(x[n:, each], y[n:]) for each in BLOCKS.values()
        ]
        scores["member"].append(float(np.mean(members)))
    mean = {name: float(np.mean(each)) for name, each in scores.items()}
    assert mean["moderated"] >= mean["plain"] - 0.01, mean
    assert mean["moderated"] >= mean["member"] - 0.03, mean


@pytest.mark.parametrize("n", [6, 12, 30])
def test_held_out_rows_are_thrown_less_far_out_than_by_plain_standardisation(n: int) -> None:
    x, y = sparse_features(n + 200, 2, 0)
    for model in (SoftmaxRegression(C=1.0), LinearSVM(C=1.0, standardise=True), RidgeRegression(1.0)):
        plain = type(model)(**{**model.get_params(), "moderation": 0})
        sizes = []
        for each in (model, plain):
            each.fit(x[:n], y[:n])
            decide = getattr(each, "decision_function", each.predict)
            sizes.append(float(np.abs(decide(x[n:])).max() / np.abs(decide(x[:n])).max()))
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("n", [8, 16, 40])
def test_regression_of_few_rows_is_no_worse_than_by_plain_standardisation(n: int) -> None:
    errors: dict[str, list[float]] = {"moderated": [], "plain": []}
    for seed in range(8):
        x, y = sparse_features(n + 200, 4, seed)
        for name, model in (
            ("moderated", StackedBackbonesRegressor(blocks=BLOCKS, cv=2)),
            ("plain", StackedBackbonesRegressor(RidgeRegression(100.0, moderation=0), blocks=BLOCKS, cv=2)),
        ):
            predicted = model.fit(x[:n], y[:n].astype(np.float64)).predict(x[n:])
            errors[name].append(float(np.square(predicted - y[n:]).mean()))
    more = np.subtract(errors["moderated"], errors["plain"])
    assert more.mean() <= 2 * more.std(ddof=1) / np.sqrt(len(more)), errors


@pytest.mark.parametrize("kind", ["classes", "margins", "numbers"])
def test_estimators_and_the_experiment_standardise_alike(kind: str) -> None:
    everything, labels = sparse_features(90, 3, 1)
    x, y = everything[:30], labels[:30]
    weights = np.random.default_rng(0).integers(1, 3, len(y)).astype(np.float64)
    repeated = np.repeat(np.arange(len(y)), weights.astype(int))
    model: Any = {
        "classes": SoftmaxRegression(0.1, tol=1e-9),
        "margins": LinearSVM(0.1, standardise=True, tol=1e-9),
        "numbers": RidgeRegression(10.0),
    }[kind]
    plain = type(model)(**{**model.get_params(), "moderation": 0})
    decide = "predict" if kind == "numbers" else "decision_function"
    for rows, weight in ((np.arange(len(y)), None), (repeated, weights)):
        scaler = ModeratedScaler().fit(x[rows])
        scaled, unseen = scaler.transform(x), scaler.transform(everything[30:])
        ours = getattr(model.fit(x, y, sample_weight=weight), decide)(everything[30:])
        # Standardised by the reference; then nothing is left to standardise but what weights and means left out.
        theirs = type(model)(**{**model.get_params(), **({"standardise": False} if kind != "numbers" else {})})
        if kind == "numbers":
            gram = scaled[rows] @ scaled[rows].T
            dual = np.linalg.solve(gram + 10.0 * np.eye(len(rows)), y[rows] - y[rows].mean())
            wanted = unseen @ (scaled[rows].T @ dual) + y[rows].mean()
        else:
            wanted = getattr(theirs.fit(scaled[rows], y[rows]), decide)(unseen)
        tolerance = 5e-3 * np.abs(wanted).max()
        np.testing.assert_allclose(ours, wanted, atol=tolerance)
        without = getattr(plain.fit(x, y, sample_weight=weight), decide)(everything[30:])
        assert not np.allclose(ours, without, atol=tolerance)


@pytest.mark.parametrize("n", [10, 20, 40])
def test_the_experiments_ridge_is_the_estimators(n: int) -> None:
    x, y = sparse_features(n, 4, 2)
    narrow = x.astype(np.float32)
    numbers = y.astype(np.float64)
    scores = score_matrix(narrow, numbers, narrow, regression_folds(numbers, 3, 0), alphas=[33.0])
    np.testing.assert_allclose(scores.test, RidgeRegression(33.0).fit(narrow, numbers).predict(narrow), rtol=1e-6)
