"""Streamed fits equal those that hold a standardised copy of their rows, and hold no such copy."""

from __future__ import annotations

import tracemalloc
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.ovr import score_labels
from stackbone.stack.learners.labels.label_path import LabelPath
from stackbone.stack.learners.searching import chosen_on_part
from stackbone.stack.solvers import design, rows
from stackbone.stack.solvers.large import streamed
from stackbone.stack.solvers.large.streamed import StandardisedRows, StreamedDesign
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.rows import Matrix, Rows, RowsOfTwo
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


@pytest.mark.parametrize("index", [3, slice(2, 9), np.array([8, 0, 3, 3]), np.empty(0, np.int64)])
@pytest.mark.parametrize("taken", [None, np.array([9, 1, 4, 11, 0, 7, 2, 5, 3, 10])])
def test_rows_of_two_matrices_are_those_of_one(index: np.ndarray | slice | int, taken: np.ndarray | None) -> None:
    x = made(3, n=12)[0]
    two, one = RowsOfTwo(x[:4], x[4:]), x
    if taken is not None:
        two, one = two.take(taken), x[taken]
    assert (two.shape, len(two)) == (one.shape, len(one))
    np.testing.assert_array_equal(two[index], one[index])
    found = two[index]
    found += 1
    np.testing.assert_array_equal(two[index], one[index], "what is returned is a copy")


@pytest.mark.parametrize("standardise", [True, False])
def test_a_fit_on_rows_of_two_matrices_is_that_on_one(*, standardise: bool) -> None:
    x, y = made(3)
    fits = [
        LinearPath(each, y, 3, subsets(N), loss="log", standardise=standardise).solve(0.1)
        for each in (x, RowsOfTwo(x[:200], Rows([x], np.arange(200, N))))
    ]
    for ours, theirs in zip(*fits, strict=True):
        np.testing.assert_array_equal(ours.coef, theirs.coef)
        np.testing.assert_array_equal(ours.decide(x), theirs.decide(RowsOfTwo(x[:200], x[200:])))


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
    taken = np.flatnonzero(np.arange(N) % 4 != 1)
    mean, std = x[taken].mean(axis=0), np.maximum(x[taken].std(axis=0), np.float32(1e-3))
    matrix = StandardisedRows(x, taken, mean, std)
    whole = np.hstack([(x[taken] - mean) / std, np.ones((len(taken), 1))])
    assert matrix.shape == whole.shape
    rng = np.random.default_rng(0)
    v = rng.standard_normal((7, DIM + 1), dtype=np.float32)
    residual = rng.standard_normal((7, len(taken)), dtype=np.float32)
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


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_streamed_fits_of_several_labels_are_the_plain_ones(
    monkeypatch: pytest.MonkeyPatch, *, standardise: bool, weighted: bool
) -> None:
    x, y = made(4)
    if not standardise:
        x = x / np.abs(x).max(axis=0)
    presence = np.stack([y == 0, y < 2, y != 3, np.arange(N) % 7 == 0], axis=1).astype(np.int8)
    weights = np.random.default_rng(1).uniform(0.2, 3, N) if weighted else None
    found = []
    for large in (streamed.LARGE, 0):
        monkeypatch.setattr(streamed, "LARGE", large)
        path = LabelPath(
            Rows([x], np.arange(N)),
            presence,
            subsets(N),
            standardise=standardise,
            moderation=8.0 if standardise else 0.0,
            weights=weights,
            tol=1e-9,
        )
        assert isinstance(path._design, StreamedDesign) == (large == 0)
        maps = [*path.solve(0.01), *path.solve_some(0.3, np.array([True, False, True, False]))]
        found.append([each.decide(x) for each in maps])
    for plain, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, plain, atol=2e-3 * np.abs(plain).max())
    assert found[1][0].shape == (N, 4)
    np.testing.assert_array_equal(found[1][0][:, 1], found[1][4][:, 1])  # which was not solved again


@pytest.mark.filterwarnings("ignore:C was chosen on")
@pytest.mark.parametrize("grid", [(0.01,), (0.001, 0.01)])
def test_a_streamed_fit_of_several_labels_holds_no_copy_of_its_rows(
    monkeypatch: pytest.MonkeyPatch, grid: tuple[float, ...]
) -> None:
    n, dim = 20_000, 200
    x, y = made(3, n, dim)
    presence = np.stack([y == 0, y != 1], axis=1).astype(np.int8)
    monkeypatch.setattr(streamed, "LARGE", 3000 * dim)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 2000 * dim)
    monkeypatch.setattr(streamed, "_BLOCK_VALUES", 2**16)
    monkeypatch.setattr(streamed, "_SEEN_VALUES", 2**18)
    monkeypatch.setattr(design, "_ROWS", 256)
    monkeypatch.setattr(rows, "_PIECE", 256)
    folds = [Fold.testing(np.arange(n // 2), n), Fold.testing(np.arange(n // 2, n), n)]
    tracemalloc.start()
    try:
        score_labels(Rows([x], np.arange(n)), presence, x[:5], folds, grid)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.45 * x.nbytes
