"""A fit that float32 cannot finish goes on alone, in double precision, and ends at a proof or in a warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from stackbone.stack.solvers.linear import LinearPath
from tests.stack.solvers.test_linear import KINDS, Kind, as_fitted, objective, photos, thirds

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
    subset = thirds(len(codes))[0]
    scaled = StandardScaler().fit_transform(x[subset]) if standardise else x[subset]
    for c in (1e-8, 1.0, 1e3, 1e6):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            # Cold, since the end of a smaller C would be a good start; beside others, as inner folds are solved.
            maps = LinearPath(x, codes, n_classes, thirds(len(codes)), loss=kind, standardise=standardise).solve(c)  # type: ignore[arg-type]
        scaler = StandardScaler().fit(x[subset]) if standardise else None
        ours = objective(kind, scaled, codes[subset], *as_fitted(maps[0], scaler), c)
        assert said or ours <= best(kind, scaled, codes[subset], c) * (1 + 1e-3), c


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
    x, codes = digits[0][:600], digits[1][:600]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        (found,) = LinearPath(x, codes, 10, [np.arange(600)], loss="squared_hinge", standardise=False).solve(c)
    wide = x.astype(np.float64)
    ours = objective("squared_hinge", wide, codes, *as_fitted(found, None), c)
    assert ours <= best("squared_hinge", wide, codes, c) * (1 + 1e-3)
