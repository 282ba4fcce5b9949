"""The default stack of the estimator: as good as its members where rows are few, and with weights what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.estimator.classifiers import LinearSVM
from stackbone.stack.estimator.estimator import StackedBackbones
from stackbone.stack.estimator.meta_classifier import MetaClassifier
from stackbone.stack.solvers.linear import LinearMap, LinearPath

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]
DIM = 25
BLOCKS = {name: slice(i * DIM, (i + 1) * DIM) for i, name in enumerate(("left", "middle", "right"))}


def made(n: int, n_classes: int, seed: int) -> tuple[Doubles, NDArray[np.int64]]:
    """Three backbones' features of classes that overlap, the third's the worst."""
    rng = np.random.default_rng([seed, n, n_classes])
    codes = rng.permutation(np.arange(n) % n_classes)
    centres = rng.normal(0, 0.5, (n_classes, 3 * DIM)) * np.repeat([1, 1, 0.5], DIM)
    return centres[codes] + rng.normal(size=(n, 3 * DIM)), codes


def probabilities(n: int, n_classes: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Of two backbones, side by side."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % n_classes)
    said = 2 * np.eye(n_classes)[codes] + rng.normal(size=(2, n, n_classes))
    return np.hstack(np.exp(log_softmax(said, axis=2))).astype(np.float32), codes


@pytest.mark.parametrize(("n", "n_classes", "cv"), [(12, 3, 2), (12, 2, 2), (20, 5, 2), (40, 5, 3)])
def test_the_default_stack_of_few_rows_is_as_good_as_the_mean_of_its_members(n: int, n_classes: int, cv: int) -> None:
    more, against_svm, losses = [], [], []
    for seed in range(5):
        x, y = made(n + 150, n_classes, seed)
        train, test = _draw(y, n)
        stack = StackedBackbones(blocks=BLOCKS, cv=cv).fit(x[train], y[train])
        svm = StackedBackbones(None, LinearSVM(), blocks=BLOCKS, cv=cv).fit(x[train], y[train])
        mean = stack.transform(x[test])
        sides = mean.reshape(len(mean), 3, -1)
        mean = np.hstack([1 - sides.mean(axis=1), sides.mean(axis=1)]) if n_classes == 2 else sides.mean(axis=1)
        score = stack.score(x[test], y[test])
        more.append(score - (mean.argmax(axis=1) == y[test]).mean())
        against_svm.append(score - svm.score(x[test], y[test]))
        losses.append(-np.log(stack.predict_proba(x[test])[np.arange(len(test)), y[test]]).mean())
    assert np.mean(more) >= -2 * np.std(more, ddof=1) / np.sqrt(len(more)) - 1e-9, more
    assert np.mean(against_svm) >= -0.01, against_svm
    assert np.mean(losses) < np.log(n_classes)


def _draw(y: NDArray[np.int64], n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return `n` rows, as many of each class, and all others."""
    order = np.argsort(y, kind="stable")
    place = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    train = order[place < n // (y.max() + 1)]
    return train, np.setdiff1d(np.arange(len(y)), train)


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("kind", ["squared_hinge", "log"])
@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
def test_weights_of_one_are_none_and_a_weight_of_two_is_a_row_twice(n_classes: int, c: float, kind: str) -> None:
    x, codes = probabilities(60, n_classes, 1)
    prior = LinearMap(np.tile(np.eye(n_classes, dtype=np.float32), (2, 1)), np.full(n_classes, -1, np.float32))
    weights = np.random.default_rng(2).integers(1, 4, len(x))
    repeated = np.repeat(np.arange(len(x)), weights)
    for counts, rows in ((np.ones(len(x)), np.arange(len(x))), (weights.astype(np.float64), repeated)):
        asked = {"loss": kind, "standardise": False, "prior": prior}
        (ours,) = LinearPath(x, codes, n_classes, [np.arange(len(x))], weights=counts, **asked).solve(c)  # type: ignore[arg-type]
        (plain,) = LinearPath(x[rows], codes[rows], n_classes, [np.arange(len(rows))], **asked).solve(c)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours.decide(x), plain.decide(x), atol=5e-3)


@pytest.mark.parametrize("learner", ["svm", "lr"])
@pytest.mark.parametrize("weight", [0.0, 0.2, 5.0])
def test_weights_of_a_class_move_what_is_predicted_and_its_probability(weight: float, learner: Any) -> None:  # noqa: ANN401
    x, codes = probabilities(90, 3, 3)
    plain = MetaClassifier(learner).fit(x, codes)
    same = MetaClassifier(learner).fit(x, codes, sample_weight=np.ones(len(x)))
    np.testing.assert_array_equal(plain.coef_, same.coef_)
    if weight == 0:  # as if the rows were not there
        kept = codes != 1
        some = kept | (np.cumsum(codes == 1) > 10)
        folds = [(np.arange(len(x))[i::2], np.arange(len(x))[1 - i :: 2]) for i in range(2)]
        places = np.cumsum(some) - 1
        own = [(places[a[some[a]]], places[b[some[b]]]) for a, b in folds]
        weighted = MetaClassifier(learner, C=0.1, cv=folds).fit(x, codes, sample_weight=some.astype(np.float64))
        fewer = MetaClassifier(learner, C=0.1, cv=own).fit(x[some], codes[some])
        np.testing.assert_allclose(weighted.predict_proba(x), fewer.predict_proba(x), atol=5e-3)
        return
    weighted = MetaClassifier(learner, C=1.0).fit(x, codes, sample_weight=np.where(codes == 1, weight, 1.0))
    level = MetaClassifier(learner, C=1.0).fit(x, codes)
    times = (weighted.predict(x) == 1).sum() - (level.predict(x) == 1).sum()
    assert times * np.sign(weight - 1) >= 0
    assert (weighted.decision_function(x)[:, 1] - level.decision_function(x)[:, 1]).mean() * (weight - 1) > 0


@pytest.mark.parametrize(
    ("arguments", "weights", "words"),
    [
        ({"learner": "knn"}, None, "learner is 'knn'; it is one of 'svm', 'lr'"),
        ({}, np.r_[np.ones(1), np.zeros(29)], "of 1 rows that sample_weight counts"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments: Any, weights: Doubles | None, words: str) -> None:  # noqa: ANN401
    x, codes = probabilities(30, 3, 4)
    with pytest.raises(ValueError, match=words):
        MetaClassifier(**arguments).fit(x, codes, sample_weight=weights)


def test_a_class_of_one_row_keeps_the_mean_and_can_be_predicted() -> None:
    x, codes = probabilities(60, 3, 5)
    kept = np.flatnonzero((codes != 2) | (np.cumsum(codes == 2) == 1))
    meta = MetaClassifier().fit(x[kept], codes[kept])
    np.testing.assert_allclose(meta.coef_[:, 2], [0, 0, 1, 0, 0, 1])
    assert (meta.predict(x) == 2).any()
