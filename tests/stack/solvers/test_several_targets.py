"""Ridge regressions of several targets are those of each alone, by one decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from stackbone.cache.errors import UsageError
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, ALPHAS = 40, (0.1, 10.0, 1000.0)
RNG = np.random.default_rng(0)
Y = np.column_stack([RNG.normal(60, 8, N), RNG.normal(3000, 400, N), RNG.normal(0, 0.1, N)])
WEIGHTS = RNG.uniform(0.5, 2, N)


@pytest.fixture(params=[6, 90], ids=["tall", "wide"])
def x(request: pytest.FixtureRequest) -> NDArray[np.float32]:
    return np.asarray(3 + RNG.normal(size=(N, request.param)), np.float32)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighed"])
def test_each_target_is_as_if_alone(x: NDArray[np.float32], weights: NDArray[np.float64] | None) -> None:
    design = SideBySide.whole(x)
    found = fit_ridge(design, Y, ALPHAS, weights=weights)
    assert found.coef.shape == (x.shape[1], 9)
    predicted = found.predict(design).reshape(N, 3, 3)
    for number in range(3):
        alone = fit_ridge(design, Y[:, number], ALPHAS, weights=weights)
        np.testing.assert_allclose(predicted[:, :, number], alone.predict(design), rtol=1e-9)
        np.testing.assert_allclose(found.coef[:, number::3], alone.coef, rtol=1e-6, atol=1e-9 * Y[:, number].std())


def test_each_target_can_have_an_alpha_of_its_own(x: NDArray[np.float32]) -> None:
    design, own = SideBySide.whole(x), np.array([[0.1, 1000.0, 10.0]])
    found = fit_ridge(design, Y, own, moderation=0).predict(design)
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    for number, alpha in enumerate(own[0]):
        expected = Ridge(alpha=alpha).fit(scaled, Y[:, number]).predict(scaled)
        np.testing.assert_allclose(found[:, number], expected, rtol=1e-6)


@pytest.mark.parametrize("alphas", [(5.0,), np.array([[5.0]])])
def test_one_column_is_one_target(x: NDArray[np.float32], alphas: tuple[float, ...]) -> None:
    design = SideBySide.whole(x)
    found, alone = fit_ridge(design, Y[:, :1], alphas), fit_ridge(design, Y[:, 0], [5.0])
    np.testing.assert_allclose(found.predict(design), alone.predict(design), rtol=1e-12)


@pytest.mark.parametrize("alphas", [np.array([[1.0, 0.0, 1.0]]), np.array([[1.0, -1.0, 1.0]]), np.empty((0, 3))])
def test_alphas_that_are_none_are_refused(x: NDArray[np.float32], alphas: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError, match="give at least one, and only numbers above 0"):
        fit_ridge(SideBySide.whole(x), Y, alphas)
