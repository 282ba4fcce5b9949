"""Differences come with intervals that cover as often as they say, and overlaps count what they say."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.compare import (
    BOOTSTRAP,
    RESAMPLED_T,
    Difference,
    bootstrap_difference,
    error_overlap,
    paired_difference,
)

Answers = NDArray[np.bool_]


def test_paired_difference_by_the_formula() -> None:
    a, b = [0.80, 0.84, 0.79, 0.85], [0.78, 0.80, 0.78, 0.80]
    found = paired_difference(a, b, 300, 100, confidence=0.9)
    differences = np.subtract(a, b)
    error = np.sqrt((1 / 4 + 100 / 300) * differences.var(ddof=1))
    low, high = stats.t.interval(0.9, 3, loc=0.03, scale=error)
    assert (found.mean, found.low, found.high) == pytest.approx((0.03, low, high))
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.03 / error, 3))
    assert (found.method, found.confidence) == (RESAMPLED_T, 0.9)


def test_without_shared_training_rows_it_is_the_plain_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12))
    plain = stats.ttest_rel(a, b)
    found = paired_difference(a, b, 1e15, 1)
    interval = plain.confidence_interval(0.95)
    assert found.p_value == pytest.approx(plain.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_swapped_models_mirror_the_difference() -> None:
    a, b = [0.7, 0.8, 0.75], [0.6, 0.75, 0.7]
    one, other = paired_difference(a, b, 20, 10), paired_difference(b, a, 20, 10)
    assert one.low is not None
    assert one.high is not None
    assert (other.mean, other.low, other.high) == pytest.approx((-one.mean, -one.high, -one.low))
    assert other.p_value == pytest.approx(one.p_value)


def test_interval_covers_where_folds_share_training_rows_and_the_plain_one_does_not() -> None:
    # The paper's own assumption: scores of two folds correlate by n_test / (n_train + n_test).
    rng = np.random.default_rng(0)
    n_folds, n_train, n_test, truth, trials = 10, 90, 10, 0.02, 2000
    correlation = n_test / (n_train + n_test)
    shared = rng.normal(size=(trials, 1)) * np.sqrt(correlation)
    own = rng.normal(size=(trials, n_folds)) * np.sqrt(1 - correlation)
    scores = truth + 0.01 * (shared + own)

    def covers(n_test: float) -> float:
        found = [paired_difference(row, np.zeros(n_folds), n_train, n_test) for row in scores]
        return float(np.mean([d.low is not None and d.high is not None and d.low <= truth <= d.high for d in found]))

    assert covers(n_test) == pytest.approx(0.95, abs=0.015)
    assert covers(1e-9) < 0.88


@pytest.mark.parametrize(("b", "mean", "p_value"), [([0.1, 0.2, 0.3], 0.0, 1.0), ([0.0, 0.1, 0.2], 0.1, None)])
def test_differences_without_spread_have_no_interval(b: list[float], mean: float, p_value: float | None) -> None:
    found = paired_difference([0.1, 0.2, 0.3], b, 20, 10)  # 0.3 - 0.2 is not 0.1 to the last bit
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high, found.p_value) == (None, None, p_value)
    assert not found.excludes_zero
    json.dumps(found.to_dict(), allow_nan=False)


def test_as_many_rows_ahead_in_folds_of_unequal_size_is_no_spread() -> None:
    tested = [127, 126, 124]
    right, fewer = [119, 117, 115], [118, 116, 114]
    a, b = np.divide(right, tested), np.divide(fewer, tested)
    found = paired_difference(a, b, 251, 126, tested=tested)
    assert found.mean == pytest.approx(1 / 126, rel=0.01)
    assert (found.low, found.high, found.p_value) == (None, None, None)
    fewer[2] -= 1
    found = paired_difference(a, np.divide(fewer, tested), 251, 126, tested=tested)
    assert found == paired_difference(a, np.divide(fewer, tested), 251, 126)
    assert found.spans_zero


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(0.01, 0.02, True), (-0.02, -0.01, True), (-0.01, 0.01, False), (0.0, 0.1, False)]
)
def test_an_interval_excludes_zero_or_not(low: float, high: float, excludes: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert Difference((low + high) / 2, low, high, 0.5, RESAMPLED_T).excludes_zero is excludes


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.5], [0.4], "single split use bootstrap_difference"),
        ([0.5, 0.6], [0.4, 0.5, 0.6], "one score per fold"),
        ([], [], "two folds at least"),
        ([[0.5, 0.6]], [[0.5, 0.6]], "one score per fold"),
        ([0.5, np.nan, 0.6], [0.5, 0.5, np.inf], "in fold 2, 3 of 3"),
    ],
)
def test_fold_scores_that_cannot_be_compared_are_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(StackError, match=message):
        paired_difference(a, b, 20, 10)


def test_empty_parts_and_wrong_confidence_are_refused() -> None:
    with pytest.raises(StackError, match="both must be above 0"):
        paired_difference([0.5, 0.6], [0.4, 0.6], 20, 0)
    for confidence in (0.0, 1.0, 95):
        with pytest.raises(UsageError, match="between 0 and 1"):
            paired_difference([0.5, 0.6], [0.4, 0.6], 20, 10, confidence=confidence)
        with pytest.raises(UsageError, match="between 0 and 1"):
            bootstrap_difference(np.ones(3, np.bool_), np.zeros(3, np.bool_), seed=0, confidence=confidence)


def two_models(n: int, only_a: float, only_b: float, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """Draw answers, of which given shares are right by one model only."""
    kind = rng.choice(4, size=n, p=[only_a, only_b, 0.6, 0.4 - only_a - only_b])
    return (kind == 0) | (kind == 2), (kind == 1) | (kind == 2)


def test_bootstrap_equals_drawing_images_one_by_one() -> None:
    rng = np.random.default_rng(0)
    a, b = two_models(80, 0.2, 0.1, rng)
    found = bootstrap_difference(a, b, seed=0)
    drawn = rng.integers(80, size=(10_000, 80))
    plain = a[drawn].mean(axis=1) - b[drawn].mean(axis=1)
    low, high = np.quantile(plain, [0.025, 0.975])
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=1 / 80)
    assert found.p_value == pytest.approx(2 * (plain <= 1e-12).mean(), abs=0.02)
    assert found.method == BOOTSTRAP


def test_bootstrap_is_decided_by_its_seed() -> None:
    a, b = two_models(60, 0.2, 0.1, np.random.default_rng(0))
    assert bootstrap_difference(a, b, seed=3) == bootstrap_difference(a, b, seed=3)
    assert bootstrap_difference(a, b, seed=3) != bootstrap_difference(a, b, seed=4)


def test_bootstrap_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for trial in range(600):
        found = bootstrap_difference(*two_models(300, 0.15, 0.10, rng), seed=trial, n_resamples=500, confidence=0.9)
        covered.append(found.low is not None and found.high is not None and found.low <= 0.05 <= found.high)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)


def test_a_clear_difference_has_a_small_p_value_and_none_a_large_one() -> None:
    rng = np.random.default_rng(2)
    clear = bootstrap_difference(*two_models(500, 0.3, 0.05, rng), seed=0, n_resamples=999)
    assert clear.excludes_zero
    assert clear.p_value == pytest.approx(2 / 1000)
    right = np.arange(100) % 2 == 0
    level = bootstrap_difference(right, ~right, seed=0)
    assert level.mean == 0
    assert level.p_value is not None
    assert 0.9 < level.p_value <= 1.0


def test_equal_answers_have_no_bootstrap_interval() -> None:
    a, _ = two_models(30, 0.2, 0.1, np.random.default_rng(0))
    assert bootstrap_difference(a, a, seed=0) == Difference(0.0, None, None, 1.0, BOOTSTRAP)
    always, never = np.ones(5, np.bool_), np.zeros(5, np.bool_)
    assert bootstrap_difference(always, never, seed=0) == Difference(1.0, None, None, None, BOOTSTRAP)


def test_answers_that_cannot_be_compared_are_refused() -> None:
    right = np.ones(4, np.bool_)
    with pytest.raises(StackError, match=r"first model \(4,\), the second model \(3,\)"):
        bootstrap_difference(right, right[:3], seed=0)
    with pytest.raises(StackError, match="one for every image"):
        bootstrap_difference(right[:0], right[:0], seed=0)
    with pytest.raises(UsageError, match="n_resamples is 0"):
        bootstrap_difference(right, right, seed=0, n_resamples=0)
    with pytest.raises(StackError, match="none"):
        error_overlap({})
    with pytest.raises(StackError, match=r"lite0 \(4,\), lite1 \(2, 2\)"):
        error_overlap({"lite0": right, "lite1": right.reshape(2, 2)})
    with pytest.raises(StackError, match="lite0 are int64; expected booleans"):
        error_overlap({"lite0": right.astype(np.int64)})


def test_error_overlap_by_hand() -> None:
    wrong = {
        "lite0": np.array([1, 1, 1, 0, 0, 0, 0, 0], np.bool_),
        "lite1": np.array([0, 1, 1, 1, 0, 0, 0, 0], np.bool_),
        "vgg19": np.array([0, 0, 1, 0, 1, 1, 1, 0], np.bool_),
    }
    found = error_overlap(wrong)
    assert found.names == ["lite0", "lite1", "vgg19"]
    np.testing.assert_allclose(found.jaccard, [[1, 2 / 4, 1 / 6], [2 / 4, 1, 1 / 6], [1 / 6, 1 / 6, 1]])
    assert found.wrong == [3 / 8, 3 / 8, 4 / 8]
    assert found.oracle == 7 / 8  # only the third image is wrong everywhere
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == {
        "names": found.names,
        "jaccard": found.jaccard.tolist(),
        "wrong": found.wrong,
        "oracle": 0.875,
    }


def test_models_that_never_err_overlap_in_nothing() -> None:
    never = np.zeros(5, np.bool_)
    found = error_overlap({"lite0": never, "lite1": never})
    np.testing.assert_array_equal(found.jaccard, np.eye(2))
    assert (found.wrong, found.oracle) == ([0.0, 0.0], 1.0)
    alone = error_overlap({"lite0": ~never})
    assert (alone.jaccard.tolist(), alone.wrong, alone.oracle) == ([[1.0]], [1.0], 0.0)


def test_groups_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    right_a, right_b = rng.random(200) < 0.8, rng.random(200) < 0.7
    alone = bootstrap_difference(right_a, right_b, seed=0)
    each = bootstrap_difference(right_a, right_b, seed=0, groups=np.arange(200))
    assert (each.low, each.high) == (alone.low, alone.high)
    copies = bootstrap_difference(
        np.repeat(right_a, 4), np.repeat(right_b, 4), seed=0, groups=np.repeat(np.arange(200), 4)
    )
    assert copies.mean == alone.mean
    assert (copies.low, copies.high) == pytest.approx((alone.low, alone.high))  # copies teach nothing
    assert copies.low is not None
    assert copies.high is not None
    sure = bootstrap_difference(np.repeat(right_a, 4), np.repeat(right_b, 4), seed=0)
    assert sure.low is not None
    assert sure.high is not None
    assert sure.high - sure.low == pytest.approx((copies.high - copies.low) / 2, rel=0.1)
