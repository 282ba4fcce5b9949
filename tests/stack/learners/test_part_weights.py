"""Parts of the columns with penalties of their own: what is chosen, what is told of them, and odd parts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from stackbone.stack.folds.folds import inner_folds, regression_folds
from stackbone.stack.learners import part_weights
from stackbone.stack.learners.bases.lr import LogisticRegressionBase, score_classes
from stackbone.stack.learners.bases.ridge import score_numbers
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.part_weights import LEAST_FACTOR, Carried, PartRecord, coarse, gains, multiplied
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge
from stackbone.stack.solvers.scales import ColumnParts, moderated_scales

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
NOISE, SIGNAL = 120, 12


def made(n: int, n_classes: int, seed: int = 0, unit: float = 100) -> tuple[Matrix, Codes]:
    """Return a wide part of noise, and beside it a narrow one that knows the classes, in a unit of its own."""
    centres = np.random.default_rng(seed).standard_normal((n_classes, SIGNAL))
    rng = np.random.default_rng([seed, n])
    codes = rng.permutation(np.arange(n) % n_classes)
    known = unit * (centres[codes] + rng.standard_normal((n, SIGNAL)))
    return np.hstack([rng.standard_normal((n, NOISE)), known]).astype(np.float32), codes


def folds_of(codes: Codes) -> list:  # type: ignore[type-arg]
    return inner_folds(codes, np.unique(codes).astype(str), 0)


def accuracy(scores: Matrix, codes: Codes) -> float:
    return float((scores.argmax(axis=1) == codes).mean())


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n", [30, 200])  # few rows have a solver of their own
def test_factors_divide_the_penalties_of_standardised_columns(n: int, n_classes: int) -> None:
    x, codes = made(n, n_classes)
    parts = ColumnParts((NOISE, SIGNAL), (0.25, 3.0))
    everyone = np.arange(n)
    path = LinearPath(x, codes, n_classes, [everyone], loss="log", standardise=True, parts=parts)
    (found,) = path.solve(0.1)
    scaled = (x - x.mean(axis=0, dtype=np.float64)) / x.std(axis=0, dtype=np.float64)
    scaled *= np.repeat(parts.factors, parts.widths)
    reference = LogisticRegression(C=0.1, tol=1e-9, max_iter=20_000).fit(scaled, codes)
    expected = reference.predict_proba(scaled)
    decided = found.decide(x).astype(np.float64)
    probabilities = np.exp(decided) / np.exp(decided).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=2e-4)


def test_each_part_is_steadied_by_its_own_columns() -> None:
    variances = np.array([[1.0, 2.0, 3.0, 100.0, 200.0, 300.0]])
    found = ColumnParts((3, 3), (1.0, 2.0)).scales(variances, 10, 50.0)
    np.testing.assert_allclose(found[:, :3], moderated_scales(variances[:, :3], 10, 50.0))
    np.testing.assert_allclose(found[:, 3:], moderated_scales(variances[:, 3:], 10, 50.0) / 2)
    assert [(each.start, each.stop) for each in ColumnParts((3, 3), (1.0, 2.0)).slices()] == [(0, 3), (3, 6)]


def test_a_ridge_of_parts_equals_one_of_scaled_columns() -> None:
    x, codes = made(60, 4)
    y, parts = codes.astype(np.float64), ColumnParts((NOISE, SIGNAL), (0.5, 2.0))
    found = fit_ridge(SideBySide.whole(x), y, [3.0], moderation=0.0, parts=parts).predict(SideBySide.whole(x))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0) * np.repeat(parts.factors, parts.widths)
    gram = scaled @ scaled.T
    expected = y.mean() + gram @ np.linalg.solve(gram + 3.0 * np.eye(len(y)), y - y.mean())
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_the_part_that_knows_the_classes_is_found_and_helps(n_classes: int) -> None:
    x, codes = made(240, n_classes)
    new, truth = made(2_000, n_classes)  # of the same centres
    folds = folds_of(codes)
    plain = score_classes(x, codes, new, n_classes, folds)
    fused = score_classes(x, codes, new, n_classes, folds, parts=ColumnParts.alike(NOISE, SIGNAL))
    assert plain.parts is None
    assert fused.parts is not None
    noise, signal = (PartRecord(*row) for row in fused.parts)
    assert signal.factor > 1 > noise.factor
    assert signal.share > 0.8
    assert signal.loss > 0.2 > noise.loss
    assert noise.share + signal.share == pytest.approx(1)
    assert accuracy(fused.test, truth) >= accuracy(plain.test, truth)


def test_numbers_have_parts_too() -> None:
    x, _ = made(200, 5, unit=1)
    y = x[:, NOISE:].sum(axis=1) + np.random.default_rng(1).standard_normal(200)
    folds = regression_folds(y, 4, 0)
    train = SideBySide.whole(x)
    fused = score_numbers(train, y, train, folds, parts=ColumnParts.alike(NOISE, SIGNAL))
    plain = score_numbers(train, y, train, folds)
    assert fused.parts is not None
    noise, signal = (PartRecord(*row) for row in fused.parts)
    assert signal.factor > noise.factor
    assert signal.loss > 0.5
    assert np.square(fused.out_of_fold - y).sum() < 0.9 * np.square(plain.out_of_fold - y).sum()


@pytest.mark.parametrize(("n", "n_classes"), [(12, 2), (12, 4), (20, 2), (40, 10)])
def test_few_rows_do_not_collapse(n: int, n_classes: int) -> None:
    fused, plain = [], []
    for seed in range(5):
        x, codes = made(n, n_classes, seed, unit=1)
        new, truth = made(400, n_classes, seed, unit=1)
        parts = ColumnParts.alike(NOISE, SIGNAL)
        fused.append(accuracy(score_classes(x, codes, new, n_classes, folds_of(codes), parts=parts).test, truth))
        plain.append(accuracy(score_classes(x, codes, new, n_classes, folds_of(codes)).test, truth))
    assert np.mean(fused) > np.mean(plain) - 0.03


@pytest.mark.parametrize("odd", ["a part of zero variance", "constant columns", "a part of one column"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_odd_parts_change_nothing_else(odd: str, n_classes: int) -> None:
    x, codes = made(90, n_classes)
    if odd == "a part of zero variance":
        x[:, :NOISE] = 7
    elif odd == "constant columns":
        x[:, [0, NOISE - 1, NOISE]] = -3
    widths = (NOISE, SIGNAL) if odd != "a part of one column" else (1, NOISE + SIGNAL - 1)
    found = score_classes(x, codes, x, n_classes, folds_of(codes), parts=ColumnParts.alike(*widths))
    assert found.parts is not None
    assert np.isfinite(found.test).all()
    assert np.isfinite(found.parts).all()
    assert accuracy(found.test, codes) > 0.6
    if odd == "a part of zero variance":
        assert found.parts[0, 1] == 0
        assert abs(found.parts[0, 2]) < 1e-6


def test_columns_that_all_are_constant_leave_the_penalties_alone() -> None:
    x, codes = np.ones((30, 6), np.float32), np.arange(30) % 3
    found = score_classes(x, codes, x, 3, folds_of(codes), parts=ColumnParts.alike(4, 2))
    assert found.parts is not None
    np.testing.assert_array_equal(found.parts[:, 0], [1, 1])
    np.testing.assert_array_equal(found.parts[:, 1], [0, 0])


def test_a_given_c_is_kept_and_parts_are_weighed_all_the_same() -> None:
    x, codes = made(120, 3)
    found = score_classes(x, codes, x, 3, folds_of(codes), [0.01], parts=ColumnParts.alike(NOISE, SIGNAL))
    assert found.chosen == 0.01
    assert found.parts is not None
    assert found.parts[1, 0] > found.parts[0, 0]


def test_gains_are_what_held_out_rows_ask_for() -> None:
    rng = np.random.default_rng(0)
    y, noise = rng.standard_normal((500, 1)), rng.standard_normal((500, 1))
    carried = Carried(np.arange(500), np.stack([y / 2, noise]), np.zeros((500, 1)))

    def squared(decisions: NDArray[np.float64], rows: Codes) -> tuple[float, NDArray[np.float64]]:
        return float(np.square(decisions - y[rows]).mean()), 2 * (decisions - y[rows]) / len(rows)

    held_down, useless = gains(carried, squared)
    assert held_down == pytest.approx(2, abs=0.05)
    assert useless == pytest.approx(0, abs=0.05)
    (few, _) = gains(Carried(np.arange(2), carried.terms[:, :2], np.zeros((2, 1))), squared)
    assert abs(few - 1) < 0.7  # of two rows not much is believed


def test_factors_are_multiplied_and_no_part_is_lost_for_good() -> None:
    found = multiplied(ColumnParts((100, 4, 16), (1.0, 2.0, 1e-3)), np.array([0.5, 2.0, 0.0]))
    assert found.widths == (100, 4, 16)
    assert found.factors == (0.5, 4.0, LEAST_FACTOR * 4.0)


def test_of_many_rows_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = made(240, 3)
    whole = score_classes(x, codes, x, 3, folds_of(codes), parts=ColumnParts.alike(NOISE, SIGNAL)).parts
    monkeypatch.setattr(part_weights, "_MOST_VALUES", 2 * 3 * 100)
    some = score_classes(x, codes, x, 3, folds_of(codes), parts=ColumnParts.alike(NOISE, SIGNAL)).parts
    assert whole is not None
    assert some is not None
    np.testing.assert_allclose(some[:, 1], whole[:, 1], atol=0.15)
    assert not np.array_equal(some, whole)


def test_a_single_strength_is_no_grid_to_thin() -> None:
    assert coarse((0.1,)) == (0.1,)
    assert coarse((1.0, 2.0, 3.0, 4.0)) == (2.0, 4.0)


def test_settings_tell_parts_and_those_of_one_part_stay_what_they_were() -> None:
    plain, options = LogisticRegressionBase(), StackOptions()
    assert plain.of_parts((7,)).settings(options, 0) == plain.settings(options, 0)
    assert "parts" not in plain.settings(options, 0)
    assert plain.of_parts((3, 4)).settings(options, 0) != plain.of_parts((4, 3)).settings(options, 0)
