"""A worker embeds pieces as a run on one machine would, commits them, and says what it did."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackbone.cache import FeatureStore, UsageError, WeightsError, empty_index
from stackbone.cache.disk.files import mark_folder
from stackbone.cache.errors import ClusterError
from stackbone.extract import open_dataset
from stackbone.extract.embedding.cluster.driver import embed_on_cluster
from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.cluster.worker import Order, Worker
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import Profile
from stackbone.extract.embedding.plan import EngineOptions, distinct_images
from stackbone.extract.embedding.spread.job import Job, find_job
from tests.made.photos import write_photos

LITES = "efficientnet_lite0,efficientnet_lite1"


@pytest.fixture
def images(tmp_path: Path) -> Images:
    """Ten images, of which one is damaged and one has a remark."""
    folder = write_photos(tmp_path / "photos", range(9))
    (folder / "02.png").write_bytes(b"no image")
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    dataset = open_dataset(folder)
    found = list_dataset(dataset, empty_index("photos", ""), lambda *_: None)
    return distinct_images(dataset.root, dataset.paths, found.digests, np.ones(len(dataset.paths), np.bool_))


@pytest.fixture
def job() -> Job:
    return find_job(LITES, random_seed=0, on=EngineOptions())


@pytest.fixture
def worker(job: Job, images: Images, store: FeatureStore) -> Worker:
    Path(str(store.root)).mkdir()
    gone_over: Worker = pickle.loads(pickle.dumps(Worker(job, wanted(job, store), store.root, images.root)))
    return gone_over


def wanted(job: Job, store: FeatureStore) -> frozenset[str]:
    return frozenset(each.id for _, _, each in job.feature_sets(store))


def order(images: Images, job: Job, store: FeatureStore, *, again: bool = False) -> Order:
    lacking = {each.id: each.missing(images.digests) for _, _, each in job.feature_sets(store)}
    return Order([images.paths[row] for row in images.rows.tolist()], images.digests, None if again else lacking)


def test_a_piece_is_committed_and_told(
    worker: Worker, images: Images, job: Job, store: FeatureStore, counts: dict[str, int]
) -> None:
    worker.prepare(None)
    outcome = worker.embed(order(images, job, store))
    assert outcome.error is None
    assert dict.fromkeys(wanted(job, store), 9) == outcome.n_embedded
    assert counts == {"efficientnet_lite0": 9, "efficientnet_lite1": 9}
    assert [each.lasting for each in outcome.failed.values()] == [True]
    assert len(outcome.remarks) == 1
    assert {key: passes.n_run for key, passes in outcome.passes.items()} == dict.fromkeys(counts, 9)
    assert worker.progress() == (10, 26)  # and of two networks each: it, three batches begun and ended, a commit
    assert sum(int(each.missing(images.digests).sum()) for each in store.feature_sets()) == 2


@pytest.mark.usefixtures("counts")
def test_of_a_lost_piece_what_is_committed_is_told_and_not_computed_again(
    worker: Worker, images: Images, job: Job, store: FeatureStore, counts: dict[str, int]
) -> None:
    first = worker.embed(order(images, job, store))
    counts.clear()
    before = worker.progress()[1]
    again = worker.embed(order(images, job, store, again=True))
    assert counts == {}
    assert worker.progress()[1] > before  # or it would be taken for one that hangs
    assert set(again.n_embedded.values()) == {0}
    assert again.remarks == first.remarks
    assert again.failed.keys() == first.failed.keys()


@pytest.mark.usefixtures("counts")
def test_networks_stay_from_piece_to_piece(worker: Worker, images: Images, job: Job, store: FeatureStore) -> None:
    first = worker.embed(order(images, job, store))
    engines = dict(worker._engines)
    for each in store.feature_sets():
        for shard in each.shards():
            Path(str(shard)).unlink()
    again = worker.embed(order(images, job, store))
    assert again.n_embedded == first.n_embedded
    assert all(worker._engines[key] is engine for key, engine in engines.items())
    assert all(passes.start_seconds < 0.1 for passes in again.passes.values())


@pytest.mark.usefixtures("counts")
def test_a_stopped_worker_commits_what_it_computed(
    worker: Worker, images: Images, job: Job, store: FeatureStore
) -> None:
    worker.stop()
    outcome = worker.embed(order(images, job, store))
    assert outcome.error is None
    assert worker.progress()[0] == 1
    assert set(outcome.n_embedded.values()) <= {0, 1}


@pytest.mark.usefixtures("counts")
def test_what_stops_a_run_is_handed_back(
    worker: Worker, images: Images, job: Job, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        message = "the disk is full"
        raise WeightsError(message)

    monkeypatch.setattr("stackbone.extract.embedding.cluster.worker.embed_images", full)
    outcome = pickle.loads(pickle.dumps(worker.embed(order(images, job, store))))
    assert isinstance(outcome.error, WeightsError)
    assert str(outcome.error) == "the disk is full"


def test_a_machine_that_does_not_see_the_files_says_which(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"does not see the dataset in .*elsewhere: mount it there"):
        replace(worker, root=tmp_path / "elsewhere").prepare(None)
    with pytest.raises(ClusterError, match="does not see the cache"):
        replace(worker, cache=tmp_path / "nowhere").prepare(None)


def test_a_machine_with_another_folder_of_the_same_name_says_so(worker: Worker, tmp_path: Path) -> None:
    """Or it would write its shards to where nobody looks."""
    with mark_folder(tmp_path) as mark:
        replace(worker, mark=mark).prepare(None)
    with pytest.raises(ClusterError, match=r"has another folder than the run as the cache .*: mount the run's there"):
        replace(worker, mark=mark).prepare(None)


def test_weights_are_found_where_this_machine_has_them(store: FeatureStore, images: Images, tmp_path: Path) -> None:
    job = find_job("efficientnet_lite0", on=EngineOptions())
    (key,) = job.weights
    Path(str(store.root)).mkdir()
    elsewhere = replace(job, weights={key: replace(job.weights[key], path=tmp_path / "gone.pth")})
    worker = Worker(elsewhere, frozenset(), store.root, images.root)
    worker.prepare(None)
    assert worker.job.weights == job.weights
    other = replace(elsewhere.weights[key], identity="sha256:00")
    with pytest.raises(ClusterError, match="has other weights of efficientnet_lite0"):
        Worker(replace(elsewhere, weights={key: other}), frozenset(), store.root, images.root).prepare(None)


def test_images_in_memory_stay_on_this_machine(job: Job, store: FeatureStore) -> None:
    dataset = open_dataset(np.zeros((2, 8, 8, 3), np.uint8), name="arrays")
    found = list_dataset(dataset, empty_index("arrays", ""), lambda *_: None)
    images = distinct_images(dataset.root, dataset.paths, found.digests, np.ones(2, np.bool_), dataset.arrays)
    embedders = job.embedders(job.fillings(store, images))
    options = ClusterOptions("local")
    with pytest.raises(UsageError, match="--ray is for files"):
        embed_on_cluster(
            images, embedders, job, store.root, options, profile=Profile(), remarks={}, on_progress=lambda *_: None
        )
