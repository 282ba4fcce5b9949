"""C of a large fit is chosen on a part of its rows, the fit says so, and all rows are fitted with it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack import evaluate, stratified_folds
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases import ovr
from stackbone.stack.learners.bases.lr import C_GRID, LEARNER, score_classes
from stackbone.stack.learners.bases.ovr import score_labels
from stackbone.stack.learners.linear_meta import within
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.searching import chosen_on_part
from stackbone.stack.learners.searching.chosen_on_part import LEAST, part_to_choose_on
from stackbone.stack.solvers.large import streamed
from stackbone.stack.solvers.rows import Rows

pytestmark = pytest.mark.usefixtures("one_blas_thread")

NAMES = np.array(["ant", "bee", "cat"])


def made(n: int = 3000, dim: int = 12) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    y = rng.choice(3, n, p=[0.7, 0.28, 0.02])
    x = rng.standard_normal((n, dim)) + 0.6 * rng.standard_normal((3, dim))[y]
    return x.astype(np.float32), y


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream from 2,000 rows of 12 columns on, and choose on 900 of 3,000."""
    monkeypatch.setattr(streamed, "LARGE", 2000 * 12)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 900 * 12)


@pytest.mark.usefixtures("small_is_large")
def test_the_part_has_the_same_share_of_every_class_in_every_fold_but_more_of_rare_ones() -> None:
    _, y = made()
    folds = inner_folds(y, NAMES, 0)
    rows = part_to_choose_on(y, folds, 12)
    assert rows is not None
    assert len(np.unique(rows)) == len(rows)
    assert 885 <= len(rows) <= 900
    assert (np.diff(rows) > 0).all()
    for fold in folds:
        tested = np.intersect1d(rows, fold.test)
        for code in range(3):
            there, taken = int((y[fold.test] == code).sum()), int((y[tested] == code).sum())
            assert taken >= min(there, LEAST)
            assert taken in range(int(0.27 * there), int(0.3 * there) + 1) or taken == min(there, LEAST)
        own = within(rows, fold)
        assert set(y[rows][own.train]) == {0, 1, 2}
    np.testing.assert_array_equal(part_to_choose_on(y, folds, 12), rows)


