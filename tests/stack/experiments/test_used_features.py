"""A report looks at the very features that each fold was scored on, and at none that have left the cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, FeatureStore
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.experiments.used_features import load_block, used_features
from tests.made.caches import on_disk

LABELS = [f"class {i % 3}" for i in range(60)]


@pytest.fixture
def store(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> FeatureStore:
    return make_cache(tmp_path, LABELS, backbones=["resnet50", "toast0", "toast1", "toast2"])


@pytest.fixture
def experiment(store: FeatureStore) -> Experiment:
    names = ["resnet50", "toast0"]
    return run_experiment(store, backbones=names, recipes=["oof"], options=StackOptions(c=0.1, inner_splits=2))


@pytest.fixture
def steered(monkeypatch: pytest.MonkeyPatch, experiment: Experiment, store: FeatureStore) -> Experiment:
    """Return an experiment with a backbone that has features of its own in each fold."""
    ids = {each.backbone: each.id for each in store.feature_sets()}
    backbones = {"resnet50": ids["resnet50"], "toast": [ids[f"toast{fold}"] for fold in range(3)]}
    monkeypatch.setattr(Experiment, "backbones", backbones)
    return experiment


def test_plain_features_serve_every_fold_and_are_not_read_again(experiment: Experiment, store: FeatureStore) -> None:
    first, _ = used_features(experiment, store)
    assert (first.name, first.per_fold) == ("resnet50", False)
    assert [first.of_fold(fold).id for fold in range(3)] == [experiment.backbones["resnet50"]] * 3
    assert load_block(experiment, first, 2) is experiment.joined.blocks["resnet50"]


def test_steered_features_are_those_of_the_fold(steered: Experiment, store: FeatureStore) -> None:
    _, used = used_features(steered, store)
    assert (used.name, used.per_fold) == ("toast", True)
    for fold in range(3):
        assert used.of_fold(fold).backbone == f"toast{fold}"
        expected = used.of_fold(fold).load(steered.joined.digests)
        np.testing.assert_array_equal(load_block(steered, used, fold), expected)


def test_features_that_left_the_cache_are_named(experiment: Experiment, store: FeatureStore) -> None:
    identity = experiment.backbones["toast0"]
    assert isinstance(identity, str)
    shutil.rmtree(on_disk(store.root / identity))
    with pytest.raises(CacheError, match=rf"no feature set {identity} any more.*stackbone extract"):
        used_features(experiment, store)
