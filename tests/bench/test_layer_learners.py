"""The learners that bench/layers.py compares with ours are what they say: gradients, choices, what they look at."""

from __future__ import annotations

import numpy as np
import pytest
from layer_learners import Shape, objective, rank_columns, score_attentive, score_selected
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from stackbone.stack import stratified_folds
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM, N_TOKENS = 150, 6, 4
CODES = np.arange(N) % 3


def tokens(knowing: int) -> NDArray[np.float32]:
    """Return four tokens an image, side by side, of which one knows the classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, N_TOKENS, DIM))
    x[:, knowing] += 2 * rng.standard_normal((3, DIM))[CODES]
    return x.reshape(N, -1).astype(np.float32)


def division() -> tuple[Fold, list[Fold]]:
    fold = stratified_folds(CODES.astype(str), 3, 0)[0]
    return fold, inner_folds(CODES[fold.train], np.array(["0", "1", "2"]), 0, n_splits=3)


@pytest.mark.parametrize("n_queries", [1, 3])
@pytest.mark.parametrize("c", [0.01, 10.0])
def test_the_gradient_is_that_of_finite_differences(n_queries: int, c: float) -> None:
    rng = np.random.default_rng(1)
    shape = Shape(N_TOKENS, DIM, n_queries, 3)
    z, codes = rng.standard_normal((12, N_TOKENS, DIM)), CODES[:12]
    theta = rng.standard_normal(sum(shape.sizes))
    _, gradient = objective(theta, z, codes, shape, c)
    numeric = approx_fprime(theta, lambda each: objective(each, z, codes, shape, c)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, atol=1e-4 * np.abs(numeric).max())


@pytest.mark.parametrize("knowing", [0, 3])
def test_attention_goes_to_the_token_that_knows(knowing: int) -> None:
    fold, inner = division()
    decided, attention, _ = score_attentive(tokens(knowing), CODES, fold, inner, N_TOKENS, 1)
    assert attention.argmax() == knowing
    assert attention.sum() == pytest.approx(1, abs=1e-5)
    assert (decided.argmax(axis=1) == CODES[fold.test]).mean() > 0.8
    again, _, _ = score_attentive(tokens(knowing), CODES, fold, inner, N_TOKENS, 1)
    np.testing.assert_array_equal(decided, again)


def test_columns_that_know_are_ranked_first_and_kept() -> None:
    x, fold = tokens(2), division()[0]
    order = np.argsort(-rank_columns(x[fold.train], CODES[fold.train], 0.1))
    assert set(order[:3] // DIM) == {2}
    decided, share, fraction = score_selected(x, CODES, *division(), (DIM,) * N_TOKENS, 0.1)
    assert share.argmax() == 2
    assert 0 < fraction <= 0.5
    assert (decided.argmax(axis=1) == CODES[fold.test]).mean() > 0.8
