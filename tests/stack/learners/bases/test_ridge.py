"""Base and meta learners of regression against scikit-learn's own estimators in plain loops."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVR

from stackbone.cache.errors import UsageError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.learners.bases.ridge import ALPHA_GRID
from stackbone.stack.learners.meta.svr import SVR_C_GRID, SVR_EPSILON
from stackbone.stack.learners.meta_model import MetaModel
from tests.made.learners import fit_number_meta, score_matrix
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def y() -> Floats:
    return np.random.default_rng(0).normal(50, 15, size=90)


@pytest.fixture(scope="module")
def folds(y: Floats) -> list[Fold]:
    return regression_folds(y, 3, 0)


@pytest.fixture(scope="module")
def out_of_fold(y: Floats) -> Floats:
    """Predictions of two backbones: one sharp, one blunt and biased."""
    rng = np.random.default_rng(1)
    return np.column_stack([y + rng.normal(0, 4, 90), 20 + 0.5 * y + rng.normal(0, 6, 90)])


def apply_meta(meta: MetaModel, predictions: Floats) -> Floats:
    return meta.values(list(predictions.T))


def plain(folds: list[Fold]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    return [(fold.train, fold.test) for fold in folds]


def test_base_learner_is_scikit_learns_grid_search(y: Floats, folds: list[Fold]) -> None:
    rng = np.random.default_rng(2)
    x = (y[:, None] * rng.normal(size=20) + rng.normal(0, 60, size=(90, 20))).astype(np.float32)
    x_test = rng.normal(0, 60, size=(10, 20)).astype(np.float32)
    scores = score_matrix(x, y, x_test, folds)
    search = GridSearchCV(
        make_pipeline(ModeratedScaler(), Ridge()),
        {"ridge__alpha": ALPHA_GRID},
        cv=plain(folds),
        scoring="neg_mean_squared_error",
    ).fit(x.astype(np.float64), y)
    assert scores.chosen == search.best_params_["ridge__alpha"]
    np.testing.assert_allclose(scores.test, search.predict(x_test.astype(np.float64)), rtol=1e-6)
    np.testing.assert_allclose(scores.linear.decide(x_test)[:, 0], scores.test, rtol=1e-4)
    for fold in folds:
        model = search.best_estimator_.fit(x[fold.train].astype(np.float64), y[fold.train])
        np.testing.assert_allclose(
            scores.out_of_fold[fold.test], model.predict(x[fold.test].astype(np.float64)), rtol=1e-6
        )


def test_given_alphas_are_the_only_ones_tried(y: Floats, folds: list[Fold], out_of_fold: Floats) -> None:
    x = out_of_fold.astype(np.float32)
    assert score_matrix(x, y, x[:4], folds, alphas=[33.0]).chosen == 33.0


def test_ridge_meta_is_scikit_learns_grid_search(y: Floats, folds: list[Fold], out_of_fold: Floats) -> None:
    search = GridSearchCV(
        make_pipeline(ModeratedScaler(), Ridge()),
        {"ridge__alpha": ALPHA_GRID},
        cv=plain(folds),
        scoring="neg_mean_squared_error",
    ).fit(out_of_fold, y)
    meta = fit_number_meta(out_of_fold, y, folds, "ridge")
    np.testing.assert_allclose(apply_meta(meta, out_of_fold), search.predict(out_of_fold), rtol=1e-5)


def test_svr_meta_is_scikit_learns_grid_search(y: Floats, folds: list[Fold], out_of_fold: Floats) -> None:
    svr = LinearSVR(epsilon=SVR_EPSILON, loss="squared_epsilon_insensitive", dual=False)
    search = GridSearchCV(
        TransformedTargetRegressor(make_pipeline(ModeratedScaler(), svr), transformer=StandardScaler()),
        {"regressor__linearsvr__C": SVR_C_GRID},
        cv=plain(folds),
        scoring="neg_mean_squared_error",
    ).fit(out_of_fold, y)
    meta = fit_number_meta(out_of_fold, y, folds, "svr")
    np.testing.assert_allclose(apply_meta(meta, out_of_fold), search.predict(out_of_fold), rtol=1e-4)


def test_mean_meta_learns_nothing(y: Floats, folds: list[Fold], out_of_fold: Floats) -> None:
    np.testing.assert_allclose(
        apply_meta(fit_number_meta(out_of_fold, y, folds, "mean"), out_of_fold), out_of_fold.mean(axis=1), rtol=1e-6
    )


@pytest.mark.parametrize("learner", ["ridge", "svr"])
def test_meta_trusts_the_sharper_backbone_and_undoes_a_bias(
    learner: str, y: Floats, folds: list[Fold], out_of_fold: Floats
) -> None:
    meta = fit_number_meta(out_of_fold, y, folds, learner)
    linear = meta.linear
    assert linear is not None
    assert linear.coef.shape == (2, 1)
    assert linear.coef[0, 0] > linear.coef[1, 0] > 0
    errors = np.square(apply_meta(meta, out_of_fold) - y).mean()
    assert errors < np.square(out_of_fold - y[:, None]).mean(axis=0).min()


@pytest.mark.parametrize("learner", ["ridge", "svr"])
def test_meta_stands_a_backbone_that_always_says_the_same(
    learner: str, y: Floats, folds: list[Fold], out_of_fold: Floats
) -> None:
    stuck = np.column_stack([out_of_fold[:, 0], np.full(90, 50.1)])
    meta = fit_number_meta(stuck, y, folds, learner)
    alone = fit_number_meta(out_of_fold[:, :1], y, folds, learner)
    np.testing.assert_allclose(apply_meta(meta, stuck), apply_meta(alone, out_of_fold[:, :1]), rtol=1e-5)


def test_an_unknown_meta_learner_is_refused_with_the_likely_one(
    y: Floats, folds: list[Fold], out_of_fold: Floats
) -> None:
    with pytest.raises(UsageError, match=r"unknown meta-learner 'rigde'.*did you mean 'ridge'"):
        fit_number_meta(out_of_fold, y, folds, "rigde")
