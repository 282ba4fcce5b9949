"""Ridge regressions along alpha: scikit-learn's numbers, in pieces or whole, with few columns or many."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.learners.bases.ridge import ALPHA_GRID, choose_alpha
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

ALPHAS = (0.1, 10.0, 1e4)
Data = tuple[NDArray[np.float32], NDArray[np.float64]]


def made(n: int, dim: int, seed: int = 0) -> Data:
    """Return features with means and scales of their own, and targets in centimetres that depend on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)) * rng.lognormal(size=dim) + 5 * rng.normal(size=dim)
    y = 40 + (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=dim) + rng.normal(size=n)
    return x.astype(np.float32), y


def reference(alpha: float) -> Pipeline:
    return make_pipeline(ModeratedScaler(), Ridge(alpha=alpha, solver="svd"))


@pytest.mark.parametrize(("n", "dim"), [(60, 7), (30, 30), (20, 50)])
def test_every_alpha_gives_scikit_learns_ridge(n: int, dim: int) -> None:
    x, y = made(n, dim)
    path = fit_ridge(SideBySide.whole(x), y, ALPHAS)
    predicted = path.predict(SideBySide.whole(x))
    for column, alpha in enumerate(ALPHAS):
        model = reference(alpha).fit(x.astype(np.float64), y)
        np.testing.assert_allclose(path.coef[:, column] * model[0].scale_, model[1].coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(predicted[:, column], model.predict(x.astype(np.float64)), rtol=1e-8)


@pytest.mark.parametrize(("n", "dim"), [(60, 7), (20, 50)])
def test_one_alpha_alone_gives_what_it_gives_among_others(n: int, dim: int) -> None:
    x, y = made(n, dim)
    among = fit_ridge(SideBySide.whole(x), y, ALPHAS)
    for column, alpha in enumerate(ALPHAS):
        alone = fit_ridge(SideBySide.whole(x), y, [alpha])
        np.testing.assert_allclose(alone.coef[:, 0], among.coef[:, column], rtol=1e-7, atol=1e-11)
        np.testing.assert_allclose(alone.intercept[0], among.intercept[column])


def test_the_linear_map_decides_as_the_path_predicts() -> None:
    x, y = made(50, 6)
    path = fit_ridge(SideBySide.whole(x), y, ALPHAS)
    linear = path.linear_map()
    assert linear.coef.shape == (6, 3)
    assert linear.coef.dtype == linear.intercept.dtype == np.float32
    np.testing.assert_allclose(linear.decide(x), path.predict(SideBySide.whole(x)), rtol=1e-4)


def test_rows_of_blocks_side_by_side_are_one_matrix() -> None:
    (a, y), (b, _) = made(40, 5), made(40, 50, seed=1)
    rows = np.random.default_rng(2).permutation(40)[:30]
    beside = SideBySide([a, b], np.arange(40)).take(rows)
    whole = SideBySide.whole(np.hstack([a, b])[rows])
    assert (beside.n, beside.dim) == (whole.n, whole.dim) == (30, 55)
    np.testing.assert_allclose(
        fit_ridge(beside, y[rows], ALPHAS).predict(beside),
        fit_ridge(whole, y[rows], ALPHAS).predict(whole),
        rtol=1e-12,
    )


@pytest.mark.parametrize(("n", "dim"), [(60, 7), (20, 50)])
def test_pieces_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch, n: int, dim: int) -> None:
    x, y = made(n, dim)
    design = SideBySide([x[:, :3], x[:, 3:]], np.arange(n))
    whole = fit_ridge(design, y, ALPHAS)
    monkeypatch.setattr("stackbone.stack.solvers.ridge.PIECE_BYTES", 8 * dim * 3)
    assert len(list(design.by_rows())) > 5
    assert len(list(design.by_columns())) > 5
    pieces = fit_ridge(design, y, ALPHAS)
    np.testing.assert_allclose(pieces.coef, whole.coef, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(pieces.predict(design), whole.predict(design), rtol=1e-10)


@pytest.mark.parametrize("n", [40, 5])
def test_constant_columns_count_for_nothing(n: int) -> None:
    x, y = made(n, 6)
    x[:, 2] = 0.1  # the mean of equal numbers need not equal them to the last bit
    x[:, 4] = 0.0
    path = fit_ridge(SideBySide.whole(x), y, ALPHAS)
    varying = [0, 1, 3, 5]
    np.testing.assert_allclose(path.coef[[2, 4]], 0, atol=1e-12)
    np.testing.assert_allclose(
        path.coef[varying], fit_ridge(SideBySide.whole(x[:, varying]), y, ALPHAS).coef, rtol=1e-6, atol=1e-9
    )


def test_features_far_from_zero_keep_their_precision() -> None:
    x, y = made(80, 5)
    far = x.astype(np.float64) + 2.0**12
    near = (far.astype(np.float32).astype(np.float64) - 2.0**12).astype(np.float32)
    predicted = fit_ridge(SideBySide.whole(far.astype(np.float32)), y, ALPHAS).predict(
        SideBySide.whole(far.astype(np.float32))
    )
    expected = fit_ridge(SideBySide.whole(near), y, ALPHAS).predict(SideBySide.whole(near))
    np.testing.assert_allclose(predicted, expected)


def test_a_shifted_target_shifts_every_prediction() -> None:
    x, y = made(30, 40)
    design = SideBySide.whole(x)
    np.testing.assert_allclose(
        fit_ridge(design, y + 500, ALPHAS).predict(design), fit_ridge(design, y, ALPHAS).predict(design) + 500
    )


@pytest.mark.parametrize(("n", "dim"), [(90, 12), (40, 60)])
def test_alpha_is_chosen_as_by_a_plain_loop(n: int, dim: int) -> None:
    x, y = made(n, dim)
    y = y + np.random.default_rng(1).normal(scale=5, size=n)
    alpha, out_of_fold = choose_alpha(SideBySide.whole(x), y, regression_folds(y, 4, 3))
    plain = {
        each: cross_val_predict(reference(each), x.astype(np.float64), y, cv=KFold(4, shuffle=True, random_state=3))
        for each in ALPHA_GRID
    }
    assert alpha == min(plain, key=lambda each: float(np.square(plain[each] - y).sum()))
    assert ALPHA_GRID[0] < alpha < ALPHA_GRID[-1]
    np.testing.assert_allclose(out_of_fold, plain[alpha], rtol=1e-7)


def test_the_strongest_of_equal_alphas_wins() -> None:
    x, y = np.full((20, 3), 7, np.float32), made(20, 2)[1]
    fold = regression_folds(y, 2, 0)[0]
    alpha, out_of_fold = choose_alpha(SideBySide.whole(x), y, regression_folds(y, 2, 0), ALPHAS)
    assert alpha == ALPHAS[-1]
    np.testing.assert_allclose(out_of_fold[fold.test], y[fold.train].mean())


def test_the_grid_ascends_by_half_decades() -> None:
    np.testing.assert_allclose(np.diff(np.log10(ALPHA_GRID)), 0.5)
    assert ALPHA_GRID[0] == pytest.approx(0.1)
    assert ALPHA_GRID[-1] == pytest.approx(1e7)


@pytest.mark.parametrize("alphas", [(), (0.0, 1.0), (-1.0,), (float("nan"),)])
def test_alphas_must_be_positive(alphas: tuple[float, ...]) -> None:
    x, y = made(10, 2)
    with pytest.raises(UsageError, match="only numbers above 0"):
        fit_ridge(SideBySide.whole(x), y, alphas)


def test_a_row_without_an_out_of_fold_prediction_is_refused() -> None:
    x, y = made(20, 3)
    with pytest.raises(StackError, match=r"10 of 20 rows are not in exactly one test part .* \(row 0, in 0, first\)"):
        choose_alpha(SideBySide.whole(x), y, [halves(20)])


def test_a_row_with_two_out_of_fold_predictions_is_refused() -> None:
    x, y = made(20, 3)
    with pytest.raises(StackError, match=r"row 0, in 2, first.*without repeats"):
        choose_alpha(SideBySide.whole(x), y, regression_folds(y, 2, 0, repeats=2))


def halves(n: int) -> Fold:
    return Fold(np.arange(n // 2), np.arange(n // 2, n))
