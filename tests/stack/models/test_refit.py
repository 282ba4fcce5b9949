"""A saved stack is its parts, fitted by hand on everything, and says what it is made of."""

import hashlib
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps, StackError, UsageError
from stackbone.stack import MetaOptions, ModelScore, load_model, save_model, stack_options
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases.lr import c_grid, score_classes
from stackbone.stack.learners.meta_model import mean_probability
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import recipe_rows
from stackbone.stack.models.model import hash_digests
from stackbone.stack.models.refit import refit
from stackbone.stack.tasks.registry import TASKS
from tests.made.learners import fit_meta, fit_numbers, inner_number_folds, score_matrix
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

CLASSIFICATION, REGRESSION = TASKS["classification"], TASKS["regression"]
N = 150
SCORE = ModelScore("stack:oof", [0.9, 0.91, 0.93])


def halves_of_digits() -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Return two backbones that each see one half of a digit, and which of the first five it is."""
    images, codes = load_digits(n_class=5, return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(codes))[: 2 * N]
    x = images[chosen].astype(np.float32)
    return {"resnet50": x[:, :32], "vgg19": x[:, 32:]}, codes[chosen].astype(np.int64)


BLOCKS, CODES = halves_of_digits()
TRAIN = {name: x[:N] for name, x in BLOCKS.items()}
NEW = {name: x[N:] for name, x in BLOCKS.items()}


@pytest.fixture
def joined(tmp_path: Path) -> Joined:
    store = FeatureStore(tmp_path / "features")
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(N))
    made = np.frombuffer(content, np.uint8).reshape(N, 32)
    half = (0.5, 0.5, 0.5)
    for name, x in TRAIN.items():
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        store.feature_set(name, spec).append(spec, made, x, {})
    index = DatasetIndex(
        name="digits",
        root="/digits",
        path=[f"{i}.png" for i in range(N)],
        label=[f"digit {code}" for code in CODES[:N]],
        split=[""] * N,
        group=[f"writer {i // 3}" for i in range(N)],
        image_sha256=made,
        status=np.zeros(N, np.uint8),
        reason=[""] * N,
        stamps=FileStamps(np.full((N, 4), -1, np.int64)),
    )
    store.write_dataset(index)
    return join_features(store)


def by_hand(options: StackOptions, joined: Joined, seed: int) -> NDArray[np.float64]:
    """Return log-probabilities of the new digits by the parts that `refit` is made of."""
    y, names = CODES[:N], np.array([f"digit {code}" for code in range(5)])
    inner = inner_folds(y, names, seed, groups=joined.groups, digests=joined.digests, n_splits=options.inner_splits)
    parts = [score_classes(TRAIN[name], y, NEW[name], 5, inner, c_grid(options)) for name in TRAIN]
    meta = fit_meta(parts, y, 5, inner, options.meta)
    return meta.log_probabilities([part.test for part in parts])


@pytest.mark.parametrize(
    "options",
    [
        stack_options(inner_splits=3),
        stack_options(meta="lr", scores="decision", combine="average", c=0.1, inner_splits=3),
        stack_options(meta="mean", c=0.01, inner_splits=3),
    ],
    ids=["svm", "lr", "mean"],
)
def test_a_saved_model_predicts_as_its_parts_fitted_by_hand(
    joined: Joined, options: StackOptions, tmp_path: Path
) -> None:
    save_model(refit(joined, CLASSIFICATION, options, SCORE, seed=2), tmp_path / "model")
    found = load_model(tmp_path / "model").log_probabilities(NEW)
    np.testing.assert_allclose(found, by_hand(options, joined, seed=2), atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-9)
    assert (found.argmax(axis=1) == CODES[N:]).mean() > 0.9


@pytest.mark.usefixtures("exact_solver")
def test_the_mean_is_that_of_logistic_regressions(joined: Joined) -> None:
    options = stack_options(meta="mean", c=0.01, inner_splits=3)
    model = refit(joined, CLASSIFICATION, options, SCORE, seed=0)
    decisions = []
    for name, x in TRAIN.items():
        plain = make_pipeline(ModeratedScaler(), LogisticRegression(C=0.01, tol=1e-8, max_iter=5000))
        plain.fit(x.astype(np.float64), CODES[:N])
        decisions.append(plain.decision_function(NEW[name].astype(np.float64)).astype(np.float32))
    expected = model.scale * mean_probability(decisions)
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.exp(model.log_probabilities(NEW)), np.exp(expected), atol=1e-4)


def test_groups_reach_the_inner_folds(joined: Joined) -> None:
    options = stack_options(c=0.1, inner_splits=3)
    kept = refit(joined, CLASSIFICATION, options, SCORE, seed=0).log_probabilities(NEW)
    loose = refit(replace(joined, groups=None), CLASSIFICATION, options, SCORE, seed=0).log_probabilities(NEW)
    np.testing.assert_allclose(kept, by_hand(options, joined, seed=0), atol=1e-4)
    np.testing.assert_allclose(loose, by_hand(options, replace(joined, groups=None), seed=0), atol=1e-4)
    assert np.abs(kept - loose).max() > 1e-3


def test_the_model_says_what_it_is_made_of(joined: Joined) -> None:
    options = stack_options(meta="lr", scores="log-probability", combine="average", c=0.1, inner_splits=3)
    model = refit(joined, CLASSIFICATION, options, SCORE, seed=0)
    assert model.task == "classification"
    assert model.classes == [f"digit {code}" for code in range(5)]
    assert (model.learner, model.scores, model.combine) == ("lr", "log-probability", "average")
    assert [(each.name, each.feature_set, each.spec) for each in model.backbones] == [
        (name, each.id, each.header().spec) for name, each in joined.feature_sets.items()
    ]
    assert model.n_images == N
    assert model.digests_sha256 == hash_digests(joined.digests)
    assert model.score == {"accuracy": "0.913 ± 0.012 (3 folds)"}
    assert {"stackbone", "numpy", "scikit-learn", "scipy"} <= set(model.versions)
    assert datetime.fromisoformat(model.created).tzinfo is not None


def test_a_single_split_has_no_spread_to_print(joined: Joined) -> None:
    options = stack_options(c=0.1, inner_splits=3)
    model = refit(joined, CLASSIFICATION, options, ModelScore("stack:oof", [0.9]), seed=0)
    score = str(model.score["accuracy"])
    assert score.startswith("0.900")
    assert "±" not in score
    assert "1 folds" not in score


def test_the_same_seed_makes_the_same_model(joined: Joined) -> None:
    options = stack_options(c=0.1, inner_splits=3)
    first, again = (refit(joined, CLASSIFICATION, options, SCORE, seed=1, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(first.log_probabilities(NEW), again.log_probabilities(NEW))


def test_progress_counts_the_backbones(joined: Joined) -> None:
    seen: list[tuple[str, int, int]] = []
    options = stack_options(c=0.1, inner_splits=3)
    refit(joined, CLASSIFICATION, options, SCORE, seed=0, progress=lambda *each: seen.append(each))
    assert seen == [("fitting", done, 2) for done in range(3)]


def test_a_class_of_one_image_is_known_to_the_model(joined: Joined) -> None:
    labels = joined.labels.copy()
    labels[0] = "alone"
    options = stack_options(c=0.1, inner_splits=3)
    model = refit(replace(joined, labels=labels, groups=None), CLASSIFICATION, options, SCORE, seed=0)
    assert model.classes[0] == "alone"
    assert np.isfinite(model.log_probabilities(NEW)).all()


@pytest.mark.parametrize("meta", ["ridge", "svr", "mean"])
def test_a_saved_regression_predicts_as_its_parts(joined: Joined, meta: str, tmp_path: Path) -> None:
    y = 10 + CODES[:N].astype(np.float64)
    targets = replace(joined, labels=y.astype(np.str_))
    options = stack_options("regression", meta=meta, inner_splits=3)
    score = ModelScore("stack:oof", [0.8, 0.9], primary_metric="r2")
    save_model(refit(targets, REGRESSION, options, score, seed=4), tmp_path / "model")
    model = load_model(tmp_path / "model")
    folds = inner_number_folds(y, 4, joined.groups, 3, joined.digests)
    bases, top = fit_numbers(TRAIN, y, folds, meta)
    seen = [base.decide(NEW[name])[:, 0] for name, base in zip(TRAIN, bases, strict=True)]
    np.testing.assert_allclose(model.predict_values(NEW), top.values(seen), rtol=1e-5)
    assert np.abs(model.predict_values(NEW) - 10 - CODES[N:]).mean() < 1
    assert (model.task, model.classes, model.learner) == ("regression", [], "linear")
    assert model.score == {"r2": "0.850 ± 0.050 (2 folds)"}


def test_a_regression_of_one_backbone_is_a_ridge(joined: Joined) -> None:
    y = CODES[:N].astype(np.float64)
    one = replace(
        joined,
        labels=y.astype(np.str_),
        blocks={"vgg19": TRAIN["vgg19"]},
        feature_sets={"vgg19": joined.feature_sets["vgg19"]},
    )
    options = stack_options("regression", meta="mean", inner_splits=3)
    model = refit(one, REGRESSION, options, ModelScore("stack:oof", [0.8, 0.9], primary_metric="r2"), seed=0)
    x, new = TRAIN["vgg19"].astype(np.float64), NEW["vgg19"].astype(np.float64)
    folds = inner_number_folds(y, 0, joined.groups, 3, joined.digests)
    alpha = score_matrix(TRAIN["vgg19"], y, NEW["vgg19"], folds).chosen
    expected = make_pipeline(ModeratedScaler(), Ridge(alpha)).fit(x, y).predict(new)
    np.testing.assert_allclose(model.predict_values(NEW), expected, atol=1e-4)


def test_labels_that_are_no_numbers_are_named(joined: Joined) -> None:
    score = ModelScore("stack:oof", [0.8], primary_metric="r2")
    with pytest.raises(StackError, match=r"'digit \d' \(row 0\)"):
        refit(joined, REGRESSION, stack_options("regression"), score, seed=0)


def test_features_that_are_not_finite_are_named(joined: Joined) -> None:
    spoilt = {**joined.blocks, "vgg19": np.where(np.arange(N)[:, None] == 4, np.nan, joined.blocks["vgg19"])}
    for task in (CLASSIFICATION, REGRESSION):
        labels = joined.labels if task is CLASSIFICATION else CODES[:N].astype(np.str_)
        with pytest.raises(StackError, match=r"'vgg19' hold NaN or infinity in 1 of 150 rows \(first rows: 4\)"):
            refit(replace(joined, labels=labels, blocks=spoilt), task, stack_options(task.name), SCORE, seed=0)


def test_an_unknown_meta_learner_is_refused_before_anything_is_fitted(joined: Joined) -> None:
    for task, name, meant in ((CLASSIFICATION, "svn", "svm"), (REGRESSION, "svm", "svr")):
        labels = joined.labels if task is CLASSIFICATION else CODES[:N].astype(np.str_)
        options = StackOptions(meta=MetaOptions(name))
        with pytest.raises(UsageError, match=f"unknown meta-learner '{name}'.*did you mean '{meant}'"):
            refit(replace(joined, labels=labels), task, options, SCORE, seed=0)


def test_fits_of_an_earlier_refit_are_found_again(
    joined: Joined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = stack_options(c=0.1, inner_splits=3)
    ids = {name: each.id for name, each in joined.feature_sets.items()}
    cache = ScoreCache(tmp_path, joined.blocks, dataset="photos", feature_sets=ids)
    first = refit(joined, CLASSIFICATION, options, SCORE, seed=0, cache=cache)

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("stackbone.stack.learners.bases.lr.score_classes", refuse)
    again = refit(joined, CLASSIFICATION, options, SCORE, seed=0, cache=cache)
    np.testing.assert_array_equal(again.log_probabilities(NEW), first.log_probabilities(NEW))
    with pytest.raises(AssertionError):
        refit(joined, CLASSIFICATION, options, SCORE, seed=1, cache=cache)  # other inner folds


@pytest.mark.parametrize("recipe", list(recipe_rows()))
def test_every_recipe_is_saved_as_the_row_that_scored_it(joined: Joined, recipe: str, tmp_path: Path) -> None:
    options = stack_options(c=0.1, inner_splits=3)
    score = ModelScore(recipe_rows()[recipe], [0.9, 0.91, 0.93])
    save_model(refit(joined, CLASSIFICATION, options, score, seed=0, recipe=recipe), tmp_path / "model")
    found = load_model(tmp_path / "model").log_probabilities(NEW)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-9)
    everything = {name: np.vstack([TRAIN[name], NEW[name]]) for name in TRAIN}
    labels = np.array([f"digit {code}" for code in CODES])
    fold = Fold(np.arange(N), np.arange(N, len(CODES)))
    assert joined.groups is not None
    groups = np.concatenate([joined.groups, joined.groups.max() + 1 + np.arange(len(CODES) - N)])
    digests = np.concatenate([joined.digests, np.zeros((len(CODES) - N, 32), np.uint8)])
    evaluation = evaluate(
        everything, labels, [fold], recipes=[recipe], options=options, groups=groups, digests=digests, seed=0
    )
    row = evaluation.predictions[recipe_rows()[recipe]][0].scores
    np.testing.assert_array_equal(found.argmax(axis=1), row.argmax(axis=1))
    if recipe in ("oof", "concat"):
        np.testing.assert_allclose(np.exp(found), np.exp(row), atol=1e-3)
