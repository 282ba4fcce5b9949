"""The batched solvers reach scikit-learn's optimum: objective, coefficients and gradient, for every subset and C."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.computing.arithmetic import HOST
from stackbone.stack.solvers import lbfgs as lbfgs_module
from stackbone.stack.solvers import spectrum as spectrum_module
from stackbone.stack.solvers.design import StandardisedDesign
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.objectives.losses import LogisticLoss, Loss, SoftmaxLoss, SquaredHingeLoss
from stackbone.stack.solvers.scales import moderated_scales
from tests.made.references import ShrunkLinear

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Kind = Literal["log", "squared_hinge"]
Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Doubles = NDArray[np.float64]

KINDS: tuple[Kind, ...] = ("log", "squared_hinge")


def photos(n: int = 240, dim: int = 30, n_classes: int = 4, seed: int = 0) -> tuple[Matrix, Codes]:
    """Features like a network's: not negative, not centred, columns of unlike scale."""
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    centres = rng.normal(0, 0.7, (n_classes, dim))
    x = np.maximum(centres[codes] + rng.normal(0.5, 1, (n, dim)), 0) * rng.lognormal(0, 1, dim)
    return x.astype(np.float32), codes


def thirds(n: int) -> list[Codes]:
    """Training parts of three folds, and all rows."""
    rows = np.arange(n)
    return [rows[rows % 3 != fold] for fold in range(3)] + [rows]


def objective(kind: Kind, x: Doubles, codes: Codes, coef: Doubles, intercept: Doubles, c: float) -> float:
    """Scikit-learn's objective at scikit-learn's attributes, in double precision."""
    z = x @ coef.T + intercept
    n_classes = int(codes.max()) + 1
    if kind == "log":
        if len(coef) == 1:
            z = np.hstack([np.zeros_like(z), z])
        loss = -log_softmax(z, axis=1)[np.arange(len(codes)), codes].sum()
        return float(c * loss + np.square(coef).sum() / 2)
    positives = np.eye(n_classes)[codes][:, -z.shape[1] :]
    slack = np.maximum(1 - (2 * positives - 1) * z, 0)
    return float(c * np.square(slack).sum() + (np.square(coef).sum() + np.square(intercept).sum()) / 2)


def gradient(kind: Kind, x: Doubles, codes: Codes, coef: Doubles, intercept: Doubles, c: float) -> Doubles:
    """Analytic gradient of `objective`, flattened; at the optimum it vanishes (the KKT conditions)."""
    z = x @ coef.T + intercept
    onehot = np.eye(int(codes.max()) + 1)[codes]
    if kind == "log":
        residual = expit(z) - onehot[:, 1:] if len(coef) == 1 else softmax(z, axis=1) - onehot
        free = c * residual.sum(axis=0)
    else:
        signs = 2 * onehot[:, -z.shape[1] :] - 1
        residual = -2 * signs * np.maximum(1 - signs * z, 0)
        free = c * residual.sum(axis=0) + intercept
    return np.concatenate([(c * residual.T @ x + coef).ravel(), free])


