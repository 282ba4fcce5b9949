"""Streamed fits equal those that hold a standardised copy of their rows, and hold no such copy."""

from __future__ import annotations

import tracemalloc
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.solvers import design
from stackbone.stack.solvers.large import streamed
from stackbone.stack.solvers.large.streamed import StandardisedRows, StreamedDesign
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.rows import Matrix, Rows
from stackbone.stack.solvers.scales import ColumnParts

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 900, 37


def made(n_classes: int, n: int = N, dim: int = DIM) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features whose columns differ in mean and spread, one of them constant, and class codes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    x = rng.standard_normal((n, dim)) + 0.5 * rng.standard_normal((n_classes, dim))[y]
    x = x * rng.uniform(0.01, 30, dim) + 100 * rng.standard_normal(dim)
    x[:, 5] = 2.5
    return x.astype(np.float32), y


def subsets(n: int) -> list[NDArray[np.int64]]:
    return [*(np.flatnonzero(np.arange(n) % 3 != fold) for fold in range(3)), np.arange(n)]


@pytest.mark.parametrize("loss", ["log", "squared_hinge"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_streamed_fit_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch,
    loss: Literal["log", "squared_hinge"],
    n_classes: int,
    *,
    standardise: bool,
    weighted: bool,
) -> None:
    x, y = made(n_classes)
    if not standardise:
        x = x / np.abs(x).max(axis=0)
    weights = np.random.default_rng(1).uniform(0.2, 3, N) if weighted else None
    parts = ColumnParts((10, DIM - 10), (1.0, 0.3)) if standardise else None
    found = []
    for large in (streamed.LARGE, 0):
        monkeypatch.setattr(streamed, "LARGE", large)
        path = LinearPath(
            Rows([x], np.arange(N)),
            y,
            n_classes,
            subsets(N),
            loss=loss,
            standardise=standardise,
            moderation=8.0 if standardise else 0.0,
            parts=parts,
            weights=weights,
            tol=1e-9,
        )
        assert isinstance(path._design, StreamedDesign) == (large == 0)
        found.append([each.decide(x) for c in (0.01, 0.3) for each in path.solve(c)])
    for plain, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-3 * np.abs(plain).max())


def test_products_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = made(3)
    monkeypatch.setattr(streamed, "_BLOCK_VALUES", 100 * DIM)  # many blocks, the last a short one
    rows = np.flatnonzero(np.arange(N) % 4 != 1)
    mean, std = x[rows].mean(axis=0), np.maximum(x[rows].std(axis=0), np.float32(1e-3))
    matrix = StandardisedRows(x, rows, mean, std)
    whole = np.hstack([(x[rows] - mean) / std, np.ones((len(rows), 1))])
    assert matrix.shape == whole.shape
    rng = np.random.default_rng(0)
    v = rng.standard_normal((7, DIM + 1), dtype=np.float32)
    residual = rng.standard_normal((7, len(rows)), dtype=np.float32)
    np.testing.assert_allclose(matrix.decide(v), v @ whole.T, atol=1e-3)
    np.testing.assert_allclose(residual @ matrix, residual @ whole, atol=1e-3)
    np.testing.assert_allclose(matrix[np.array([5, 2])], whole[[5, 2]], atol=1e-3)
    np.testing.assert_allclose(matrix[np.array([5, 2]), :-1], whole[[5, 2], :-1], atol=1e-3)


def test_the_raw_features_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = made(3)
    before: Matrix = x.copy()
    monkeypatch.setattr(streamed, "LARGE", 0)
    LinearPath(x, y, 3, subsets(N), loss="log", standardise=True).solve(0.1)
    np.testing.assert_array_equal(x, before)


def test_a_streamed_fit_holds_no_copy_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    n, dim = 20_000, 200
    x, y = made(3, n, dim)
    monkeypatch.setattr(streamed, "LARGE", 0)
    monkeypatch.setattr(streamed, "_BLOCK_VALUES", 2**16)
    monkeypatch.setattr(streamed, "_SEEN_VALUES", 2**18)
    monkeypatch.setattr(design, "_ROWS", 256)
    tracemalloc.start()
    try:
        LinearPath(Rows([x], np.arange(n)), y, 3, subsets(n)[:1], loss="log", standardise=True).solve(0.01)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * x.nbytes
