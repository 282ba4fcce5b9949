"""All labels together are scikit-learn's logistic regressions, one label after the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.ovr import score_labels
from stackbone.stack.learners.labels.label_path import LabelPath
from stackbone.stack.learners.labels.thresholds import EVEN, choose_thresholds
from stackbone.stack.metrics.several.labels import average_precisions
from tests.made.multilabel import features_of, make_presence
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Floats = NDArray[np.float32]
Presence = NDArray[np.int8]


def objective(x: NDArray[np.floating], has: Presence, c: float, coef: NDArray[np.floating], intercept: float) -> float:
    z = x.astype(np.float64) @ coef.astype(np.float64) + intercept
    return float(c * np.logaddexp(0, np.where(has == 1, -z, z)).sum() + np.square(coef, dtype=np.float64).sum() / 2)


@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("n", "dim"), [(200, 12), (40, 120)], ids=["many rows", "few rows"])
def test_no_objective_is_above_scikit_learns(n: int, dim: int, c: float) -> None:
    presence = make_presence(n, (0.3, 0.5, 0.15, 0.05))
    presence[:2, 3] = 1, 0
    x = features_of(presence, 0, dim=dim)
    subsets = [np.arange(n), np.arange(0, n, 2)]
    presence[[2, 4], 3] = 1
    maps = LabelPath(x, presence, subsets, standardise=False).solve(c)
    for rows, linear in zip(subsets, maps, strict=True):
        coef, intercept = linear.uncentred()
        for label in range(4):
            own = x[rows], presence[rows, label], c
            rival = LogisticRegression(C=c, tol=1e-8, max_iter=10_000).fit(x[rows].astype(np.float64), own[1])
            least = objective(*own, rival.coef_[0], float(rival.intercept_[0]))
            assert objective(*own, coef[:, label], float(intercept[label])) <= least * (1 + 1e-5)


def test_some_labels_can_be_solved_and_the_others_stay() -> None:
    presence = make_presence(120)
    path = LabelPath(features_of(presence, 0), presence, [np.arange(120)])
    [before] = path.solve(0.01)
    [after] = path.solve_some(1.0, np.array([False, True, False]))
    assert np.array_equal(before.coef[:, [0, 2]], after.coef[:, [0, 2]])
    assert np.abs(before.coef[:, 1] - after.coef[:, 1]).max() > 0.01
    [alone] = LabelPath(features_of(presence, 0), presence, [np.arange(120)]).solve(1.0)
    assert np.allclose(after.coef[:, 1], alone.coef[:, 1], atol=2e-3)


@pytest.mark.parametrize("column", [np.zeros(30, np.int8), np.ones(30, np.int8)], ids=["none", "all"])
def test_a_subset_with_one_side_of_a_label_is_refused(column: Presence) -> None:
    presence = np.column_stack([make_presence(30, (0.5,)), column]).astype(np.int8)
    with pytest.raises(StackError, match=r"training subset 1 of 1 .* has all rows or none of 1 label \(columns 1\)"):
        LabelPath(features_of(presence, 0), presence, [np.arange(30)])


def test_each_label_has_the_c_of_its_own_least_log_loss() -> None:
    n, grid = 150, (1e-3, 1e-2, 0.1, 1.0)
    presence = make_presence(n)
    x = features_of(presence, 1, noise=2.0)
    folds = [Fold.testing(np.arange(i, n, 3), n) for i in range(3)]
    scores = score_labels(x, presence, x[:5], folds, grid)
    unseen = np.full((n, 3, len(grid)), np.nan)
    for fold in folds:
        scaler = ModeratedScaler().fit(x[fold.train])
        for label in range(3):
            for at, c in enumerate(grid):
                model = LogisticRegression(C=c, max_iter=5_000, tol=1e-8)
                model.fit(scaler.transform(x[fold.train]), presence[fold.train, label])
                unseen[fold.test, label, at] = model.decision_function(scaler.transform(x[fold.test]))
    losses = np.logaddexp(0, np.where(presence[..., None] == 1, -unseen, unseen)).mean(axis=0)
    best = losses.argmin(axis=1)
    assert scores.chosen == pytest.approx(np.exp(np.log(np.array(grid)[best]).mean()))
    assert scores.out_of_fold == pytest.approx(unseen[:, np.arange(3), best], abs=5e-3)
    assert scores.test.shape == (5, 3)
    assert scores.thresholds is not None
    said = expit(scores.out_of_fold) >= scores.thresholds
    assert f1_score(presence, said, average="macro") >= f1_score(presence, scores.out_of_fold >= 0, average="macro")


def test_thresholds_are_the_best_there_are() -> None:
    presence = make_presence(60, (0.1, 0.5, 0.9))
    probability = expit(np.random.default_rng(0).normal(size=presence.shape) + presence)
    thresholds = choose_thresholds(probability, presence)
    for label, chosen in enumerate(thresholds):
        every = np.append(probability[:, label], 0.0)
        best = max(f1_score(presence[:, label], probability[:, label] >= cut) for cut in every)
        assert f1_score(presence[:, label], probability[:, label] >= chosen) == pytest.approx(best)


def test_equal_probabilities_are_said_together_and_one_side_alone_says_nothing() -> None:
    presence = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]], np.int8)
    probability = np.array([[0.4, 0.3, 0.3]] * 3 + [[0.1, 0.3, 0.3]])
    assert choose_thresholds(probability, presence).tolist() == [0.25, EVEN, EVEN]


def test_rows_count_for_their_weights() -> None:
    presence = make_presence(150)
    x, weights = features_of(presence, 0), np.random.default_rng(1).uniform(0.2, 3, 150)
    [linear] = LabelPath(x, presence, [np.arange(150)], standardise=False, weights=weights).solve(0.1)
    coef, intercept = linear.uncentred()
    for label in range(3):
        has = presence[:, label]
        rival = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000).fit(x.astype(np.float64), has, weights)
        z = x.astype(np.float64) @ np.stack([coef[:, label], rival.coef_[0]], axis=1)
        z += [intercept[label], rival.intercept_[0]]
        losses = 0.1 * weights @ np.logaddexp(0, np.where(has[:, None] == 1, -z, z))
        ours, theirs = losses + np.square([coef[:, label], rival.coef_[0]]).sum(axis=1) / 2
        assert ours <= theirs * (1 + 1e-5)


def test_average_precision_can_choose_c() -> None:
    presence, n = make_presence(90), 90
    x = features_of(presence, 1, noise=2.0)
    folds = [Fold.testing(np.arange(i, n, 3), n) for i in range(3)]
    chosen = score_labels(x, presence, x[:1], folds, (1e-3, 0.1, 10.0), by_precision=True)
    best = np.max(
        [
            average_precisions(presence, score_labels(x, presence, x[:1], folds, (c,)).out_of_fold)
            for c in (1e-3, 0.1, 10.0)
        ],
        axis=0,
    )
    assert average_precisions(presence, chosen.out_of_fold) == pytest.approx(best, abs=5e-3)


def test_weights_move_thresholds() -> None:
    presence = np.array([[1], [0], [1], [0]], np.int8)
    probability = np.array([[0.9], [0.6], [0.5], [0.1]])
    assert choose_thresholds(probability, presence).tolist() == [0.3]
    assert choose_thresholds(probability, presence, np.array([5.0, 5.0, 0.1, 1.0])).tolist() == [0.75]
