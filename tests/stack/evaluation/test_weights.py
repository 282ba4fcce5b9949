"""What rows count for, and the metric that chooses, reach every fit, every score and every key of the score cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlxtend.classifier import StackingClassifier
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_class_weight

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack import Fold, MetaOptions, StackOptions, evaluate, stack_options, stratified_folds
from stackbone.stack.evaluation.base_fits import BaseFit
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.viewed import spread
from stackbone.stack.evaluation.weights import check_class_weight, row_weights
from stackbone.stack.folds.per_fold import Viewed
from stackbone.stack.learners.bases.lr import C_GRID, LogisticRegressionBase, score_classes
from stackbone.stack.learners.bases.published import predict_published
from stackbone.stack.learners.bases.ridge import ALPHA_GRID, RidgeBase, choose_alpha, score_numbers
from stackbone.stack.learners.bases.svm import predict_svm
from stackbone.stack.learners.class_weight import parse_class_weight
from stackbone.stack.learners.learner import Part
from stackbone.stack.learners.linear_meta import META_C_GRID, averaging_map, choose_linear
from stackbone.stack.learners.meta import svr
from stackbone.stack.learners.meta.svr import SVR_C_GRID
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.tasks.truth import Truth

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))


def uneven(n: int = 180, seed: int = 0) -> tuple[dict[str, Matrix], NDArray[np.str_]]:
    """Two backbones' features of three classes that overlap, the last of a twelfth of the images."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.minimum(np.arange(n) % 12 // 5, 2))
    centres = rng.normal(0, 0.5, (3, 16))
    x = (centres[codes] + rng.normal(size=(n, 16))).astype(np.float32)
    return {"a": x[:, :8], "b": x[:, 8:]}, np.array(["ape", "bee", "cow"])[codes]


def part_of(codes: NDArray[Any], n_classes: int, **more: Any) -> Part:  # noqa: ANN401
    """Return a part whose test part is its training part, with three inner folds."""
    rows = np.arange(len(codes))
    inner = [Fold(rows[rows % 3 != number], rows[rows % 3 == number]) for number in range(3)]
    return Part(0, Fold(rows, rows), codes, n_classes, inner, **more)


def test_balanced_weights_are_scikit_learns_and_one_in_the_mean() -> None:
    _, y = uneven()
    classes, codes = np.unique(y, return_inverse=True)
    truth, rows = Truth(codes, classes), np.arange(0, len(y), 2)
    found = row_weights(truth, rows, "balanced", None)
    expected = compute_class_weight("balanced", classes=classes, y=y[rows])
    assert found is not None
    np.testing.assert_allclose(found, expected[codes[rows]])
    assert found.mean() == pytest.approx(1)
    weights = np.random.default_rng(0).gamma(1.0, size=len(y))
    both = row_weights(truth, rows, "balanced", weights)
    assert both is not None
    totals = np.bincount(codes[rows], both)
    np.testing.assert_allclose(totals, totals.mean())
    np.testing.assert_allclose(
        both[codes[rows] == 0] / both[codes[rows] == 0][0], _ratio(weights[rows][codes[rows] == 0])
    )
    given = row_weights(truth, rows, {"ape": 1, "bee": 2, "cow": 4}, None)
    assert given is not None
    np.testing.assert_allclose(given / given.min(), np.array([1, 2, 4])[codes[rows]])
    assert row_weights(truth, rows, None, None) is None


