"""Weights of rows: every solver minimises scikit-learn's weighted objective, and a weight of 2 is a row twice."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from stackbone.cache.errors import UsageError
from stackbone.stack.solvers import lbfgs as lbfgs_module
from stackbone.stack.solvers import linear as linear_module
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.newton import solve_alone
from stackbone.stack.solvers.objectives.losses import LogisticLoss, Loss, SoftmaxLoss, SquaredHingeLoss
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge
from stackbone.stack.solvers.scales import MODERATION, ColumnParts
from tests.stack.solvers.test_linear import KINDS, Kind, photos, thirds

pytestmark = pytest.mark.usefixtures("one_blas_thread", "exact_solver")

Doubles = NDArray[np.float64]


def weigh(n: int, *, integers: bool = False) -> Doubles:
    """Weights that differ a hundredfold, or from 1 to 4."""
    rng = np.random.default_rng(n)
    return rng.integers(1, 5, n).astype(np.float64) if integers else np.exp(rng.uniform(-2.3, 2.3, n))


def standardised(x: NDArray[np.float32], weights: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Columns standardised by the weighted moments, which scikit-learn's StandardScaler takes too."""
    mean = np.average(x.astype(np.float64), axis=0, weights=weights)
    std = np.sqrt(np.average(np.square(x - mean), axis=0, weights=weights))
    return (x - mean) / std, mean, std


def objective(kind: Kind, z: Doubles, codes: NDArray[np.int64], weights: Doubles, square: float, c: float) -> float:
    """Scikit-learn's, of ``(n, n_classes)`` outputs, in double precision."""
    if kind == "log":
        loss = -log_softmax(z, axis=1)[np.arange(len(codes)), codes]
        return float(c * weights @ loss + square / 2)
    signs = np.where(codes[:, None] == np.arange(z.shape[1]), 1, -1)
    if z.shape[1] == 2:
        signs, z = signs[:, 1:], z[:, 1:]
    return float(c * (weights[:, None] * np.square(np.maximum(1 - signs * z, 0))).sum() + square / 2)


