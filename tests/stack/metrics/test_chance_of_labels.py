"""Shuffled labels of which an image can have several: each by itself must be ranked no better than luck ranks it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack import run_self_check, stack_options
from stackbone.stack.experiments.self_check import shuffle_labels
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.labels.presence import read_presence
from stackbone.stack.metrics.chance.ranking import check_ranked_at_chance
from stackbone.stack.metrics.model_scores import Prediction
from tests.conftest import MakeCache
from tests.made.multilabel import NAMES, fill, index_of, make_presence, texts_of

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 120
FIXED = stack_options("multilabel", c=0.1, inner_splits=3)
PRESENCE = make_presence(N)
FOLDS = [Fold.testing(np.arange(start, N, 3), N) for start in range(3)]


def predictions(scores: NDArray[np.float64]) -> list[Prediction]:
    return [Prediction(scores[fold.test], probability=True) for fold in FOLDS]


def scored(noise: float, seed: int = 0) -> NDArray[np.float64]:
    return -np.abs(PRESENCE - 1) - noise * np.random.default_rng(seed).random(PRESENCE.shape)


def plain_area(scores: NDArray[np.float64], label: int) -> tuple[float, float]:
    """Return area and luck of one label, by scikit-learn's area of each fold and the permutations' variance."""
    total = pairs = variance = 0.0
    for fold in FOLDS:
        has = PRESENCE[fold.test, label]
        n, p = len(has), int(has.sum())
        total += p * (n - p) * roc_auc_score(has, scores[fold.test, label])
        pairs += p * (n - p)
        variance += p * (n - p) * (n + 1) / 12
    return total / pairs, np.sqrt(variance) / pairs


def test_area_and_luck_are_those_of_the_formula() -> None:
    scores = np.round(np.random.default_rng(1).random(PRESENCE.shape), 1)  # many ties
    said = check_ranked_at_chance({"mean": predictions(scores)}, PRESENCE, np.array(NAMES), FOLDS)
    z = norm.isf(norm.sf(4) / len(NAMES))
    found = {name: plain_area(scores, label) for label, name in enumerate(NAMES)}
    nearest = max(found, key=lambda name: (found[name][0] - 0.5) / found[name][1])
    area, deviation = found[nearest]
    assert f"an area under the ROC curve of {area:.3f} for {nearest!r}" in said
    assert f"where chance is 0.500 and up to {0.5 + z * deviation:.3f} is luck" in said
    assert said.startswith("self-check passed: with shuffled labels, 1 model of 3 labels rank")


def test_the_variance_is_that_of_shuffled_labels() -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(N)
    areas = [roc_auc_score(rng.permutation(PRESENCE[:, 0]), scores) for _ in range(2000)]
    p = int(PRESENCE[:, 0].sum())
    assert np.std(areas) == pytest.approx(np.sqrt((N + 1) / (12 * p * (N - p))), rel=0.05)


@pytest.mark.parametrize("label", range(3))
def test_one_label_that_is_known_fails_by_name(label: int) -> None:
    scores = np.random.default_rng(2).random(PRESENCE.shape)
    scores[:, label] = scored(0.5)[:, label]
    models = {"ovr:a": predictions(np.random.default_rng(3).random(PRESENCE.shape)), "mean": predictions(scores)}
    expected = rf"self-check failed: .*mean ranks '{NAMES[label]}' with an area under the ROC curve of 1\.000"
    with pytest.raises(StackError, match=expected) as refusal:
        check_ranked_at_chance(models, PRESENCE, np.array(NAMES), FOLDS)
    assert "ovr:a" not in str(refusal.value)
    assert "--near-duplicates 0.98" in str(refusal.value)


def test_of_groups_that_swap_labels_luck_reaches_further() -> None:
    models = {"mean": predictions(np.random.default_rng(2).random(PRESENCE.shape))}
    check = partial(check_ranked_at_chance, models, PRESENCE, np.array(NAMES), FOLDS)
    alone, grouped = (float(said.split("up to ")[1].split()[0]) for said in (check(), check(np.arange(N) // 4)))
    assert grouped - 0.5 == pytest.approx(2 * (alone - 0.5), abs=2e-3)
    with pytest.raises(StackError, match="too few images for a self-check: the 120 tested, in 2 groups"):
        check(np.arange(N) % 2)


def test_a_label_in_too_few_images_is_not_judged() -> None:
    presence = PRESENCE.copy()
    presence[:, 1] = 0
    presence[7, 1] = 1
    said = check_ranked_at_chance({"mean": predictions(scored(99, seed=9))}, presence, np.array(NAMES), FOLDS)
    assert said.endswith("1 label in too few images could not be checked.")
    assert "of 2 labels" in said


# The whole check


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    splits = ["test" if i % 3 == 0 else "train" for i in range(N)]
    return fill(tmp_path, PRESENCE, index_of(texts_of(PRESENCE), splits=splits))


@pytest.mark.parametrize("asked", [{}, {"split": "test"}, {"cv": 2, "seed": 3}])
def test_features_that_know_the_true_labels_alone_pass(store: FeatureStore, asked: dict[str, object]) -> None:
    found = run_self_check(store, task="multilabel", options=FIXED, n_jobs=1, **asked)  # type: ignore[arg-type]
    assert found.startswith("self-check passed: with shuffled labels, ")
    assert re.search(r"[35] models of [23] labels", found)  # of the smaller test part one label is in too few images


def test_features_that_give_the_shuffled_labels_away_fail(tmp_path: Path) -> None:
    texts = texts_of(PRESENCE)
    names, seen = read_presence(shuffle_labels(np.array(texts), None, seed=3))
    assert tuple(names) == NAMES
    store = fill(tmp_path, seen, index_of(texts))
    with pytest.raises(StackError, match=r"self-check failed: .*ranks '(cat|indoor|night)'"):
        run_self_check(store, task="multilabel", seed=3, options=FIXED, n_jobs=1)


def test_rare_labels_are_left_out(tmp_path: Path) -> None:
    presence = np.column_stack([PRESENCE, np.arange(N) < 4]).astype(np.int8)
    store = fill(tmp_path, presence, index_of(texts_of(presence, (*NAMES, "rare"))))
    for seed in range(3):
        found = run_self_check(store, task="multilabel", seed=seed, options=FIXED, n_jobs=1)
        assert found.startswith("self-check passed")


def test_numbers_and_labels_of_another_form_are_refused(tmp_path: Path, make_cache: MakeCache) -> None:
    numbers = make_cache(tmp_path, [str(i % 7) for i in range(60)])
    with pytest.raises(UsageError, match="of classes and labels, not of --task regression"):
        run_self_check(numbers, task="regression")
    with pytest.raises(UsageError, match="those of the dataset 'photos' have one each"):
        run_self_check(numbers, task="multilabel")