def _ratio(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = values / values[0]
    return ratio


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (
            {"ape": 1, "bee": 1, "cow": 1, "cwo": 2},
            r"1 class of which no image takes part: 'cwo'; did you mean 'cow'\?",
        ),
        ({"ape": 1, "cow": 1}, r"no weight for 1 class: 'bee'\. Every class needs one"),
        ({"x": 1, "y": 2}, r"2 classes of which no image takes part: 'x', 'y'\. There are 'ape', 'bee', 'cow'"),
    ],
)
def test_class_weights_are_of_just_the_classes_that_take_part(weights: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_class_weight(weights, ["ape", "bee", "cow"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.csv", 'cat,2.5\n"dog, hot",1\n'),
        ("w.csv", '\ufeffclass,weight\ncat,2.5\n"dog, hot",1\n\n'),
        ("w.json", '{"cat": 2.5, "dog, hot": 1}'),
        ("", '{"cat": 2.5, "dog, hot": 1}'),
    ],
)
def test_class_weights_are_read_from_lines_and_json(name: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name:
        file.write_text(content, encoding="utf-8")
    assert parse_class_weight(str(file) if name else content) == {"cat": 2.5, "dog, hot": 1.0}


def test_class_weights_by_a_word() -> None:
    assert parse_class_weight("balanced") == "balanced"
    assert parse_class_weight("none") is None
    assert parse_class_weight(None) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"cat,-1\n", r"the weight of 'cat' is -1\.0; expected"),
        (b"cat,1\ndog,0\n", "the weight of 'dog' is 0.0"),
        (b"cat,1\ndog,nan\n", "the weight of 'dog' is nan"),
        (b"cat,1\ndog,much\n", "the weight of 'dog' is 'much'"),
        (b"cat,1\ncat,2\n", "the class 'cat' has two weights"),
        (b"cat,1,2\n", "line 1 has 3 cells"),
        (b'"cat\nor kitten",1\ndog\n', "line 3 has 1 cell; expected"),
        (b'{"cat": 1' + 400 * b"0" + b"}", "the weight of 'cat' is 10000"),
        (b"", "there is none"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"cat": true}', "the weight of 'cat' is True"),
        (b'{"cat": NaN}', "this is not JSON"),
        (b"{cat", "this is not JSON"),
        (None, "'gone.csv': balanced, none or a file is expected, and that file cannot be read"),
    ],
)
def test_class_weights_that_make_no_sense_are_refused(
    content: bytes | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "gone.csv").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        parse_class_weight("gone.csv")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_options_check_what_chooses(task: str) -> None:
    with pytest.raises(UsageError, match="unknown metric 'acuracy'"):
        stack_options(task, metric="acuracy")
    assert stack_options("regression", metric="neg_mean_absolute_error").metric == "mae"
    with pytest.raises(UsageError, match="--class-weight is for classes, and the task is regression"):
        stack_options("regression", class_weight="balanced")
    plain = stack_options(task).to_dict()
    assert list(plain) == ["c", "inner_splits", "meta", "fusion"]
    assert stack_options(class_weight="balanced").to_dict() == {**stack_options().to_dict(), "class_weight": "balanced"}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("balance", "class_weight 'balance': .*did you mean 'balanced'"),
        ("none", "class_weight 'none'"),
        ([1, 2], r"class_weight is \[1, 2\]; expected 'balanced', a mapping"),
        ({"ape": -1}, "class_weight: the weight of 'ape' is -1; expected"),
        ({"ape": float("nan")}, "the weight of 'ape' is nan"),
        ({"ape": True}, "the weight of 'ape' is True"),
        ({"ape": "2"}, "the weight of 'ape' is '2'"),
        ({"ape": 10**400}, "the weight of 'ape' is 10000"),
        ({}, "there is none"),
    ],
)
def test_class_weights_made_by_hand_are_checked_too(weights: Any, words: str) -> None:  # noqa: ANN401
    blocks, y = uneven(36)
    with pytest.raises(UsageError, match=words):
        stack_options(class_weight=weights)
    with pytest.raises(UsageError, match=words):
        evaluate(blocks, y, stratified_folds(y, 3, 0), options=StackOptions(class_weight=weights))


