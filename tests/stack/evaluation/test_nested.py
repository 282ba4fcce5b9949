"""With steerings of the inner folds, the meta-learner sees of a steered backbone what is true of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.stack import Fold
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.nested import NestedFit
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.folds.folds import inner_folds, stratified_folds
from stackbone.stack.folds.per_fold import Features, Nested, PerFold
from stackbone.stack.learners.bases.lr import LEARNER
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.options import StackOptions

N, CLASSES = 90, 3
FIXED = StackOptions(c=0.1)


@pytest.fixture
def labels() -> NDArray[np.str_]:
    return np.array([f"class {i % CLASSES}" for i in range(N)])


def useful(labels: NDArray[np.str_]) -> NDArray[np.float32]:
    """Features that tell most images' classes."""
    codes = np.unique(labels, return_inverse=True)[1]
    rng = np.random.default_rng(5)
    return (np.eye(CLASSES)[codes] * 2 + rng.normal(size=(N, CLASSES))).astype(np.float32)


def steered(labels: NDArray[np.str_], seen: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Features that hold the labels that the steering saw, and are as sure of any class on all other images."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, CLASSES, N)
    codes[seen] = np.unique(labels, return_inverse=True)[1][seen]
    return (8 * np.eye(CLASSES)[codes] + rng.normal(size=(N, CLASSES))).astype(np.float32)


def divided(labels: NDArray[np.str_]) -> tuple[list[Fold], list[list[Fold]]]:
    folds = stratified_folds(labels, 3, 0)
    names, codes = np.unique(labels, return_inverse=True)
    return folds, [inner_folds(codes[fold.train], names, 0) for fold in folds]


def blocks_of(labels: NDArray[np.str_], *, nested: bool) -> tuple[list[Fold], PerFold]:
    folds, inner = divided(labels)
    outer = [steered(labels, fold.train, number) for number, fold in enumerate(folds)]
    of_inner = [
        Nested([steered(labels, fold.train[each.train], 10 + m) for m, each in enumerate(own)], ["set"] * len(own))
        for fold, own in zip(folds, inner, strict=True)
    ]
    return folds, PerFold(outer, of_inner if nested else None)


def test_a_stack_no_longer_leans_on_what_the_steering_has_seen(labels: NDArray[np.str_]) -> None:
    scores = {}
    for nested in (False, True):
        folds, block = blocks_of(labels, nested=nested)
        found = evaluate({"plain": useful(labels), "vit_toast": block}, labels, folds, options=FIXED)
        scores[nested] = {row: found.score(row).mean for row in ("lr:plain", "lr:vit_toast", "stack:oof")}
    assert scores[True]["lr:plain"] == scores[False]["lr:plain"]
    assert scores[True]["lr:vit_toast"] == scores[False]["lr:vit_toast"] < 0.5, (
        "of an image never seen it knows nothing"
    )
    assert scores[False]["stack:oof"] < 0.6, "it trusted the labels that the steering had seen"
    assert scores[True]["stack:oof"] > scores[True]["lr:plain"] - 0.05


@pytest.mark.parametrize("options", [StackOptions(), FIXED])
def test_out_of_fold_scores_are_those_of_each_inner_folds_own_features(
    labels: NDArray[np.str_], options: StackOptions
) -> None:
    folds, inner = divided(labels)
    names, codes = np.unique(labels, return_inverse=True)
    _, block = blocks_of(labels, nested=True)
    fold, own = folds[1], inner[1]
    part = Part(1, fold, codes[fold.train], CLASSES, own)
    assert block.nested is not None
    deeper = [inner_folds(codes[fold.train[each.train]], names, 0) for each in own]
    fit = NestedFit(LEARNER, block.blocks[1], block.nested[1], part, deeper, options, 0)
    found, plain = fit.run(), LEARNER.fit([block.blocks[1]], part, options, 0)
    assert isinstance(found, BaseScores)
    np.testing.assert_array_equal(found.test, plain.test)
    assert found.chosen == plain.chosen
    for number, each in enumerate(own):
        rows = Fold(fold.train[each.train], fold.train[each.test])
        one = Part(0, rows, codes[rows.train], CLASSES, deeper[number])
        expected = LEARNER.fit([block.nested[1].blocks[number]], one, options, 0).test
        np.testing.assert_array_equal(found.out_of_fold[each.test], expected)
    assert not np.allclose(found.out_of_fold, plain.out_of_fold)


def test_inner_fits_count_rows_as_the_outer_one_does(labels: NDArray[np.str_]) -> None:
    folds, inner = divided(labels)
    block = blocks_of(labels, nested=True)[1]
    names, codes = np.unique(labels, return_inverse=True)
    fold, own = folds[0], inner[0]
    counts = np.random.default_rng(7).gamma(1.0, size=len(fold.train)) + 0.1
    part = Part(0, fold, codes[fold.train], CLASSES, own, row_weights=counts, sample_weights=2 * counts)
    assert block.nested is not None
    deeper = [inner_folds(codes[fold.train[each.train]], names, 0) for each in own]
    found = NestedFit(LEARNER, block.blocks[0], block.nested[0], part, deeper, FIXED, 0).run()
    assert isinstance(found, BaseScores)
    for number, each in enumerate(own):
        rows = Fold(fold.train[each.train], fold.train[each.test])
        weighed = Part(0, rows, codes[rows.train], CLASSES, deeper[number], row_weights=counts[each.train])
        plain = Part(0, rows, codes[rows.train], CLASSES, deeper[number])
        expected, other = (
            LEARNER.fit([block.nested[0].blocks[number]], one, FIXED, 0).test for one in (weighed, plain)
        )
        np.testing.assert_array_equal(found.out_of_fold[each.test], expected)
        assert not np.allclose(expected, other)


def test_nested_fits_of_regression_give_numbers() -> None:
    numbers = np.random.default_rng(0).normal(size=60)
    folds = [Fold.testing(np.arange(k, 60, 3), 60) for k in range(3)]
    x = np.random.default_rng(1).normal(size=(60, 2)).astype(np.float32)
    nested = [Nested([x + m for m in range(5)], ["set"] * 5) for _ in folds]
    block = PerFold([x] * 3, nested)
    found = evaluate(
        {"a": x, "b": block}, numbers, folds, task="regression", options=stack_options("regression"), recipes=["oof"]
    )
    assert np.isfinite(found.score("stack:oof").mean)


def test_kept_scores_are_found_again_and_not_for_other_inner_features(tmp_path: Path, labels: NDArray[np.str_]) -> None:
    folds, block = blocks_of(labels, nested=True)

    def run(block: PerFold) -> tuple[int, float]:
        blocks: dict[str, Features] = {"plain": useful(labels), "vit_toast": block}
        sets = {"plain": "plain-1", "vit_toast": ["a", "b", "c"]}
        cache = ScoreCache(tmp_path, blocks, dataset="d", feature_sets=sets)
        found = evaluate(blocks, labels, folds, options=FIXED, cache=cache, baselines=False, recipes=["oof"])
        return found.n_from_cache, found.score("stack:oof").mean

    assert run(block)[0] == 0
    assert run(block)[0] == 6
    assert block.nested is not None
    other = [Nested([x[::-1].copy() for x in each.blocks], each.feature_sets) for each in block.nested]
    assert run(PerFold(block.blocks, other))[0] == 3, "those of the plain backbone alone"
    assert run(PerFold(block.blocks))[0] == 3


def test_features_of_other_inner_folds_are_refused(labels: NDArray[np.str_]) -> None:
    folds, block = blocks_of(labels, nested=True)
    with pytest.raises(StackError, match="features of 'b' are of 5 inner folds, and there are 2"):
        evaluate({"a": useful(labels), "b": block}, labels, folds, options=StackOptions(c=0.1, inner_splits=2))