def reference(kind: Kind, x: Doubles, codes: NDArray[np.int64], weights: Doubles, c: float) -> tuple[Doubles, Doubles]:
    model = (
        LogisticRegression(C=c, tol=1e-9, max_iter=50_000)
        if kind == "log"
        else LinearSVC(C=c, dual=False, tol=1e-9, max_iter=50_000)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs grumbles when nothing is left to gain
        model.fit(x, codes, sample_weight=weights)
    return model.coef_, model.intercept_


def outputs(decided: Doubles, kind: Kind) -> Doubles:
    if decided.ndim == 1:
        decided = decided[:, None]
    if decided.shape[1] > 1:
        return decided
    return np.hstack([np.zeros_like(decided) if kind == "log" else -decided, decided])


@pytest.mark.parametrize("shape", [(240, 30), (60, 150)])  # the shared design, and the space of few rows
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_subset_reaches_the_objective_of_scikit_learn(kind: Kind, n_classes: int, shape: tuple[int, int]) -> None:
    x, codes = photos(*shape, n_classes=n_classes)
    weights, subsets = weigh(len(x)), thirds(len(x))
    path = LinearPath(x, codes, n_classes, subsets, loss=kind, standardise=True, weights=weights)
    for c in (1e-3, 1e-1, 3.0):
        for subset, found in zip(subsets, path.solve(c), strict=True):
            own, y = weights[subset], codes[subset]
            varying = np.ptp(x[subset], axis=0) > 0
            scaled, mean, std = standardised(x[subset][:, varying], own)
            coef, intercept = reference(kind, scaled, y, own, c)
            free = 0.0 if kind == "log" else np.square(intercept).sum()
            z = outputs(scaled @ coef.T + intercept, kind)
            best = objective(kind, z, y, own, np.square(coef).sum() + free, c)
            ours, at_mean = found.uncentred()
            ours = ours[varying]
            at_mean = at_mean + mean @ ours
            if n_classes == 2:
                ours, at_mean = ours[:, 1:], at_mean[1:]
            free = 0.0 if kind == "log" else np.square(at_mean).sum()
            square = np.square(ours * std[:, None]).sum() + free
            decided = found.decide(x[subset]).astype(np.float64)
            assert objective(kind, decided, y, own, square, c) <= best * (1 + 1e-4)
            np.testing.assert_allclose(decided, z, atol=2e-2 * max(1.0, np.abs(z).max()))


@pytest.mark.parametrize("shape", [(240, 30), (60, 150)])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_counts_as_repeated_rows(
    kind: Kind, n_classes: int, shape: tuple[int, int], *, standardise: bool
) -> None:
    x, codes = photos(*shape, n_classes=n_classes)
    weights = weigh(len(x), integers=True)
    rows = np.repeat(np.arange(len(x)), weights.astype(int))
    parts = ColumnParts((10, x.shape[1] - 10), (0.5, 2.0)) if standardise else None
    rng = np.random.default_rng(3)
    prior = LinearMap(rng.normal(0, 0.01, (x.shape[1], n_classes)).astype(np.float32), np.zeros(n_classes, np.float32))
    asked = {"loss": kind, "standardise": standardise, "moderation": MODERATION, "parts": parts}
    asked |= {} if standardise else {"prior": prior}  # type: ignore[dict-item]
    once = LinearPath(x, codes, n_classes, [np.arange(len(x))], weights=weights, **asked)  # type: ignore[arg-type]
    repeated = LinearPath(x[rows], codes[rows], n_classes, [np.arange(len(rows))], **asked)  # type: ignore[arg-type]
    for c in (1e-2, 1.0):
        (one,), (other,) = once.solve(c), repeated.solve(c)
        np.testing.assert_allclose(one.decide(x), other.decide(x), atol=1e-2 * max(1.0, np.abs(other.decide(x)).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_one_are_none(kind: Kind) -> None:
    x, codes = photos()
    plain = LinearPath(x, codes, 4, thirds(len(x)), loss=kind, standardise=True).solve(0.1)
    ones = LinearPath(x, codes, 4, thirds(len(x)), loss=kind, standardise=True, weights=np.ones(len(x))).solve(0.1)
    for one, other in zip(plain, ones, strict=True):
        np.testing.assert_allclose(one.decide(x), other.decide(x), atol=1e-4)


@pytest.mark.parametrize("kind", ["softmax", "logistic", "hinge"])
def test_weighted_losses_have_the_derivatives_they_claim(kind: str) -> None:
    rng = np.random.default_rng(1)
    codes, weights = rng.integers(0, 3, 40), weigh(40).astype(np.float32)
    fitted = rng.random((2, 40)) < 0.7
    signs = np.where(rng.random((2, 40)) < 0.5, 1, -1).astype(np.float32) * fitted
    loss: Loss
    if kind == "softmax":
        loss, width = SoftmaxLoss(codes, 3, fitted, weights), 3
    else:
        loss, width = (LogisticLoss if kind == "logistic" else SquaredHingeLoss)(signs, weights), 1
    z = rng.normal(0, 2, (2, width, 40))
    direction = rng.normal(0, 1, z.shape)
    found = loss.evaluate(z.copy())
    step = 1e-5
    ahead, behind = (loss.evaluate(z + sign * step * direction) for sign in (1, -1))
    slope = (found.residual * direction).sum(axis=(1, 2))
    np.testing.assert_allclose(slope, (ahead.value - behind.value) / (2 * step), rtol=1e-4, atol=1e-4)
    curved = (ahead.residual - behind.residual) / (2 * step)
    np.testing.assert_allclose(loss.curve(found.residual.copy(), direction), curved, rtol=1e-3, atol=1e-3)
    summed = loss.curvatures(found.residual).sum(axis=2)
    factor = 3 / 2 if kind == "softmax" else 1.0  # across the classes' common shift, equal classes are more curved
    np.testing.assert_allclose(found.curvature, factor * summed, rtol=1e-4)
    np.testing.assert_allclose(loss.select(np.array([1])).evaluate(z[1:].copy()).value, found.value[1:])


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_newtons_method_in_double_precision_takes_weights(
    kind: Kind, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, codes = photos(n=80, dim=20, n_classes=n_classes)
    weights, everything = weigh(len(x)), [np.arange(len(x))]
    path = LinearPath(x, codes, n_classes, everything, loss=kind, standardise=True, weights=weights)
    (plain,) = path.solve(1.0)
    monkeypatch.setattr(linear_module, "_PROMISED", 0.0)  # nothing that float32 proves will do
    monkeypatch.setattr(linear_module, "_HOPEFUL", 1)
    asked = []

    def watched(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        asked.append(arguments)
        return solve_alone(*arguments, **named)

    monkeypatch.setattr(linear_module, "solve_alone", watched)
    alone = LinearPath(x, codes, n_classes, everything, loss=kind, standardise=True, weights=weights, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = alone.solve(1.0)
    assert asked
    np.testing.assert_allclose(found.decide(x), plain.decide(x), atol=2e-3)


def test_the_newton_direction_of_few_support_vectors_takes_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = photos(n=300, dim=100)
    weights, everything = weigh(len(x)), [np.arange(len(x))]
    path = LinearPath(x, codes, 4, everything, loss="squared_hinge", standardise=True, weights=weights, tol=1e-9)
    (newton,) = path.solve(100.0)
    monkeypatch.setattr(lbfgs_module, "PATIENCE", 10_000)
    slow = LinearPath(x, codes, 4, everything, loss="squared_hinge", standardise=True, weights=weights, tol=1e-9)
    (plain,) = slow.solve(100.0)
    np.testing.assert_allclose(newton.decide(x), plain.decide(x), atol=1e-2)


@pytest.mark.parametrize("shape", [(90, 12), (30, 70)])  # through the Gram matrix, and through the kernel
@pytest.mark.parametrize("alphas", [[3.0], [0.5, 3.0, 100.0]])
def test_ridge_equals_scikit_learns_with_weights(shape: tuple[int, int], alphas: list[float]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, shape).astype(np.float32)
    y, weights = x[:, 0] + rng.normal(size=shape[0]), weigh(shape[0])
    path = fit_ridge(SideBySide.whole(x), y, alphas, moderation=0.0, weights=weights)
    scaled, _, _ = standardised(x, weights)
    for number, alpha in enumerate(alphas):
        expected = Ridge(alpha=alpha, solver="cholesky").fit(scaled, y, sample_weight=weights).predict(scaled)
        np.testing.assert_allclose(path.predict(SideBySide.whole(x))[:, number], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(90, 12), (30, 70)])
def test_a_weight_of_a_ridge_counts_as_repeated_rows(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, shape).astype(np.float32)
    y, weights = x[:, 0] + rng.normal(size=shape[0]), weigh(shape[0], integers=True)
    rows = np.repeat(np.arange(len(x)), weights.astype(int))
    parts = ColumnParts((5, shape[1] - 5), (0.5, 2.0))
    whole = SideBySide.whole(x)
    once = fit_ridge(whole, y, [2.0], parts=parts, weights=weights).predict(whole)
    twice = fit_ridge(SideBySide.whole(x[rows]), y[rows], [2.0], parts=parts).predict(whole)
    np.testing.assert_allclose(once, twice, rtol=1e-8)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.r_[np.ones(239), -1.0], r"1 of 240 weights are not positive numbers \(row 239 has -1"),
        (np.r_[np.nan, np.ones(239)], "row 0 has nan"),
        (np.zeros(240), "240 of 240 weights"),
        (np.ones(7), r"weights of shape \(7,\) for 240 rows"),
    ],
)
def test_weights_that_are_no_positive_numbers_are_refused(weights: Doubles, words: str) -> None:
    x, codes = photos()
    with pytest.raises(UsageError, match=words):
        LinearPath(x, codes, 4, [np.arange(240)], loss="log", standardise=True, weights=weights)
    with pytest.raises(UsageError, match=words):
        fit_ridge(SideBySide.whole(x), codes.astype(np.float64), [1.0], weights=weights)


def test_rows_of_weight_zero_may_stand_in_no_subset() -> None:
    x, codes = photos()
    weights = weigh(240)
    weights[::5] = 0
    kept = np.flatnonzero(weights)
    (found,) = LinearPath(x, codes, 4, [kept], loss="log", standardise=True, weights=weights).solve(0.1)
    everything = [np.arange(len(kept))]
    (plain,) = LinearPath(
        x[kept], codes[kept], 4, everything, loss="log", standardise=True, weights=weights[kept]
    ).solve(0.1)
    np.testing.assert_array_equal(found.decide(x), plain.decide(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("least", [1e-39, 1e-46, 1e-300])
def test_a_weight_too_small_for_single_precision_counts_next_to_nothing(
    kind: Kind, n_classes: int, least: float
) -> None:
    x, codes = photos(90, 8, n_classes=n_classes)
    weights = np.where(np.arange(90) < 9, least, 1.0)
    (found,) = LinearPath(x, codes, n_classes, [np.arange(90)], loss=kind, standardise=False, weights=weights).solve(
        0.1
    )
    (without,) = LinearPath(x[9:], codes[9:], n_classes, [np.arange(81)], loss=kind, standardise=False).solve(0.1)
    assert np.isfinite(found.coef).all()
    np.testing.assert_allclose(found.decide(x), without.decide(x), atol=1e-2)