def test_options_made_by_hand_are_checked_by_their_task() -> None:
    y = np.arange(30.0)
    folds = [Fold.testing(np.arange(k, 30, 3), 30) for k in range(3)]
    x = {"a": np.ones((30, 2), np.float32)}
    options = StackOptions(meta=MetaOptions("ridge"), class_weight="balanced")
    with pytest.raises(UsageError, match="--class-weight is for classes, and the task is regression"):
        evaluate(x, y, folds, task="regression", options=options)
    numbers: dict[str, Any] = {"ape": np.float64(2), "bee": np.int64(1), "cow": np.float32(0.5)}
    assert stack_options(class_weight=numbers).class_weight == {"ape": 2.0, "bee": 1.0, "cow": 0.5}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.zeros(36), "36 of 36 weights are not positive numbers"),
        (np.ones(35), r"weights of shape \(35,\) for 36 rows"),
        (np.r_[np.ones(35), np.nan], r"1 of 36 weights are not positive numbers \(row 35 has nan"),
        (np.r_[-1.0, np.ones(35)], "row 0 has -1"),
    ],
)
def test_weights_of_images_are_positive_numbers_one_for_each(weights: NDArray[np.float64], words: str) -> None:
    blocks, y = uneven(36)
    with pytest.raises(UsageError, match=words):
        evaluate(blocks, y, stratified_folds(y, 3, 0), options=FIXED, weights=weights)


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("grid", [(0.1,), C_GRID[2:7]])
def test_a_weight_counts_as_repeated_rows_in_all_that_the_base_learner_does(
    n_classes: int, grid: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(n_classes)
    codes = rng.permutation(np.arange(60) % n_classes)
    x = (np.eye(n_classes, 6)[codes] + rng.normal(size=(60, 6))).astype(np.float32)
    weights = rng.integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    part = part_of(codes, n_classes)
    of_rows = [Fold(*(np.flatnonzero(np.isin(rows, side)) for side in (f.train, f.test))) for f in part.inner]
    once = score_classes(x, codes, x, n_classes, part.inner, grid, row_weights=weights.astype(float))
    twice = score_classes(x[rows], codes[rows], x, n_classes, of_rows, grid)
    assert once.chosen == twice.chosen
    np.testing.assert_allclose(once.test, twice.test, atol=5e-3)
    np.testing.assert_allclose(once.out_of_fold[rows], twice.out_of_fold, atol=5e-3)
    svm = predict_svm(x, codes, x, n_classes, row_weights=weights.astype(float))
    np.testing.assert_allclose(svm, predict_svm(x[rows], codes[rows], x, n_classes), atol=5e-3)


@pytest.mark.parametrize("widths", [(), (2, 4)])
def test_a_weight_counts_as_repeated_rows_in_a_regression(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6)).astype(np.float32)
    y, weights = x[:, 0] + rng.normal(size=60), rng.integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    part = part_of(y, 0)
    of_rows = [Fold(*(np.flatnonzero(np.isin(rows, side)) for side in (f.train, f.test))) for f in part.inner]
    parts = RidgeBase(widths)._parts
    whole, asked = SideBySide.whole(x), {"alphas": ALPHA_GRID[:8], "parts": parts}
    # Not with parts: what they are multiplied by is drawn towards 1 by one row, of however many.
    once = score_numbers(whole, y, whole, part.inner, **asked, row_weights=weights.astype(float))  # type: ignore[arg-type]
    twice = score_numbers(SideBySide.whole(x[rows]), y[rows], whole, of_rows, **asked)  # type: ignore[arg-type]
    assert once.chosen == twice.chosen
    np.testing.assert_allclose(once.test, twice.test, rtol=1e-6 if not widths else 0.2, atol=0 if not widths else 0.1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_published_recipe_hands_weights_to_every_classifier(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    codes = rng.permutation(np.arange(60) % n_classes)
    blocks = [np.eye(n_classes, 5)[codes] + rng.normal(size=(60, 5)) for _ in range(2)]
    blocks = [block.astype(np.float32) for block in blocks]
    weights = rng.integers(1, 4, 60).astype(np.float64)
    found = predict_published(blocks, codes, blocks, row_weights=weights)
    models = [LogisticRegression(max_iter=10_000).fit(block, codes, sample_weight=weights) for block in blocks]
    mean = np.mean([model.predict_proba(block) for model, block in zip(models, blocks, strict=True)], axis=0)
    svm = LinearSVC(random_state=0).fit(mean, codes, sample_weight=weights).decision_function(mean)
    expected = svm if n_classes > 2 else np.column_stack([-svm, svm])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    plain = StackingClassifier([LogisticRegression()], LinearSVC(), use_probas=True, average_probas=True)
    assert plain.fit(blocks[0], codes) is plain  # routing was switched on for that fit alone


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("name", ["svm", "lr", "mean"])
@pytest.mark.parametrize("seen", ["probability", "decision"])
def test_a_weight_counts_as_repeated_rows_in_a_meta_learner(name: str, seen: str) -> None:
    if name == "mean" and seen != "probability":
        pytest.skip("the mean is of probabilities")
    rng = np.random.default_rng(1)
    codes = rng.permutation(np.arange(60) % 3)
    scores = [
        score_classes(
            np.eye(3, 4)[codes] + rng.normal(size=(60, 4)).astype(np.float32),
            codes,
            np.ones((1, 4), np.float32),
            3,
            part_of(codes, 3).inner,
            (0.1,),
        )
        for _ in range(2)
    ]
    weights = rng.integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    part = part_of(codes, 3, row_weights=weights.astype(float))
    inner = [Fold(*(np.flatnonzero(np.isin(rows, side)) for side in (f.train, f.test))) for f in part.inner]
    repeated = Part(0, Fold(np.arange(len(rows)), np.arange(0)), codes[rows], 3, inner)
    more = [type(each)(each.chosen, each.out_of_fold[rows], each.test, each.linear) for each in scores]
    options = MetaOptions(name, seen, c=None if name == "mean" else 1.0)
    decisions = [each.out_of_fold for each in scores]
    once = META_LEARNERS[name].fit(scores, part, options).log_probabilities(decisions)
    twice = META_LEARNERS[name].fit(more, repeated, options).log_probabilities(decisions)
    np.testing.assert_allclose(np.exp(once), np.exp(twice), atol=2e-2)


@pytest.mark.parametrize("name", ["ridge", "svr"])
def test_a_weight_counts_as_repeated_rows_in_a_meta_learner_of_numbers(name: str) -> None:
    rng = np.random.default_rng(2)
    y, weights = rng.normal(size=60), rng.integers(1, 4, 60)
    x = [(y + rng.normal(size=60)) for _ in range(2)]
    rows = np.repeat(np.arange(60), weights)
    part = part_of(y, 0, row_weights=weights.astype(float))
    inner = [Fold(*(np.flatnonzero(np.isin(rows, side)) for side in (f.train, f.test))) for f in part.inner]
    whole = SideBySide.whole(x[0][:, None].astype(np.float32))
    one = score_numbers(whole, y, whole, part.inner, [1.0])
    scores = [type(one)(1.0, each, each, one.linear) for each in x]
    more = [type(one)(1.0, each[rows], each, one.linear) for each in x]
    repeated = Part(0, Fold(np.arange(len(rows)), np.arange(0)), y[rows], 0, inner)
    once = META_LEARNERS[name].fit(scores, part, MetaOptions(name)).values(x)
    twice = META_LEARNERS[name].fit(more, repeated, MetaOptions(name)).values(x)
    np.testing.assert_allclose(once, twice, atol=1e-3)


def test_views_and_inner_folds_keep_the_weights_of_their_images() -> None:
    codes = np.array([0, 1, 0, 1, 0, 1])
    weights = np.arange(1.0, 7)
    part = part_of(codes, 2, row_weights=weights, sample_weights=weights / 2, metric=METRICS["mcc"])
    _, own = spread([Viewed(np.zeros((3, 6, 4), np.float32), ("s", "t"))], part)
    assert own.row_weights is not None
    np.testing.assert_array_equal(own.row_weights, np.tile(weights, 3))
    np.testing.assert_array_equal(own.fitted_weights, np.tile(weights, 2))
    assert own.metric is METRICS["mcc"]
    assert own.sample_weights is not None


def test_a_metric_chooses_c_on_the_inner_folds() -> None:
    blocks, y = uneven(240, seed=3)
    _, codes = np.unique(y, return_inverse=True)
    x = np.hstack(list(blocks.values()))
    by_c = {}
    part = part_of(codes, 3)
    for c in C_GRID:
        by_c[c] = score_classes(x, codes, x, 3, part.inner, (c,)).out_of_fold
    for name in ("balanced_accuracy", "log_loss", "mcc", "roc_auc"):
        metric = METRICS[name]
        chosen = part_of(codes, 3, metric=metric)
        found = LogisticRegressionBase().fit([x], chosen, StackOptions(), 0)
        values = {c: metric.measure(codes, log_softmax(each, axis=1), probability=True) for c, each in by_c.items()}
        best = max(metric.merit(each) for each in values.values() if each is not None)
        reached = values[found.chosen]
        assert reached is not None
        assert metric.merit(reached) == pytest.approx(best, abs=0.02), name


class Counting(Metric):
    """What is measured gets ever better, ever worse, or stays as it is."""

    name = "counting"
    task = "classification"

    def __init__(self, step: int) -> None:
        self._step, self._value = step, 0

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None) -> float:
        self._value += self._step
        return float(self._value)


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_the_criterion_decides_and_what_is_minimised_decides_among_equals(step: int) -> None:
    blocks, y = uneven(90)
    _, codes = np.unique(y, return_inverse=True)
    x, part = blocks["a"], part_of(codes, 3)
    counting = Counting(step)

    def worse(*said: NDArray[Any]) -> float:
        return counting.loss(codes, said[0], probability=True)

    plain = score_classes(x, codes, x, 3, part.inner, C_GRID)
    found = score_classes(x, codes, x, 3, part.inner, C_GRID, criterion=worse)
    assert found.chosen == {-1: C_GRID[0], 0: plain.chosen, 1: C_GRID[-1]}[step]
    prior = averaging_map(np.eye(3, dtype=np.float32)[codes], codes, 1, "log", are_probabilities=True)
    seen = np.eye(3, dtype=np.float32)[codes]
    meta = choose_linear(seen, codes, part.inner, prior, "log", META_C_GRID, criterion=worse)
    assert meta.c == {-1: META_C_GRID[0], 0: META_C_GRID[0], 1: META_C_GRID[-1]}[step], "of equals the smallest"


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_the_criterion_decides_in_regressions(step: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6)).astype(np.float32)
    y = x[:, 0] + rng.normal(size=60)
    counting = Counting(step)
    part = part_of(y, 0, metric=counting)

    def worse(said: NDArray[np.float64], _: NDArray[np.int64]) -> float:
        return counting.loss(y, said, probability=False)

    alpha, _ = choose_alpha(SideBySide.whole(x), y, part.inner, criterion=worse)
    assert alpha == {-1: ALPHA_GRID[0], 0: ALPHA_GRID[-1], 1: ALPHA_GRID[-1]}[step], "of equals the largest"
    c = svr._choose_c(x.astype(np.float64), part)
    assert c == {-1: SVR_C_GRID[0], 0: SVR_C_GRID[0], 1: SVR_C_GRID[-1]}[step], "of equals the smallest"


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss", "roc_auc"])
def test_the_metric_is_what_models_are_scored_by(metric: str) -> None:
    blocks, y = uneven()
    folds = stratified_folds(y, 3, 0)
    options = StackOptions(c=0.1, inner_splits=3, metric=metric, class_weight="balanced")
    found = evaluate(blocks, y, folds, options=options)
    models = [each.model for each in found.results]
    needs = METRICS[metric].needs_probability
    assert ("svm:a" in models, "stack:published" in models) == (not needs, not needs)
    _, codes = np.unique(y, return_inverse=True)
    for each in found.results:
        assert each.primary_metric == metric
        assert "accuracy" in each.metrics
        said = found.predictions[each.model]
        expected = [
            METRICS[metric].measure(codes[fold.test], one.scores, probability=one.probability)
            for fold, one in zip(folds, said, strict=True)
        ]
        assert each.folds == pytest.approx(expected)
    best = found.best("lr:", "svm:")
    assert best is not None
    assert best.merit == max(each.merit for each in found.results if each.model.startswith(("lr:", "svm:")))


