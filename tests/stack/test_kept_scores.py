"""Scores in a cache whose shards are forgotten, made again, repaired or merged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSet, FeatureStore
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.stack import Evaluation, Experiment, run_experiment, stack_options

pytestmark = pytest.mark.usefixtures("one_blas_thread")

LABELS = ["cat", "dog", "emu"] * 10
N_FITS = 2 * (2 + 2 + 1)  # of two folds: lr and svm of both backbones, concat


@pytest.fixture
def store(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> FeatureStore:
    return make_cache(tmp_path / "features", LABELS)


def n_from_cache(experiment: Experiment) -> int:
    assert isinstance(experiment.evaluation, Evaluation)
    return experiment.evaluation.n_from_cache


def score(store: FeatureStore) -> Experiment:
    options = stack_options("classification", c=0.1, inner_splits=2)
    return run_experiment(store, cv=2, recipes=["oof"], options=options, n_jobs=1)


def change_rows(feature_set: FeatureSet, rows: slice) -> None:
    """Put other features of some images in place of a feature set's, as another engine or a repair would."""
    header, digests = feature_set.header(), feature_set.digests()
    x = feature_set.load(digests)
    x[rows] += np.float32(1e-3)
    for path in feature_set.shards():
        path.unlink()
    feature_set.append(header.spec, digests, x, {"engine": "openvino"})


@pytest.mark.parametrize("rows", [slice(None), slice(7, 8), slice(-1, None)], ids=["all", "one", "the last"])
def test_features_changed_under_the_same_id_have_scores_of_their_own(store: FeatureStore, rows: slice) -> None:
    before = score(store)
    first, second = store.feature_sets()
    change_rows(first, rows)
    assert [each.id for each in store.feature_sets()] == [first.id, second.id]
    found = score(store)
    assert n_from_cache(found) == 4  # lr and svm of the other backbone
    fresh = FeatureStore(store.root)
    for path in store.scores_folder.iterdir():
        path.unlink()
    assert [each.to_dict() for each in found.evaluation.results] == [
        each.to_dict() for each in score(fresh).evaluation.results
    ]
    assert before.evaluation.results != found.evaluation.results


def test_a_forgotten_and_repeated_extraction_of_other_features_finds_no_old_score(store: FeatureStore) -> None:
    score(store)
    first = store.feature_sets()[0]
    spec, digests, x = first.header().spec, first.digests(), first.load(first.digests())
    plan_forget(store, [first.id], unused=False).run()
    first.append(spec, digests, -x, {"engine": "torch"})
    found = score(store)
    assert n_from_cache(found) == 4  # lr and svm of the other backbone


def test_the_same_features_made_again_find_their_scores(store: FeatureStore) -> None:
    score(store)
    first = store.feature_sets()[0]
    spec, digests, x = first.header().spec, first.digests(), first.load(first.digests())
    for path in first.shards():
        path.unlink()
    order = np.random.default_rng(0).permutation(len(digests))
    for rows in (order[:11], order[11:]):  # in other shards and another order
        first.append(spec, digests[rows], x[rows], {"engine": "torch"})
    again = score(store)
    assert n_from_cache(again) == N_FITS


def test_compact_loses_no_score(store: FeatureStore) -> None:
    first = store.feature_sets()[0]
    spec, digests, x = first.header().spec, first.digests(), first.load(first.digests())
    first.append(spec, digests[:5], x[:5], {"engine": "openvino"})
    before = score(store)
    names = first.shards()
    assert compact(first).shards_after == 1
    assert first.shards() != names
    after = score(store)
    assert n_from_cache(after) == N_FITS
    assert after.evaluation.results == before.evaluation.results


def test_a_forgotten_dataset_takes_its_scores_along(store: FeatureStore) -> None:
    score(store)
    assert any(store.scores_folder.iterdir())
    plan_forget(store, ["photos"], unused=False).run()
    assert not any(store.scores_folder.iterdir())
