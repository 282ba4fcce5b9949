"""Heads that are asked for have rows, and make the mean and the stack; without them nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.cache import UsageError
from stackbone.stack import Evaluation, MetaOptions, StackOptions, evaluate, stack_options, stratified_folds
from stackbone.stack.evaluation.options import check_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Nested, PerFold
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.registry import BASE_LEARNERS, META_LEARNERS, meta_learners

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Blocks = dict[str, NDArray[np.float32]]
N = 90
Y = np.array(["cat", "dog", "emu"])[np.arange(N) % 3]
FOLDS = stratified_folds(Y, 2, 0)


def made_blocks() -> Blocks:
    blocks = {}
    for seed, name in enumerate("ab"):
        rng = np.random.default_rng(seed)
        blocks[name] = (rng.normal(size=(3, 6))[np.arange(N) % 3] + rng.normal(size=(N, 6))).astype(np.float32)
    return blocks


def run(heads: tuple[str, ...] = (), blocks: Any = None, **others: Any) -> Evaluation:  # noqa: ANN401 - passed on
    options = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(others.pop("meta", "convex")), heads=heads)
    return evaluate(blocks or made_blocks(), Y, FOLDS, recipes=("oof",), options=options, n_jobs=1, **others)


def rows(evaluation: Evaluation) -> list[str]:
    return [each.model for each in evaluation.results]


def test_by_default_no_head_is_fitted() -> None:
    assert rows(run()) == ["lr:a", "lr:b", "svm:a", "svm:b", "mean", "concat", "stack:oof"]
    assert "heads" not in stack_options().to_dict()
    assert stack_options().to_dict() == {
        "c": None,
        "inner_splits": 5,
        "meta": {"learner": "svm", "scores": "probability", "combine": "concat", "c": None},
        "fusion": "parts",
    }


def test_each_head_has_a_row_of_each_backbone() -> None:
    found = run(("lda", "knn"))
    assert rows(found) == [
        *("lr:a", "lr:b", "svm:a", "svm:b", "lda:a", "lda:b", "knn:a", "knn:b"),
        *("mean", "concat", "stack:oof"),
    ]
    assert rows(run(("lda",), baselines=False)) == ["lr:a", "lr:b", "lda:a", "lda:b", "mean", "stack:oof"]
    assert set(found.without) == {"a", "b"}
    assert set(found.chosen) >= {"lda:a", "knn:b", "lr:a"}


@pytest.mark.parametrize("heads", [("lda",), ("prototype", "lr"), ("ridge_classifier", "knn", "lda")])
def test_the_mean_is_that_of_the_heads(heads: tuple[str, ...]) -> None:
    found = run(heads)
    for number in range(len(FOLDS)):
        each = [np.exp(found.predictions[f"{head}:{name}"][number].scores) for head in heads for name in "ab"]
        mean = np.exp(found.predictions["mean"][number].scores)
        np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-6)


def test_what_is_left_without_a_backbone_has_none_of_its_heads() -> None:
    found = run(("lda", "knn"), meta="mean")
    for number in range(len(FOLDS)):
        left = [found.predictions[f"{head}:b"][number].scores for head in ("lda", "knn")]
        expected = np.mean(np.exp(left), axis=0)
        without = np.exp(found.predictions["without:a"][number].scores)
        np.testing.assert_array_equal(without.argmax(axis=1), expected.argmax(axis=1))


@pytest.mark.parametrize("meta", ["svm", "lr", "convex", "greedy"])
def test_shares_are_of_backbones_whatever_heads_see_them(meta: str) -> None:
    shares = run(("lr", "lda", "knn"), meta=meta).shares
    assert list(shares) == ["a", "b"]
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("meta", meta_learners("classification"))
def test_every_meta_learner_takes_every_head(meta: str) -> None:
    found = run(("lr", "lda", "knn", "prototype", "ridge_classifier"), meta=meta).score("stack:oof")
    assert found.mean > 0.8
    assert np.isfinite(found.metrics["log_loss"]).all()


def test_several_heads_of_one_backbone_are_a_stack() -> None:
    one = {"a": made_blocks()["a"]}
    assert rows(run(("lda", "knn"), one)) == ["lr:a", "svm:a", "lda:a", "knn:a", "mean", "stack:oof"]
    assert rows(run(("lda",), one)) == ["lr:a", "svm:a", "lda:a", "stack:oof"]


def test_scores_of_heads_are_kept(tmp_path: Path) -> None:
    blocks, heads = made_blocks(), ("lda", "knn", "prototype", "ridge_classifier")
    cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets=dict.fromkeys(blocks, "id"))
    first, again = (run(heads, blocks, cache=cache) for _ in range(2))
    assert first.n_from_cache == 0
    assert again.n_from_cache == len(FOLDS) * (2 * (2 + len(heads)) + 1)
    assert again.results == first.results
    plain = run((), blocks, cache=cache)
    assert plain.n_from_cache == len(FOLDS) * (2 * 2 + 1)  # what heads leave is what a run without them finds
    assert plain.results == run((), blocks).results


def test_a_steered_backbone_with_inner_steerings_is_scored_by_every_head() -> None:
    blocks = made_blocks()
    nested = [Nested([blocks["a"] * 2] * 3, ["x", "y", "z"]) for _ in FOLDS]
    steered = PerFold([blocks["a"]] * len(FOLDS), nested)
    found = run(("lda", "knn"), {"a": steered, "b": blocks["b"]})
    plain = run(("lda", "knn"), blocks)
    for head in ("lda", "knn"):  # the same features, in another unit inside: the test part is scored alike
        for number in range(len(FOLDS)):
            first, second = (softmax(each.predictions[f"{head}:a"][number].scores, axis=1) for each in (found, plain))
            np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ("ldaa", "unknown head 'ldaa': choose from lr, lda, .*did you mean 'lda'"),
        ("svm", "unknown head 'svm'"),
        ("published", "unknown head 'published'"),
        ("ridge", "unknown head 'ridge': choose from .*ridge_classifier"),
        ("", "unknown head ''"),
        ("lda,", "unknown head ''"),
        ("lda,knn,lda", "names lda more than once; name each base learner once, of lr, "),
        (["knn", "lda", "lda", "knn"], "names knn, lda more than once"),
        ([], "--heads names none"),
    ],
)
def test_wrong_heads_are_refused(heads: str | list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        stack_options(heads=heads)


def test_heads_are_kept_in_their_order() -> None:
    assert stack_options(heads=" lda, knn ").heads == ("lda", "knn")
    assert stack_options(heads="lr,lda").to_dict()["heads"] == ("lr", "lda")


@pytest.mark.parametrize(
    ("task", "heads", "words"),
    [
        ("classification", ("forest",), "unknown head 'forest': choose from lr, lda, "),
        ("classification", ("lda", "lda"), "names lda more than once"),
        ("classification", "lda", r"heads is 'lda'; expected a tuple of names, such as \('lda',\)"),
        ("regression", ("lda",), "unknown head 'lda': choose from ridge"),
        ("multilabel", ("lr",), "unknown head 'lr': choose from ovr"),
        ("multitarget", ("ridge",), "unknown head 'ridge': choose from ridges"),
    ],
)
def test_options_made_by_hand_are_checked_too(task: str, heads: Any, words: str) -> None:  # noqa: ANN401 - anything
    made = replace(stack_options(task), heads=heads)
    with pytest.raises(UsageError, match=words):
        check_options(task, made)
    with pytest.raises(UsageError, match=words):
        evaluate(made_blocks(), Y, FOLDS, task=task, options=made)


@pytest.mark.parametrize(
    ("task", "base"),
    [("classification", "lr"), ("multilabel", "ovr"), ("multitarget", "ridges"), ("regression", "ridge")],
)
def test_the_head_of_a_task_by_name_is_its_default(task: str, base: str) -> None:
    assert stack_options(task, heads=base) == stack_options(task)
    assert check_options(task, replace(stack_options(task), heads=(base,))) == stack_options(task)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_a_metric_makes_other_fits_of_heads(metric: str, tmp_path: Path) -> None:
    blocks = made_blocks()
    cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets=dict.fromkeys(blocks, "id"))
    plain = StackOptions(c=0.1, inner_splits=3, heads=("lda", "knn"))
    asked = replace(plain, metric=metric)
    found = [
        evaluate(blocks, Y, FOLDS, recipes=("oof",), baselines=False, options=options, cache=cache, n_jobs=1)
        for options in (plain, asked, plain, asked)
    ]
    n_fits = len(FOLDS) * 2 * 3  # of lr, lda and knn
    assert [each.n_from_cache for each in found] == [0, 0, n_fits, n_fits]
    for first, again in (found[::2], found[1::2]):
        assert again.results == first.results


def test_every_head_says_whether_it_can_be_stacked_and_saved() -> None:
    by_default = [name for name, each in BASE_LEARNERS.items() if each.by_default]
    assert sorted(by_default) == ["lr", "ovr", "published", "ridge", "ridges", "svm"]
    assert [name for name, each in BASE_LEARNERS.items() if each.can_be_stacked and not each.can_be_saved] == [
        "knn",
        "prototype",
    ]
    assert [each.name for each in META_LEARNERS.values() if each.averages] == ["convex", "greedy", "mean"]


def test_a_score_without_a_map_is_kept_as_one(tmp_path: Path) -> None:
    blocks = made_blocks()
    cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets=dict.fromkeys(blocks, "id"))
    run(("knn",), blocks, cache=cache)
    codes = (np.arange(N) % 3).astype(np.int64)
    for file in tmp_path.rglob("*"):
        assert file.stat().st_size < 20_000
    key = cache.key({"name": "other"}, ["a"], codes, FOLDS[0], [Fold(np.arange(1, 45), np.arange(1))], number=0)
    out_of_fold = np.full((len(FOLDS[0].train), 3), np.nan, np.float32)
    out_of_fold[0] = 0
    scores = BaseScores(5.0, out_of_fold, np.zeros((len(FOLDS[0].test), 3), np.float32), None)
    cache.save(key, scores)
    kept = cache.load(key)
    assert kept is not None
    outcome, _ = kept
    assert isinstance(outcome, BaseScores)
    assert outcome.linear_map is None
    with pytest.raises(TypeError, match="no linear map"):
        _ = outcome.linear
    assert outcome.chosen == 5


def test_numbers_without_a_map_are_no_scores_of_a_regression(tmp_path: Path) -> None:
    blocks, y = made_blocks(), np.arange(N).astype(np.float64)
    cache = ScoreCache(tmp_path, blocks, dataset="photos", feature_sets=dict.fromkeys(blocks, "id"))
    key = cache.key({"name": "other"}, ["a"], y, FOLDS[0], [Fold(np.arange(1, 45), np.arange(45))], number=0)
    n_train, n_test = len(FOLDS[0].train), len(FOLDS[0].test)
    cache.save(key, BaseScores(5.0, np.zeros(n_train), np.zeros(n_test), None))
    assert cache.load(key) is None