def test_class_weights_find_the_rare_class() -> None:
    blocks, y = uneven(360)
    folds = stratified_folds(y, 3, 0)
    rare = {}
    for weight in (None, "balanced"):
        found = evaluate(blocks, y, folds, options=StackOptions(c=0.1, inner_splits=3, class_weight=weight))
        for model in ("lr:a", "svm:a", "concat", "stack:oof", "stack:published"):
            named = np.concatenate([each.scores.argmax(axis=1) for each in found.predictions[model]])
            rare[weight, model] = int((named == 2).sum())
    for model in ("lr:a", "svm:a", "concat", "stack:oof", "stack:published"):
        assert rare["balanced", model] > rare[None, model], model


def test_weights_of_images_count_in_scores_and_equal_ones_change_nothing() -> None:
    blocks, y = uneven()
    folds = stratified_folds(y, 3, 0)
    plain = evaluate(blocks, y, folds, options=FIXED)
    same = evaluate(blocks, y, folds, options=FIXED, weights=np.full(len(y), 3.0))
    for one, other in zip(plain.results, same.results, strict=True):
        assert one.folds == pytest.approx(other.folds, abs=0.02)
    weights = np.where(y == "ape", 9.0, 1.0)
    found = evaluate(blocks, y, folds, options=FIXED, weights=weights)
    said = found.predictions["lr:a"]
    _, codes = np.unique(y, return_inverse=True)
    expected = [
        np.average(each.scores.argmax(axis=1) == codes[fold.test], weights=weights[fold.test])
        for fold, each in zip(folds, said, strict=True)
    ]
    assert found.score("lr:a").folds == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "kappa"])