@pytest.mark.parametrize("n_classes", [40, 200, 700])
def test_the_part_is_bounded_however_many_classes_there_are(monkeypatch: pytest.MonkeyPatch, n_classes: int) -> None:
    monkeypatch.setattr(streamed, "LARGE", 0)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 2400 * 5)
    y = np.random.default_rng(0).permutation(np.arange(60 * n_classes) % n_classes)
    folds = [Fold.testing(np.flatnonzero(np.arange(len(y)) // n_classes % 3 == fold), len(y)) for fold in range(3)]
    rows = part_to_choose_on(y, folds, 5)
    assert rows is not None
    assert 1200 < len(rows) <= min(2400, len(y))
    for fold in folds:
        own = within(rows, fold)
        counts = np.bincount(y[rows][own.train], minlength=n_classes)
        assert counts.min() >= 1
        assert counts.max() <= max(2 * counts.min(), 4)


def test_one_common_class_beside_many_rare_ones_keeps_half_of_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "LARGE", 0)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 1000 * 5)
    y = np.concatenate([np.zeros(20_000, np.int64), np.repeat(np.arange(1, 101), 30)])
    folds = [Fold.testing(np.arange(fold, len(y), 3), len(y)) for fold in range(3)]
    rows = part_to_choose_on(y, folds, 5)
    assert rows is not None
    assert len(rows) <= 1000
    assert 500 <= (y[rows] == 0).sum() < 900


def test_rows_that_no_fold_tests_leave_every_fold_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of several views: inner folds are trained on the rows of views, and test other rows, their means."""
    monkeypatch.setattr(streamed, "LARGE", 0)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 900 * 5)
    n, n_classes = 6000, 100
    codes = np.random.default_rng(0).permutation(np.arange(n) % n_classes)
    tests = [np.arange(fold, n, 3) for fold in range(3)]
    folds = [Fold(np.setdiff1d(np.arange(n), test), n + test) for test in tests]
    rows = part_to_choose_on(np.tile(codes, 2), folds, 5)
    assert rows is not None
    assert len(rows) <= 900
    for fold in folds:
        own = within(rows, fold)
        assert len(np.unique(codes[rows[own.train] % n])) == n_classes
        assert len(own.test) > 0


@pytest.mark.usefixtures("small_is_large")
def test_small_fits_choose_on_all_rows() -> None:
    _, y = made(1999)
    assert part_to_choose_on(y, inner_folds(y, NAMES, 0), 12) is None


def test_no_fit_below_the_threshold_says_a_word() -> None:
    x, y = made(600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score_classes(Rows([x], np.arange(600)), y, x, 3, inner_folds(y, NAMES, 0))


@pytest.mark.usefixtures("small_is_large")
def test_a_large_fit_is_that_of_all_rows_with_the_c_of_the_part() -> None:
    x, y = made()
    folds = inner_folds(y, NAMES, 0)
    few = part_to_choose_on(y, folds, 12)
    assert few is not None
    with pytest.warns(UserWarning, match=rf"C was chosen on {len(few)} of 3,000 training rows"):
        found = score_classes(Rows([x], np.arange(len(y))), y, x[:50], 3, folds)
    of_part = score_classes(x[few], y[few], x[:50], 3, [within(few, fold) for fold in folds])
    assert found.chosen == of_part.chosen
    expected = score_classes(x, y, x[:50], 3, folds, [found.chosen])
    np.testing.assert_allclose(found.out_of_fold, expected.out_of_fold, atol=1e-3)
    np.testing.assert_allclose(found.test, expected.test, atol=1e-3)
    assert not np.isnan(found.out_of_fold).any()


@pytest.mark.usefixtures("small_is_large")
def test_weights_and_a_metric_are_those_of_the_rows_chosen_on() -> None:
    x, y = made()
    folds = inner_folds(y, NAMES, 0)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y))
    few = part_to_choose_on(y, folds, 12)
    assert few is not None
    asked: list[NDArray[np.int64]] = []

    def errors(said: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
        asked.append(rows)
        return float((said.argmax(axis=1) != y[rows]).mean())

    with pytest.warns(UserWarning, match="C was chosen on"):
        score_classes(Rows([x], np.arange(len(y))), y, x[:5], 3, folds, row_weights=weights, criterion=errors)
    assert asked
    assert all(np.isin(rows, few).all() for rows in asked)


def evaluated(folder: Path, n: int = 600) -> tuple[int, list[str]]:
    """Return how many fits were found kept, and what was warned of."""
    x, y = made(n)
    blocks = {"A": x}
    cache = ScoreCache(folder, blocks, dataset="d", feature_sets={"A": "A-1"})
    names = NAMES[y]
    found = evaluate(blocks, names, stratified_folds(names, 3, 0), recipes=("oof",), cache=cache)
    said = [message for messages in found.warnings.values() for message in messages]
    return found.n_from_cache, [message for message in said if "C was chosen on" in message]


def test_scores_that_were_kept_of_all_rows_are_not_those_of_a_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    n_kept, _ = evaluated(tmp_path)
    assert n_kept == 0
    n_kept, said = evaluated(tmp_path)
    assert n_kept > 0
    assert said == []
    monkeypatch.setattr(streamed, "LARGE", 300 * 12)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 250 * 12)
    n_after, said = evaluated(tmp_path)
    assert n_after < n_kept
    assert said
    assert evaluated(tmp_path) == (n_kept, said)
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", 240 * 12)
    again, other = evaluated(tmp_path)
    assert again == n_after
    assert other != said


def test_only_a_large_fit_that_chooses_has_the_part_in_its_settings() -> None:
    rows = streamed.LARGE // 2048
    asked, given = StackOptions(), StackOptions(c=0.1)
    part = {"chosen_on": [chosen_on_part.MOST_VALUES, LEAST]}
    assert LEARNER.size_settings(rows, 2048, asked) == {}
    assert LEARNER.size_settings(rows + 1, 2048, asked) == part
    assert LEARNER.size_settings(rows + 1, 2048, given) == {}
    assert LEARNER.of_parts((1024, 1024)).size_settings(rows + 1, 2048, given) == part


def labelled() -> tuple[NDArray[np.float32], NDArray[np.int8], list[Fold]]:
    """Return features of a common label, one that nearly every row has, a rare one and one of the rarest rows."""
    rng = np.random.default_rng(0)
    presence = (rng.random((3000, 4)) < [0.4, 0.98, 0.02, 0.5]).astype(np.int8)
    presence[:, 3] &= presence[:, 2]
    x = rng.standard_normal((3000, 12)) + 0.4 * presence @ rng.standard_normal((4, 12))
    return x.astype(np.float32), presence, [Fold.testing(np.arange(fold, 3000, 3), 3000) for fold in range(3)]


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("n_rows", [900, 100, 20])
def test_the_part_has_both_sides_of_every_label_in_every_fold(monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
    monkeypatch.setattr(chosen_on_part, "MOST_VALUES", n_rows * 12)
    _, presence, folds = labelled()
    rows = part_to_choose_on(presence, folds, 12)
    assert rows is not None
    assert (np.diff(rows) > 0).all()
    assert len(rows) == n_rows
    for fold in folds:
        tested = np.intersect1d(rows, fold.test)
        for side in (0, 1):
            there, taken = ((presence[part] == side).sum(axis=0) for part in (fold.test, tested))
            assert (taken >= np.minimum(there, LEAST if n_rows == 900 else 1)).all()
    common = presence[rows, 0].mean()
    assert n_rows < 900 or abs(common - presence[:, 0].mean()) < 0.05


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("by_precision", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_large_fit_of_several_labels_is_that_of_all_rows_with_the_c_of_the_part(
    *, by_precision: bool, weighted: bool
) -> None:
    x, presence, folds = labelled()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(x)) if weighted else None
    few = part_to_choose_on(presence, folds, 12)
    assert few is not None
    rows = Rows([x], np.arange(len(x)))
    with pytest.warns(UserWarning, match=rf"C was chosen on {len(few)} of 3,000 training rows"):
        found = score_labels(rows, presence, x[:50], folds, C_GRID, row_weights=weights, by_precision=by_precision)
    of_few = None if weights is None else weights[few]
    inner = [within(few, fold) for fold in folds]
    of_part = score_labels(x[few], presence[few], x[:50], inner, C_GRID, row_weights=of_few, by_precision=by_precision)
    assert found.chosen == of_part.chosen
    best = np.full(4, np.inf)
    for c in C_GRID:  # each label has the scores of one C, of all rows
        expected = score_labels(x, presence, x[:50], folds, [c], row_weights=weights)
        differs = [
            np.abs(a - b).max(axis=0)
            for a, b in ((found.out_of_fold, expected.out_of_fold), (found.test, expected.test))
        ]
        best = np.minimum(best, np.maximum(*differs))
    assert (best < 5e-3).all()
    assert found.thresholds is not None


@pytest.mark.usefixtures("small_is_large")
def test_a_large_fit_of_several_labels_with_a_c_that_was_given_chooses_nothing() -> None:
    x, presence, folds = labelled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score_labels(Rows([x], np.arange(len(x))), presence, x[:50], folds, [0.1])
    assert found.chosen == pytest.approx(0.1)
    assert not np.isnan(found.out_of_fold).any()


def test_settings_of_several_labels_have_the_part_where_one_is_chosen_on() -> None:
    rows, part = streamed.LARGE // 2048, {"chosen_on": [chosen_on_part.MOST_VALUES, LEAST]}
    assert ovr.LEARNER.size_settings(rows, 2048, StackOptions()) == {}
    assert ovr.LEARNER.size_settings(rows + 1, 2048, StackOptions()) == part
    assert ovr.LEARNER.size_settings(rows + 1, 2048, StackOptions(c=0.1)) == {}
