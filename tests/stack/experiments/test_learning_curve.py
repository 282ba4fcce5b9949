"""The learning curve: the experiment's own folds and options, on nested shares of each training part."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.stack import Experiment, Fold, MetaOptions, StackOptions, evaluate, run_experiment
from stackbone.stack.experiments.learning_curve import SIZES, learning_curves
from stackbone.stack.experiments.subsets import nested_order, take_share
from tests.made.learners import evaluate_numbers

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 150
LABELS = [f"class {i % 2}" for i in range(N)]
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=0.1))
Make = Callable[..., FeatureStore]


@pytest.fixture
def store(tmp_path: Path, make_cache: Make) -> FeatureStore:
    return make_cache(tmp_path, LABELS, noise=3.0)


def test_points_are_what_evaluate_gives_on_those_rows(store: FeatureStore) -> None:
    experiment = run_experiment(store, options=FIXED, recipes=["oof"])
    single, stack = learning_curves(experiment, store)
    best = experiment.evaluation.best("lr:")
    assert best is not None
    assert [single.model, stack.model] == [best.model, "stack:oof"]
    assert single.n == stack.n
    assert single.n == [12, 22, 36, 60, 100], "six of a class at the least, and each about 1.7 times the last"

    codes = np.unique(LABELS, return_inverse=True)[1].astype(np.int64)
    share = float(np.geomspace(0.12, 1, SIZES)[2])
    parts = [
        Fold(take_share(nested_order(f.train, codes, np.arange(N), 0), codes, share), f.test) for f in experiment.folds
    ]
    joined = experiment.joined
    expected = evaluate(
        joined.blocks, joined.labels, parts, recipes=["oof"], baselines=False, options=FIXED, digests=joined.digests
    )
    for curve in (single, stack):
        score = expected.score(curve.model)
        assert [curve.mean[2], curve.std[2]] == pytest.approx([score.mean, score.std])
        whole = experiment.evaluation.score(curve.model)
        assert [curve.mean[-1], curve.std[-1]] == pytest.approx([whole.mean, whole.std])


def test_fits_are_kept_for_the_next_time(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = run_experiment(store, options=FIXED, recipes=["oof"])
    told: list[tuple[str, int, int]] = []
    first = learning_curves(experiment, store, progress=lambda *step: told.append(step))
    assert told[0] == ("learning curve", 0, 15)
    assert told[-1] == ("learning curve", 15, 15)
    monkeypatch.setattr(
        sys.modules["stackbone.stack.learners.bases.lr"],
        "score_classes",
        lambda *_: pytest.fail("a fit was run again"),
    )
    assert learning_curves(experiment, store) == first


def test_of_repeats_the_first_alone_is_drawn(store: FeatureStore) -> None:
    experiment = run_experiment(store, cv=2, repeats=2, options=FIXED, recipes=["oof"])
    single, _ = learning_curves(experiment, store)
    assert single.mean[-1] == pytest.approx(np.mean(experiment.evaluation.score(single.model).folds[:2]))


def test_a_single_split_and_groups_have_a_curve(tmp_path: Path, make_cache: Make) -> None:
    groups = [f"patient {i // 6}" for i in range(N)]
    splits = ["test" if i < 60 else "train" for i in range(N)]
    store = make_cache(tmp_path, LABELS, splits=splits, groups=groups)
    experiment = run_experiment(store, split="test", options=FIXED, recipes=["oof"])
    single, stack = learning_curves(experiment, store)
    assert single.n[-1] == 90
    assert stack.std == [0.0] * len(stack.n)


def test_without_the_oof_recipe_the_single_backbone_is_drawn_alone(store: FeatureStore) -> None:
    experiment = run_experiment(store, cv=2, options=FIXED, recipes=["published"])
    [single] = learning_curves(experiment, store)
    assert single.mean[-1] == pytest.approx(experiment.evaluation.score(single.model).mean)


def test_too_few_images_give_one_point(tmp_path: Path, make_cache: Make) -> None:
    store = make_cache(tmp_path, LABELS[:16])
    experiment = run_experiment(store, cv=2, options=FIXED, recipes=["oof"])
    assert [each.n for each in learning_curves(experiment, store)] == [[8], [8]]


@pytest.fixture
def numbers(tmp_path: Path, make_cache: Make) -> tuple[FeatureStore, Experiment]:
    store = make_cache(tmp_path / "numbers", [str(i) for i in range(N)], noise=20.0)
    return store, run_experiment(store, task="regression")


def test_a_regression_has_a_curve_of_its_chief_score(numbers: tuple[FeatureStore, Experiment]) -> None:
    store, experiment = numbers
    single, stack = learning_curves(experiment, store)
    assert single.model.startswith("ridge:")
    assert (stack.n[0], stack.n[-1]) == (20, 100)
    same = np.zeros(N, np.int64)
    parts = [
        Fold(take_share(nested_order(f.train, same, np.arange(N), 0), same, 0.2), f.test) for f in experiment.folds
    ]
    expected = evaluate_numbers(
        experiment.joined.blocks, np.arange(N, dtype=np.float64), parts, digests=experiment.joined.digests
    )
    assert stack.mean[0] == pytest.approx(expected.score("stack:oof").mean)
    assert stack.mean[-1] == pytest.approx(experiment.evaluation.score("stack:oof").mean)
