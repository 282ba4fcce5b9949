"""The estimators keep scikit-learn's conventions and give scikit-learn's answers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from stackbone.cache.errors import UsageError
from stackbone.stack.estimator.classifiers import LinearSVM, SoftmaxRegression
from stackbone.stack.estimator.estimator import StackedBackbones
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.solvers.scales import ColumnParts
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
from sklearn.base import clone
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


# Parts of the columns


BLOCKS = {"net": slice(0, 132), "noise": slice(0, 60)}


def codes_of(y: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(y, return_inverse=True)[1]


def of_parts(n: int = 240) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return a wide part of noise beside a narrow one that knows the classes."""
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 3
    known = 30 * (rng.standard_normal((3, 12))[codes] + rng.standard_normal((n, 12)))
    return np.hstack([rng.standard_normal((n, 120)), known]), np.array(["cat", "dog", "emu"])[codes]


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_are_weighed_as_the_command_line_weighs_them(dtype: type) -> None:
    y = of_parts()[1]
    x: Any = of_parts()[0].astype(dtype)
    codes = codes_of(y)
    folds = inner_folds(codes, np.unique(codes).astype(str), 0)
    expected = score_classes(x, codes, x, 3, folds, [0.1], parts=ColumnParts.alike(120, 12))
    ours = SoftmaxRegression(C=0.1, parts=(120, 12), tol=1e-10).fit(x, y)
    assert expected.parts is not None
    np.testing.assert_allclose(ours.part_factors_, expected.parts[:, 0], rtol=1e-6)
    assert ours.part_factors_[1] > 1 > ours.part_factors_[0]
    np.testing.assert_allclose(ours.decision_function(x), expected.test, atol=5e-3)
    given = SoftmaxRegression(C=0.1, parts=(120, 12), cv=[(each.train, each.test) for each in folds]).fit(x, y)
    np.testing.assert_array_equal(given.part_factors_, ours.part_factors_)


def test_one_part_is_none_and_a_pair_of_classes_has_parts_too() -> None:
    x, y = of_parts()
    one = SoftmaxRegression(C=0.1, parts=[132]).fit(x, y)
    np.testing.assert_array_equal(one.coef_, SoftmaxRegression(C=0.1).fit(x, y).coef_)
    pair = y != "emu"
    ours = SoftmaxRegression(C=0.1, parts=[120, 12]).fit(x[pair], y[pair])
    assert ours.coef_.shape == (1, 132)
    assert ours.part_factors_[1] > ours.part_factors_[0]
    twice = clone(ours).fit(x[pair], y[pair], sample_weight=np.ones(pair.sum()))
    np.testing.assert_array_equal(twice.part_factors_, ours.part_factors_)


def test_a_stack_has_members_of_parts() -> None:
    x, y = of_parts()
    member = SoftmaxRegression(C=0.01, parts=(120, 12))
    stack = StackedBackbones([("net", member), ("noise", SoftmaxRegression(C=0.01))], blocks=BLOCKS).fit(x, y)
    np.testing.assert_allclose(stack.named_estimators_["net"].coef_, member.fit(x, y).coef_)
    plain = StackedBackbones(blocks=BLOCKS).fit(x, y)
    ours, theirs = ((each.stacked_features_[:, :3].argmax(1) == codes_of(y)).mean() for each in (stack, plain))
    assert ours > theirs
    search = GridSearchCV(stack, {"net__C": [0.001, 0.01], "net__parts": [None, (120, 12)]}, cv=2).fit(x, y)
    assert search.best_params_["net__parts"] == (120, 12)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"parts": (120, 13)}, r"parts have 133 columns in all, and X has 132"),
        ({"parts": (132, 0)}, r"parts is \(132, 0\); expected the number of columns of each part"),
        ({"parts": [66.0, 66.0]}, "expected the number of columns"),
        ({"parts": 132}, "expected the number of columns"),
        ({"parts": ()}, "expected the number of columns"),
        ({"parts": (120, 12), "standardise": False}, "leave standardise=False out, or parts"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changed: dict[str, Any], said: str) -> None:
    x, y = of_parts()
    with pytest.raises(ValueError, match=said):
        SoftmaxRegression(**changed).fit(x, y)


def test_parts_take_no_weights_that_differ_and_need_folds() -> None:
    x, y = of_parts()
    with pytest.raises(ValueError, match="leave sample_weight out, or parts"):
        SoftmaxRegression(parts=(120, 12)).fit(x, y, sample_weight=np.arange(len(y)))
    with pytest.raises(ValueError, match="parts cannot be weighed"):
        SoftmaxRegression(parts=(120, 12)).fit(x[:3], y[:3])
