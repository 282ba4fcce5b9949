"""Maps show the features that were scored; of steered ones, images that the steering never saw alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.progress import silent
from stackbone.stack import Experiment, StackOptions, run_experiment
from stackbone.stack.clustering.methods import divide
from stackbone.stack.clustering.reduced import reduced
from stackbone.stack.experiments.used_features import UsedFeatures, load_block
from stackbone.stack.models.unlike.novelty import unit_rows
from stackbone.stack.report.blocks import Page
from stackbone.stack.report.catalogue.collect import Suspect, collect_catalogue, find_suspects
from stackbone.stack.report.context import Context, ReportOptions
from stackbone.stack.report.embedding_maps import embedding_maps
from stackbone.stack.report.sections.single.check import Check, CheckRecord

LABELS = [f"class {i % 3}" for i in range(60)]


@pytest.fixture
def store(tmp_path: Path, make_cache: Callable[..., FeatureStore]) -> FeatureStore:
    return make_cache(tmp_path, LABELS, backbones=["resnet50", "toast0", "toast1", "toast2"])


@pytest.fixture
def experiment(store: FeatureStore) -> Experiment:
    names = ["resnet50", "toast0"]
    return run_experiment(store, backbones=names, recipes=["oof"], options=StackOptions(c=0.1, inner_splits=2))


def test_a_map_of_steered_features_shows_unseen_images_alone(
    monkeypatch: pytest.MonkeyPatch, experiment: Experiment, store: FeatureStore
) -> None:
    ids = {each.backbone: each.id for each in store.feature_sets()}
    backbones = {"resnet50": ids["resnet50"], "toast": [ids[f"toast{fold}"] for fold in range(3)]}
    monkeypatch.setattr(Experiment, "backbones", backbones)
    context = Context(experiment, store, ReportOptions(projection="pca"))
    plain, toast = embedding_maps(context)
    assert len(plain.rows) == len(plain.projection.points) == 60
    test = experiment.folds[0].test
    assert len(toast.projection.points) == len(test)
    assert toast.codes is not None
    np.testing.assert_array_equal(toast.codes, context.codes[test])
    np.testing.assert_array_equal(toast.rows, experiment.joined.rows[test])
    assert toast.values is None
    x = context.plain_blocks["resnet50"][context.shown]
    expected = divide(reduced({"resnet50": unit_rows(x)}, experiment.seed), "kmeans", 3, experiment.seed, silent).codes
    np.testing.assert_array_equal(plain.clusters, expected)
    assert toast.clusters is not None
    assert len(toast.clusters) == len(test)


def test_many_images_are_a_sample_and_as_many_are_pictured_as_asked_for(
    experiment: Experiment, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackbone.stack.report.context.MOST_POINTS", 30)
    context = Context(experiment, store, ReportOptions(projection="pca", max_thumbnails=12))
    context.fill_images()
    for each in embedding_maps(context):
        assert each.codes is not None
        assert np.bincount(each.codes).tolist() == [10, 10, 10]
        assert np.isin(each.rows, list(context.images)).sum() == len(context.images) == 12
    known = collect_catalogue(context)
    assert (len(known.rows), known.n_in_all) == (30, 60)


@pytest.mark.parametrize(
    ("steered", "most", "asked"), [(False, 60, True), (False, 59, False), (True, 60, False)], ids=str
)
def test_neighbours_speak_only_where_they_were_asked(
    experiment: Experiment,
    store: FeatureStore,
    monkeypatch: pytest.MonkeyPatch,
    steered: bool,  # noqa: FBT001 - of a table
    most: int,
    asked: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr("stackbone.stack.report.catalogue.collect.MOST_COMPARED", most)
    if steered:
        ids = [each.id for each in store.feature_sets() if each.backbone.startswith("toast")]
        monkeypatch.setattr(Experiment, "backbones", {"toast": ids})
    context = Context(experiment, store, ReportOptions(projection="pca"))
    assert find_suspects(context)[1] is asked
    record = CheckRecord([Suspect(0, "class 0", "class 1", 0.9, 2, 2)], 1, by_neighbours=asked)
    context.images.add([0])
    text = Check().html(record, Page({}, context.images.records()))
    assert ("and its neighbours" in str(text)) is asked
    assert "that classifiers which never saw the image" in str(text)


def test_features_are_loaded_once(experiment: Experiment, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(experiment: Experiment, used: UsedFeatures, number: int) -> NDArray[np.float32]:
        loaded.append(used.name)
        return load_block(experiment, used, number)

    monkeypatch.setattr("stackbone.stack.report.context.load_block", load)
    context = Context(experiment, store, ReportOptions(projection="pca"))
    embedding_maps(context)
    find_suspects(context)
    collect_catalogue(context)
    assert loaded == ["resnet50", "toast0"]


def test_progress_is_told_of_each_map(experiment: Experiment, store: FeatureStore) -> None:
    told: list[tuple[str, int, int]] = []
    embedding_maps(Context(experiment, store, ReportOptions("pca"), lambda *step: told.append(step)))
    assert told == [("projecting", 0, 2), ("projecting", 1, 2), ("projecting", 2, 2)]
