"""One-versus-rest regressions choose each label's C by what was asked for, and where that cannot tell, by log-loss."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.lr import C_GRID
from stackbone.stack.learners.bases.ovr import label_losses, score_labels
from stackbone.stack.metrics.several.labels import average_precisions

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 90, 8
FOLDS = [Fold.testing(np.arange(N)[np.arange(N) % 3 == part], N) for part in range(3)]


def made(noise: float, n_with: int = N // 2) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return features in which one label is told apart but for some noise, and which images have it, in folds alike."""
    rng = np.random.default_rng(0)
    has = np.zeros(N, np.int8)
    has[np.flatnonzero(np.arange(N) // 3 % 2 == 0)[:n_with]] = 1
    x = noise * rng.normal(size=(N, DIM))
    x[:, 0] += 3.0 * has
    return x.astype(np.float32), has[:, None]


def out_of_fold(x: NDArray[np.float32], presence: NDArray[np.int8]) -> dict[float, NDArray[np.float32]]:
    """Return the out-of-fold logits of every C of the grid."""
    return {c: score_labels(x, presence, x[:2], FOLDS, [c]).out_of_fold for c in C_GRID}


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3])
def test_where_every_c_ranks_alike_the_log_loss_decides(noise: float) -> None:
    x, presence = made(noise)
    each = out_of_fold(x, presence)
    assert {average_precisions(presence, scores)[0] for scores in each.values()} == {1.0}
    by_loss, by_rank = (score_labels(x, presence, x[:2], FOLDS, C_GRID, by_precision=b) for b in (False, True))
    assert by_rank.chosen == pytest.approx(by_loss.chosen)
    assert by_rank.chosen > C_GRID[0]
    np.testing.assert_array_equal(by_rank.out_of_fold, by_loss.out_of_fold)


@pytest.mark.parametrize("noise", [1.5, 3.0])
def test_average_precision_decides_where_it_can(noise: float) -> None:
    x, presence = made(noise)
    each = out_of_fold(x, presence)
    found = score_labels(x, presence, x[:2], FOLDS, C_GRID, by_precision=True)
    ranks = {c: average_precisions(presence, scores)[0] for c, scores in each.items()}
    chosen = min(C_GRID, key=lambda c: abs(np.log(c / found.chosen)))
    by_loss = min(C_GRID, key=lambda c: label_losses(presence, each[c])[0])
    assert ranks[chosen] >= ranks[by_loss] - 1e-3
    np.testing.assert_allclose(found.out_of_fold, each[chosen], atol=1e-2)  # each C begins where the last ended


def test_a_label_that_no_tested_image_has_takes_the_c_of_the_log_loss() -> None:
    x, presence = made(1.0, n_with=1)
    alone = int(presence.argmax())
    folds = [Fold.testing(fold.test[fold.test != alone], N) for fold in FOLDS]
    by_loss, by_rank = (score_labels(x, presence, x[:2], folds, C_GRID, by_precision=b) for b in (False, True))
    assert by_rank.chosen == by_loss.chosen
