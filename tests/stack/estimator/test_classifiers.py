"""The estimators keep scikit-learn's conventions and give scikit-learn's answers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from stackbone.cache.errors import UsageError
from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from tests.made.checkout import ROOT
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.float64], NDArray[Any]]:
    x, y = load_digits(return_X_y=True)
    return x[:500], np.array([f"digit {code}" for code in y[:500]])


# It compares to 1e-7 a fit that is weighted with one of repeated rows; ours stops a share of the objective above the
# minimum.
# test_a_weight_counts_as_repeated_rows compares at that.
INEXACT = {"check_sample_weight_equivalence_on_dense_data": "the solver sums in single precision"}


@parametrize_with_checks(  # type: ignore[untyped-decorator] # scikit-learn's own
    [SoftmaxRegression(), LinearSVM()], expected_failed_checks=lambda _: INEXACT
)
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:  # noqa: ANN401 - scikit-learn's own
    check(estimator)


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_softmax_regression_equals_standardise_then_logistic_regression(
    digits: tuple[NDArray[np.float64], NDArray[Any]], c: float
) -> None:
    x, y = digits
    ours = SoftmaxRegression(C=c, tol=1e-9).fit(x[:400], y[:400])
    plain = make_pipeline(ModeratedScaler(), LogisticRegression(C=c, tol=1e-7, max_iter=10_000)).fit(x[:400], y[:400])
    np.testing.assert_allclose(ours.predict_proba(x[400:]), plain.predict_proba(x[400:]), atol=2e-3)
    np.testing.assert_array_equal(ours.predict(x[400:]), plain.predict(x[400:]))
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(x)).sum(axis=1), 1)


@pytest.mark.parametrize("c", [0.001, 0.1])
def test_linear_svm_equals_linear_svc(digits: tuple[NDArray[np.float64], NDArray[Any]], c: float) -> None:
    x, y = digits
    ours = LinearSVM(C=c, tol=1e-9).fit(x, y)
    plain = LinearSVC(C=c, dual=False, tol=1e-7, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours.coef_, plain.coef_, atol=2e-3 * np.abs(plain.coef_).max())
    np.testing.assert_allclose(ours.intercept_, plain.intercept_, atol=2e-3 * np.abs(plain.intercept_).max())
    assert ours.coef_.shape == plain.coef_.shape


@pytest.mark.parametrize("model", [SoftmaxRegression(standardise=False), LinearSVM()], ids=["softmax", "svm"])
def test_two_classes_take_scikit_learn_shapes(
    digits: tuple[NDArray[np.float64], NDArray[Any]], model: SoftmaxRegression | LinearSVM
) -> None:
    x, y = digits
    pair = np.isin(y, ["digit 3", "digit 8"])
    x, y = x[pair].astype(np.float32), y[pair]
    plain = (LogisticRegression(max_iter=1000) if isinstance(model, SoftmaxRegression) else LinearSVC()).fit(x, y)
    model.fit(x, y)
    assert model.coef_.shape == plain.coef_.shape == (1, 64)
    assert model.intercept_.shape == plain.intercept_.shape
    assert model.coef_.dtype == np.float64
    assert model.decision_function(x).dtype == np.float32
    assert model.decision_function(x).shape == (len(y),)
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))


@pytest.mark.parametrize("model", [SoftmaxRegression(C=0.1), LinearSVM(C=0.01)], ids=["softmax", "svm"])
def test_a_weight_counts_as_repeated_rows(
    digits: tuple[NDArray[np.float64], NDArray[Any]], model: SoftmaxRegression | LinearSVM
) -> None:
    x, y = digits
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    repeated = np.repeat(np.arange(len(y)), weights)
    model.set_params(tol=1e-9)
    weighted = model.fit(x, y, sample_weight=weights).decision_function(x)
    plain = model.fit(x[repeated], y[repeated]).decision_function(x)
    np.testing.assert_allclose(weighted, plain, atol=5e-3 * np.abs(plain).max())
    twice = model.fit(x, y, sample_weight=np.full(len(y), 2.0)).coef_
    model.set_params(C=2 * model.C, moderation=model.moderation / 2)
    np.testing.assert_array_equal(twice, model.fit(x, y).coef_)
    with pytest.raises(UsageError, match="C is -1"):
        model.set_params(C=-1.0).fit(x, y, sample_weight=weights)


def test_probabilities_of_two_classes(digits: tuple[NDArray[np.float64], NDArray[Any]]) -> None:
    x, y = digits
    y = np.where(y < "digit 5", "low", "high")
    ours = SoftmaxRegression(C=0.1, standardise=False).fit(x, y)
    plain = LogisticRegression(C=0.1, tol=1e-7, max_iter=10_000).fit(x, y)
    np.testing.assert_allclose(ours.predict_proba(x), plain.predict_proba(x), atol=2e-3)


def test_they_serve_in_cross_validation(digits: tuple[NDArray[np.float64], NDArray[Any]]) -> None:
    x, y = digits
    plain = make_pipeline(ModeratedScaler(), LogisticRegression(max_iter=1000))
    ours = cross_val_score(SoftmaxRegression(), x, y, cv=3)
    np.testing.assert_allclose(ours, cross_val_score(plain, x, y, cv=3), atol=0.011)


def test_one_class_is_refused_by_name(digits: tuple[NDArray[np.float64], NDArray[Any]]) -> None:
    x, _ = digits
    with pytest.raises(ValueError, match=r"the labels have 1 class, .*'cat'.*; at least 2 are needed"):
        SoftmaxRegression().fit(x, np.full(len(x), "cat"))


def test_a_bad_c_is_refused(digits: tuple[NDArray[np.float64], NDArray[Any]]) -> None:
    with pytest.raises(UsageError, match="C is -1"):
        LinearSVM(C=-1.0).fit(*digits)


TENSORS = """
import numpy as np, sklearn, torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stackbone.stack.estimator.classifiers import SoftmaxRegression

x, y = load_digits(return_X_y=True)
x, y = x[:300].astype(np.float32), y[:300]
ours = SoftmaxRegression(C=0.1, moderation=0).fit(x, y).predict_proba(x)
with sklearn.config_context(array_api_dispatch=True):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-6, max_iter=1000))
    found = model.fit(torch.asarray(x), torch.asarray(y)).predict_proba(torch.asarray(x))
assert isinstance(found, torch.Tensor), type(found)
np.testing.assert_allclose(ours, found.numpy(), atol=2e-3)
"""


@pytest.mark.slow  # a process of its own imports torch
@pytest.mark.skipif(
    not get_tags(LogisticRegression()).array_api_support,
    reason="this scikit-learn's LogisticRegression takes no tensors",
)
def test_scikit_learn_on_torch_tensors_gives_the_same_probabilities() -> None:
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}  # read when scipy is imported
    done = subprocess.run([sys.executable, "-c", TENSORS], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
