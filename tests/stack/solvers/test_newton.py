"""A fit that float32 cannot finish goes on alone, in double precision, and ends at a proof or in a warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from stackbone.stack.solvers import linear as linear_module
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.newton import solve_alone
from stackbone.stack.solvers.objectives.losses import SquaredHingeLoss
from tests.stack.solvers.test_linear import KINDS, Kind, as_fitted, gradient, objective, photos, thirds

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]


def made(columns: str, n_classes: int) -> tuple[Doubles, NDArray[np.int64]]:
    """Features of one kind of difficulty."""
    shape = (2 * n_classes + 30, 90) if columns == "wide" else (120, 20)
    narrow, codes = photos(*shape, n_classes=n_classes)
    x = narrow.astype(np.float64)
    if columns == "scaled":
        x *= np.logspace(-4, 4, x.shape[1])
    elif columns == "collinear":
        x = np.hstack([x, x[:, :5], x[:, :5] @ np.ones((5, 3))])
    elif columns == "constant":
        x[:, 3], x[:, 7] = 1234.5, 0
    return x, codes


def best(kind: Kind, x: Doubles, codes: NDArray[np.int64], c: float) -> float:
    """Objective of scikit-learn's Newton, or of liblinear."""
    model = (
        LogisticRegression(C=c, tol=1e-9, max_iter=300, solver="newton-cholesky")
        if kind == "log"
        else LinearSVC(C=c, dual=False, tol=1e-10, max_iter=5_000)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both grumble when nothing is left to gain
        model.fit(x, codes)
    return objective(kind, x, codes, model.coef_, model.intercept_, c)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("columns", ["plain", "scaled", "collinear", "constant", "wide"])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_c_reaches_the_reference_objective_or_warns(
    kind: Kind, n_classes: int, columns: str, *, standardise: bool
) -> None:
    x, codes = made(columns, n_classes)
    beside = thirds(len(codes))[:2]
    subset = beside[0]
    scaled = StandardScaler().fit_transform(x[subset]) if standardise else x[subset]
    for c in (1e-8, 1.0, 1e3, 1e6):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            # Cold, since the end of a smaller C would be a good start; beside another, as inner folds are solved.
            maps = LinearPath(x, codes, n_classes, beside, loss=kind, standardise=standardise).solve(c)  # type: ignore[arg-type]
        scaler = StandardScaler().fit(x[subset]) if standardise else None
        ours = objective(kind, scaled, codes[subset], *as_fitted(maps[0], scaler), c)
        assert said or ours <= best(kind, scaled, codes[subset], c) * (1 + 1e-3), c


def far_out(where: str, n_classes: int) -> tuple[Doubles, NDArray[np.int64]]:
    """Features whose columns lie 1e6 from zero, in one of three ways."""
    narrow, codes = photos(n=120, dim=20 if where != "wide" else 160, n_classes=n_classes)
    x = narrow.astype(np.float64)
    offset = np.random.default_rng(7).uniform(-1e6, 1e6, (x.shape[1],))
    if where == "one column":
        offset[1:] = 0
    elif where == "alike":
        offset[:] = 1e6
    return x + offset, codes


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("where", ["alike", "one column", "each its own", "wide"])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_features_a_million_from_zero_reach_the_reference_objective(
    kind: Kind, n_classes: int, where: str, *, standardise: bool
) -> None:
    x, codes = far_out(where, n_classes)
    beside = thirds(len(codes))[:2]
    subset = beside[0]
    scaler = StandardScaler().fit(x[subset]) if standardise else None
    # The reference sees what is left without the offset where the intercept is free, and so the objective the same.
    seen = x[subset] if scaler is None else scaler.transform(x[subset])
    middle = seen.mean(axis=0) if kind == "log" else np.zeros(seen.shape[1])
    for c in (1e-2, 1.0, 100.0):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = LinearPath(x, codes, n_classes, beside, loss=kind, standardise=standardise).solve(c)[0]  # type: ignore[arg-type]
        coef, intercept = as_fitted(found, scaler)
        ours = objective(kind, seen - middle, codes[subset], coef, intercept + coef @ middle, c)
        assert said or ours <= best(kind, seen - middle, codes[subset], c) * (1 + 1e-3), c
        # In double precision the map decides the same: nothing cancelled in float32.
        exact = seen @ coef.T + intercept
        decided = found.decide(x[subset])[:, -exact.shape[1] :]  # type: ignore[arg-type]
        np.testing.assert_allclose(decided, exact, atol=2e-3 * max(1.0, float(np.abs(exact).max())))


@pytest.mark.parametrize("standardise", [True])
def test_200_classes_at_a_large_c_end_near_the_minimum_or_in_a_warning(*, standardise: bool) -> None:
    narrow, codes = photos(n=230, dim=8, n_classes=200)
    x = narrow.astype(np.float64)
    everyone = [np.arange(len(codes))]
    seen = StandardScaler().fit_transform(x) if standardise else x
    scaler = StandardScaler().fit(x) if standardise else None
    kind: Kind = "log"
    for c in (1e3, 1e6):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            (found,) = LinearPath(x, codes, 200, everyone, loss=kind, standardise=standardise, max_iter=50).solve(c)  # type: ignore[arg-type]
        ours = as_fitted(found, scaler)
        if said:
            assert "fits at C" in str(said[0].message)
            continue
        # No reference minimises this in seconds; strong convexity bounds what can be left, from the gradient alone.
        slope = gradient(kind, seen, codes, *ours, c)
        p = softmax(seen @ ours[0].T + ours[1], axis=1)
        curvature = c * (p * (1 - p)).sum(axis=0)
        bound = float(np.square(slope[:-200]).sum()) / 2 + float((np.square(slope[-200:]) / curvature).sum())
        assert bound <= 2e-3 * objective(kind, seen, codes, *ours, c)


@pytest.mark.parametrize("c", [100.0, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_many_classes_of_few_rows_each_reach_the_reference_objective(kind: Kind, c: float) -> None:
    x, codes = photos(n=80, dim=24, n_classes=20)
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        (found,) = LinearPath(x, codes, 20, [np.arange(80)], loss=kind, standardise=True).solve(c)
    ours = objective(kind, scaled, codes, *as_fitted(found, StandardScaler().fit(x.astype(np.float64))), c)
    assert ours <= best(kind, scaled, codes, c) * (1 + 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_work_without_end_is_stopped_and_named(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_module, "_HOPEFUL", 1)
    monkeypatch.setattr(linear_module, "_MOST_WORK", 1.0)
    x, codes = photos(n=60, dim=20, n_classes=10)
    path = LinearPath(x, codes, 10, [np.arange(60)], loss=kind, standardise=True)
    with pytest.warns(ConvergenceWarning, match=r"the objective may be \S+ of itself above its minimum"):
        (found,) = path.solve(1e6)
    assert np.isfinite(found.decide(x)).all()


@pytest.mark.parametrize("far", [0.0, 1.0, 1e6])
def test_a_bad_start_costs_few_steps(far: float, digits: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    x = digits[0][:300].astype(np.float64)
    x -= x.mean(axis=0)
    signs = np.where(digits[1][:300] == 3, 1, -1).astype(np.float32)[None]
    start = far * np.random.default_rng(0).normal(size=(1, x.shape[1] + 1))
    shift = np.zeros(x.shape[1])
    found = solve_alone(x, shift, SquaredHingeLoss(signs), 1e4, start, free_intercept=False, tol=1e-6)
    assert found.bound <= 1e-6
    assert found.steps <= 40  # hundreds, where the support is not followed from a small C


@pytest.mark.parametrize("c", [300.0, 1e4])
def test_inner_folds_solved_together_end_where_each_ends_alone(c: float) -> None:
    x, codes = photos(n=150, dim=1280, n_classes=5)
    subsets = thirds(len(codes))
    together = LinearPath(x, codes, 5, subsets, loss="log", standardise=True).solve(c)
    for subset, found in zip(subsets, together, strict=True):
        rows, y = x[subset].astype(np.float64), codes[subset]
        scaler = StandardScaler().fit(rows)
        everyone = [np.arange(len(subset))]
        (alone,) = LinearPath(x[subset], y, 5, everyone, loss="log", standardise=True).solve(c)
        scaled = scaler.transform(rows)
        ours, theirs = (objective("log", scaled, y, *as_fitted(each, scaler), c) for each in (found, alone))
        assert ours == pytest.approx(theirs, rel=1e-3)
        assert (found.decide(x[subset]).argmax(axis=1) == y).all()


@pytest.mark.parametrize("c", [100.0, 1e4])
def test_a_hard_support_vector_machine_on_raw_pixels_reaches_liblinears_objective(
    c: float, digits: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    x, codes = digits[0][:250], digits[1][:250]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        (found,) = LinearPath(x, codes, 10, [np.arange(250)], loss="squared_hinge", standardise=False).solve(c)
    wide = x.astype(np.float64)
    ours = objective("squared_hinge", wide, codes, *as_fitted(found, None), c)
    assert ours <= best("squared_hinge", wide, codes, c) * (1 + 1e-3)
