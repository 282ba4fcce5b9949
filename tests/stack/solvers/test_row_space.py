"""The row space of few rows gives the shared design's answers, and the design is what it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.solvers import row_space as row_space_module
from stackbone.stack.solvers.design import StandardisedDesign
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.row_space import RowSpaceDesign, few_rows
from stackbone.stack.solvers.scales import MODERATION
from tests.stack.solvers.test_linear import KINDS, Kind, photos, thirds

pytestmark = pytest.mark.usefixtures("one_blas_thread", "exact_solver")


def solve(
    kind: Kind, n_classes: int, *, standardise: bool, prior: LinearMap | None = None
) -> list[NDArray[np.float32]]:
    """Return the decision values of each subset's own rows, for three C in turn."""
    x, codes = photos(n=60, dim=150, n_classes=n_classes)
    x[:, 3], x[::2, 5] = 7, 0.1  # constant everywhere, and nearly
    subsets = thirds(len(codes))
    path = LinearPath(
        x, codes, n_classes, subsets, loss=kind, standardise=standardise, moderation=MODERATION, prior=prior
    )
    return [
        found.decide(x[subset]) for c in (1e-3, 0.1, 10.0) for subset, found in zip(subsets, path.solve(c), strict=True)
    ]


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_end_where_the_shared_design_ends(
    kind: Kind, n_classes: int, monkeypatch: pytest.MonkeyPatch, *, standardise: bool
) -> None:
    in_rows = solve(kind, n_classes, standardise=standardise)
    monkeypatch.setattr(row_space_module, "few_rows", lambda *_: False)
    for one, other in zip(in_rows, solve(kind, n_classes, standardise=standardise), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_is_left_alike(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    prior = LinearMap(rng.normal(0, 0.01, (150, 4)).astype(np.float32), np.full(4, 0.1, np.float32))
    in_rows = solve(kind, 4, standardise=False, prior=prior)
    monkeypatch.setattr(row_space_module, "few_rows", lambda *_: False)
    for one, other in zip(in_rows, solve(kind, 4, standardise=False, prior=prior), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-3)


@pytest.mark.parametrize("free_intercept", [True, False])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("n", [9, 30, 60])
def test_fitted_rows_have_the_decision_values_of_the_shared_design(
    n: int, *, standardise: bool, free_intercept: bool
) -> None:
    x, codes = photos(n=n, dim=150)
    rows = np.arange(len(codes))
    fitted = np.stack([rows % 3 != fold for fold in range(3)])
    options = {"standardise": standardise, "moderation": MODERATION, "free_intercept": free_intercept}
    small, shared = (
        kind(x, rows, fitted, **options)  # type: ignore[arg-type]
        for kind in (RowSpaceDesign, StandardisedDesign)
    )
    u = np.random.default_rng(2).normal(size=(3, 2, small.n_coefficients)).astype(np.float32)
    z = small.forward(u)
    for subset in range(3):
        coef, intercept, mean = small.unfold(u[subset].astype(np.float64), subset)
        decided = (x[fitted[subset]] - mean) @ coef.T + intercept
        np.testing.assert_allclose(z[subset][:, fitted[subset]], decided.T, atol=1e-3)
        assert not z[subset][:, ~fitted[subset]].any()
    r = np.random.default_rng(3).normal(size=z.shape).astype(np.float32)
    there = (z * r).sum(dtype=np.float64)
    assert there == pytest.approx((u * small.backward(r)).sum(dtype=np.float64), rel=1e-4)
    np.testing.assert_array_equal(small.ridge[:-1], 1)
    assert small.ridge[-1] == shared.ridge[-1]


@pytest.mark.parametrize(
    ("n_rows", "problems", "dim", "small"),
    [(40, 1, 1280, True), (40, 1, 60, False), (100, 10, 3840, True), (1000, 1, 3840, False), (400, 200, 1280, False)],
)
def test_only_few_rows_are_taken_to_their_own_space(n_rows: int, problems: int, dim: int, *, small: bool) -> None:
    fitted = np.stack([np.arange(n_rows) % 5 != fold for fold in range(5)])
    assert few_rows(fitted, problems, dim) is small