def reference(kind: Kind, x: Doubles, codes: Codes, c: float) -> tuple[Doubles, Doubles]:
    """Scikit-learn's coefficients, tightly converged."""
    model = (
        LogisticRegression(C=c, tol=1e-8, max_iter=20_000)
        if kind == "log"
        else LinearSVC(C=c, dual=False, tol=1e-8, max_iter=20_000)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs grumbles when nothing is left to gain
        model.fit(x, codes)
    return model.coef_, model.intercept_


def as_fitted(found: LinearMap, scaler: StandardScaler | None) -> tuple[Doubles, Doubles]:
    """Turn a map for raw features into scikit-learn's attributes for (standardised) features."""
    coef, intercept = found.uncentred()
    coef = coef.T
    if scaler is not None:
        coef, intercept = coef * scaler.scale_, intercept + coef @ scaler.mean_
    return (coef[1:], intercept[1:]) if len(coef) == 2 else (coef, intercept)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_subset_and_c_reaches_the_reference_optimum(kind: Kind, n_classes: int, *, standardise: bool) -> None:
    x, codes = photos(n_classes=n_classes)
    subsets = thirds(len(codes))
    path = LinearPath(x, codes, n_classes, subsets, loss=kind, standardise=standardise, tol=1e-9)
    for c in (1e-3, 1e-1, 10.0):
        for subset, found in zip(subsets, path.solve(c), strict=True):
            rows, y = x[subset].astype(np.float64), codes[subset]
            scaler = StandardScaler().fit(rows) if standardise else None
            scaled = rows if scaler is None else scaler.transform(rows)
            coef, intercept = reference(kind, scaled, y, c)
            ours = as_fitted(found, scaler)
            best = objective(kind, scaled, y, coef, intercept, c)
            assert objective(kind, scaled, y, *ours, c) <= best * (1 + 1e-5)
            np.testing.assert_allclose(ours[0], coef, atol=5e-3 * np.abs(coef).max())
            np.testing.assert_allclose(ours[1], intercept, atol=5e-3 * max(np.abs(intercept).max(), 0.1))
            start = np.linalg.norm(gradient(kind, scaled, y, np.zeros_like(coef), np.zeros_like(intercept), c))
            assert np.linalg.norm(gradient(kind, scaled, y, *ours, c)) <= 2e-3 * start


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_of_two_classes(kind: Kind) -> None:
    x, codes = photos(n_classes=2)
    (found,) = LinearPath(x, codes, 2, [np.arange(len(codes))], loss=kind, standardise=True).solve(1.0)
    first, second = found.decide(x).T
    np.testing.assert_allclose(first, 0 if kind == "log" else -second)
    assert found.coef.shape == (x.shape[1], 2)
    assert found.coef.dtype == found.intercept.dtype == found.decide(x).dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_subsets_fitted_together_equal_each_alone(kind: Kind) -> None:
    x, codes = photos()
    subsets = thirds(len(codes))
    together = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9).solve(0.1)
    for subset, found in zip(subsets, together, strict=True):
        (alone,) = LinearPath(
            x[subset], codes[subset], 4, [np.arange(len(subset))], loss=kind, standardise=True, tol=1e-9
        ).solve(0.1)
        np.testing.assert_allclose(found.decide(x), alone.decide(x), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_changes_the_way_and_not_the_end(kind: Kind) -> None:
    x, codes = photos()
    subsets = thirds(len(codes))
    path = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9)
    path.solve(0.1)
    warm = path.solve(0.11)
    cold_path = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9)
    for one, other in zip(warm, cold_path.solve(0.11), strict=True):
        np.testing.assert_allclose(one.decide(x), other.decide(x), atol=5e-3)
    assert path.iterations < cold_path.iterations