def test_a_fold_that_tests_one_class_is_refused_before_the_first_fit(metric: str) -> None:
    blocks, y = uneven()
    apes = np.flatnonzero(y == "ape")[:9]
    rest = np.delete(np.arange(len(y)), apes)
    with pytest.raises(StackError, match=r"cannot be told of 9 images of 1 class \(ape\)"):
        evaluate(blocks, y, [Fold(rest, apes)], options=StackOptions(metric=metric))


def test_keys_of_kept_scores_know_weights_and_metric_and_are_as_ever_without(tmp_path: Path) -> None:
    blocks, y = uneven(36)
    _, codes = np.unique(y, return_inverse=True)
    cache = ScoreCache(tmp_path, blocks, dataset="d", feature_sets={"a": "a", "b": "b"})
    asked: list[str] = []

    def key(part: Part, *, chooses: bool = True) -> str:
        fit = BaseFit({"name": "x"}, ["a"], chooses, lambda: None)  # type: ignore[arg-type,return-value]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache, "find_or_run", lambda key, *_: asked.append(key.digest))
            fit.find_or_run(cache, codes, part, [])
        return asked[-1]

    plain = part_of(codes, 3)
    ones = np.ones(36)
    variants = [
        plain,
        part_of(codes, 3, row_weights=ones),
        part_of(codes, 3, row_weights=2 * ones),
        part_of(codes, 3, metric=METRICS["mcc"]),
        part_of(codes, 3, metric=METRICS["kappa"]),
        part_of(codes, 3, metric=METRICS["kappa"], sample_weights=ones),
    ]
    assert len({key(each) for each in variants}) == len(variants)
    assert key(plain) == cache.key({"name": "x"}, ["a"], codes, plain.fold, plain.inner, number=0).digest
    # What chooses nothing depends on no metric.
    assert key(variants[3], chooses=False) == key(plain, chooses=False)