def test_a_solution_solved_again_takes_next_to_no_step() -> None:
    x, codes = photos()
    path = LinearPath(x, codes, 4, thirds(len(codes)), loss="log", standardise=True, tol=1e-9)
    path.solve(1.0)
    path.solve(1.0)
    assert path.iterations <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_small_batches_of_problems_give_the_same_answer(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = photos()
    subsets = thirds(len(codes))
    whole = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9).solve(1.0)
    monkeypatch.setattr(HOST, "most_columns", 5)
    split = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9).solve(1.0)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_allclose(one.decide(x), other.decide(x), atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("standardise", [True, False])
def test_a_sketched_spectrum_gives_the_same_answer(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, *, standardise: bool
) -> None:
    x, codes = photos()
    subsets = thirds(len(codes))
    whole = LinearPath(x, codes, 4, subsets, loss=kind, standardise=standardise, tol=1e-9).solve(0.1)
    monkeypatch.setattr(spectrum_module, "FULL_RANK", 8)
    monkeypatch.setattr(spectrum_module, "SKETCH_RANK", 8)
    sketched = LinearPath(x, codes, 4, subsets, loss=kind, standardise=standardise, tol=1e-9).solve(0.1)
    for one, other in zip(whole, sketched, strict=True):
        np.testing.assert_allclose(one.decide(x), other.decide(x), atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_more_columns_than_rows(kind: Kind) -> None:
    x, codes = photos(n=60, dim=150)
    rows = np.arange(len(codes))
    (found,) = LinearPath(x, codes, 4, [rows], loss=kind, standardise=True).solve(0.1)
    scaler = StandardScaler().fit(x.astype(np.float64))
    scaled = scaler.transform(x.astype(np.float64))
    best = objective(kind, scaled, codes, *reference(kind, scaled, codes, 0.1), 0.1)
    assert objective(kind, scaled, codes, *as_fitted(found, scaler), 0.1) <= best * (1 + 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_feature(kind: Kind) -> None:
    x, codes = photos(dim=1, n_classes=3)
    (found,) = LinearPath(x, codes, 3, [np.arange(len(codes))], loss=kind, standardise=False).solve(1.0)
    wide = x.astype(np.float64)
    best = objective(kind, wide, codes, *reference(kind, wide, codes, 1.0), 1.0)
    assert objective(kind, wide, codes, *as_fitted(found, None), 1.0) <= best * (1 + 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_constant_everywhere_or_in_one_subset_count_for_nothing_there(kind: Kind) -> None:
    x, codes = photos()
    subsets = thirds(len(codes))
    x[:, 3] = 1234.567
    x[subsets[0], 5] = -0.1  # the held-out rows vary
    maps = LinearPath(x, codes, 4, subsets, loss=kind, standardise=True, tol=1e-9).solve(1.0)
    for subset, found in zip(subsets, maps, strict=True):
        rows = x[subset].astype(np.float64)
        scaler = StandardScaler().fit(rows)
        coef, _ = reference(kind, scaler.transform(rows), codes[subset], 1.0)
        ours = as_fitted(found, scaler)
        np.testing.assert_allclose(ours[0], coef, atol=5e-3 * np.abs(coef).max())
        np.testing.assert_array_less(np.abs(ours[0][:, 3]), 1e-6)
    np.testing.assert_array_less(np.abs(maps[0].coef[5]), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_common_offset_costs_no_precision_when_standardised(kind: Kind) -> None:
    x, codes = photos()
    (plain,) = LinearPath(x, codes, 4, [np.arange(len(codes))], loss=kind, standardise=True, tol=1e-9).solve(0.1)
    offset = x.astype(np.float64) + 1e6
    (moved,) = LinearPath(
        offset,  # type: ignore[arg-type] # float64 is read too
        codes,
        4,
        [np.arange(len(codes))],
        loss=kind,
        standardise=True,
        tol=1e-9,
    ).solve(0.1)
    np.testing.assert_allclose(moved.coef, plain.coef, atol=1e-4 * np.abs(plain.coef).max())


def test_rows_outside_all_subsets_have_no_say() -> None:
    x, codes = photos()
    subsets = [np.arange(0, 150), np.arange(30, 180)]
    plain = LinearPath(x, codes, 4, subsets, loss="log", standardise=True).solve(1.0)
    x[180:], codes[180:] = 1e6, 0
    for one, other in zip(
        plain, LinearPath(x, codes, 4, subsets, loss="log", standardise=True).solve(1.0), strict=True
    ):
        np.testing.assert_array_equal(one.coef, other.coef)


def test_the_matrix_is_left_as_it_was() -> None:
    x, codes = photos()
    before = x.copy()
    x.flags.writeable = False
    LinearPath(x, codes, 4, thirds(len(codes)), loss="log", standardise=True).solve(1.0)
    np.testing.assert_array_equal(x, before)


def test_a_class_absent_from_a_subset_is_an_error_that_names_it() -> None:
    x, codes = photos()
    subsets = [np.arange(len(codes)), np.flatnonzero(codes != 2)]
    with pytest.raises(StackError, match=r"training subset 2 of 2 .* lacks 1 of 4 classes \(codes 2\)"):
        LinearPath(x, codes, 4, subsets, loss="log", standardise=True)


@pytest.mark.parametrize(("n_classes", "n_subsets"), [(1, 1), (2, 0)])
def test_one_class_or_no_subset_is_refused(n_classes: int, n_subsets: int) -> None:
    x, codes = photos(n_classes=2)
    with pytest.raises(UsageError, match="at least 2 classes and 1 subset"):
        LinearPath(x, codes, n_classes, [np.arange(len(codes))] * n_subsets, loss="log", standardise=True)


@pytest.mark.parametrize("c", [0.0, -1.0, np.nan, np.inf])
def test_a_c_that_is_no_positive_number_is_refused(c: float) -> None:
    x, codes = photos()
    path = LinearPath(x, codes, 4, thirds(len(codes)), loss="log", standardise=True)
    with pytest.raises(UsageError, match="expected a number above 0"):
        path.solve(c)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_is_cut_short_warns(kind: Kind) -> None:
    x, codes = photos()
    path = LinearPath(x, codes, 4, thirds(len(codes)), loss=kind, standardise=True, max_iter=1)
    with pytest.warns(ConvergenceWarning, match=r"fits at C = 10 stopped after up to 1 steps"):
        path.solve(10.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_c_on_separable_rows_ends_with_an_answer_or_a_warning(kind: Kind) -> None:
    x, codes = photos(n=60, dim=150)
    path = LinearPath(x, codes, 4, [np.arange(len(codes))], loss=kind, standardise=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        (found,) = path.solve(1e8)
    np.testing.assert_array_equal(found.decide(x).argmax(axis=1), codes)


@pytest.mark.parametrize("kind", ["softmax", "logistic", "hinge"])
def test_losses_have_the_derivatives_they_claim(kind: str) -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, 40)
    fitted = rng.random((2, 40)) < 0.7
    signs = np.where(rng.random((2, 40)) < 0.5, 1, -1).astype(np.float32) * fitted
    loss: Loss
    if kind == "softmax":
        loss, width = SoftmaxLoss(codes, 3, fitted), 3
    else:
        loss, width = (LogisticLoss if kind == "logistic" else SquaredHingeLoss)(signs), 1
    z = rng.normal(0, 2, (2, width, 40)).astype(np.float32)
    direction = rng.normal(0, 1, z.shape).astype(np.float32)
    found = loss.evaluate(z.copy())
    assert not found.residual[np.broadcast_to(~fitted[:, None], z.shape)].any()
    step = np.float32(1e-2)
    ahead, behind = (loss.evaluate(z + sign * step * direction).value for sign in (1, -1))
    slope = (found.residual * direction).sum(axis=(1, 2))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(loss.select(np.array([1])).evaluate(z[1:].copy()).value, found.value[1:])


def test_the_softmax_loss_of_near_certain_rows_keeps_its_digits() -> None:
    z = np.array([[[30.0, 0.0], [0.0, 40.0]]], dtype=np.float32)
    found = SoftmaxLoss(np.array([0, 1]), 2, np.ones((1, 2), dtype=np.bool_)).evaluate(z)
    np.testing.assert_allclose(found.value, [np.log1p(np.exp(-30.0)) + np.log1p(np.exp(-40.0))], rtol=1e-5)
    np.testing.assert_allclose(found.residual[0, 0], [-np.exp(-30.0), np.exp(-40.0)], rtol=1e-5)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("free_intercept", [True, False])
def test_backward_is_the_transpose_of_forward(*, standardise: bool, free_intercept: bool) -> None:
    x, codes = photos()
    fitted = np.stack([np.arange(len(codes)) % 3 != fold for fold in range(2)])
    design = StandardisedDesign(
        x, np.arange(len(codes)), fitted, standardise=standardise, moderation=20.0, free_intercept=free_intercept
    )
    rng = np.random.default_rng(2)
    u = rng.normal(size=(2, 3, design.n_coefficients)).astype(np.float32)
    r = rng.normal(size=(2, 3, len(codes))).astype(np.float32)
    there, back = (design.forward(u) * r).sum(dtype=np.float64), (u * design.backward(r)).sum(dtype=np.float64)
    assert there == pytest.approx(back, rel=1e-4)


def test_the_newton_direction_solves_with_the_hessian_of_the_support() -> None:
    x, codes = photos()
    fitted = np.arange(len(codes))[None] % 3 != 0
    design = StandardisedDesign(
        x, np.arange(len(codes)), fitted, standardise=True, moderation=0.0, free_intercept=False
    )
    rows = np.flatnonzero(fitted[0])[::7]
    scaled = StandardScaler().fit(x[fitted[0]].astype(np.float64)).transform(x[rows].astype(np.float64))
    matrix = np.hstack([scaled, np.ones((len(rows), 1))])
    g = np.random.default_rng(3).normal(size=design.n_coefficients).astype(np.float32)
    for curvature in (0.3, 3e5):
        hessian = curvature * matrix.T @ matrix + np.eye(design.n_coefficients)
        found = design.newton(g, 0, rows, curvature)
        np.testing.assert_allclose(found, np.linalg.solve(hessian, g), atol=1e-4)
    np.testing.assert_array_equal(design.newton(g, 0, rows[:0], 1.0), g)


def test_newton_ends_a_hard_support_vector_machine_early(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = photos(n=300, dim=100)
    everyone = [np.arange(len(codes))]
    path = LinearPath(x, codes, 4, everyone, loss="squared_hinge", standardise=True, tol=1e-9)
    (newton,) = path.solve(100.0)
    monkeypatch.setattr(lbfgs_module, "PATIENCE", 10_000)
    slow = LinearPath(x, codes, 4, everyone, loss="squared_hinge", standardise=True, tol=1e-9)
    (plain,) = slow.solve(100.0)
    np.testing.assert_allclose(newton.decide(x), plain.decide(x), atol=1e-2)
    assert path.iterations < slow.iterations / 2


@pytest.mark.parametrize("n_rows", [4, 30, 300])
def test_moderated_scales_lie_between_a_columns_own_and_the_median(n_rows: int) -> None:
    variances = np.array([[1e-8, 0.5, 1.0, 2.0, 1e4, 0.0]])
    found = moderated_scales(variances, n_rows, 50.0)
    expected = np.sqrt((n_rows * variances[0, :5] + 50.0) / (n_rows + 50.0))  # the median of those that vary is 1
    np.testing.assert_allclose(found[0, :5], expected)
    assert found[0, 5] == np.inf
    np.testing.assert_allclose(moderated_scales(variances, n_rows, 0.0)[0, :5], np.sqrt(variances[0, :5]))


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", ["log", "squared_hinge"])
def test_a_prior_is_what_is_penalised_for_leaving(kind: Kind, n_classes: int) -> None:
    x, codes = photos(n_classes=n_classes)
    rng = np.random.default_rng(5)
    coef = rng.normal(size=(x.shape[1], n_classes)) / x.shape[1]
    if n_classes == 2:
        coef[:, 0] = -coef[:, 1]
    prior = LinearMap(coef.astype(np.float32), np.full(n_classes, 0.0 if n_classes == 2 else 0.1, np.float32))
    half = np.arange(0, len(codes), 2)
    path = LinearPath(x, codes, n_classes, [half], loss=kind, standardise=False, prior=prior)
    (near,) = path.solve(1e-12)
    if kind == "squared_hinge":
        np.testing.assert_allclose(near.decide(x), prior.decide(x), atol=1e-4)
    (far,) = path.solve(0.01)
    learner = "svm" if kind == "squared_hinge" else "lr"
    expected = ShrunkLinear(learner, 0.01, coef, float(prior.intercept[0])).fit(x[half].astype(np.float64), codes[half])
    found, wanted = far.decide(x), expected.decision_function(x.astype(np.float64))
    if n_classes == 2:  # one problem of two: the plain reference penalises both halves of it
        assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.97
    else:
        common = kind == "log"  # a shift of all classes, which changes no probability
        found, wanted = (each - common * each.mean(axis=1, keepdims=True) for each in (found, wanted))
        np.testing.assert_allclose(found, wanted, atol=5e-3)
