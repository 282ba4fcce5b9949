"""Clusters of images that were made to lie together, by every method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.progress import silent
from stackbone.stack.clustering import methods, reduced
from stackbone.stack.clustering.methods import METHODS, divide
from stackbone.stack.clustering.reduced import components
from stackbone.stack.exploring.clusters.cluster import cluster
from tests.conftest import MakeCache

LABELS = ["cat"] * 30 + ["dog"] * 20 + ["emu"] * 12


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache whose classes lie well apart."""
    return make_cache(tmp_path, LABELS, noise=0.3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("backbones", [None, "vgg19"])
def test_what_lies_apart_is_told_apart_without_a_number(
    store: FeatureStore, method: str, backbones: str | None
) -> None:
    found = cluster(store, method=method, backbones=backbones)
    assert [(each.number, each.name) for each in found.clusters] == [(1, "cat"), (2, "dog"), (3, "emu")]
    assert found.agreement is not None
    assert found.agreement.ari == pytest.approx(1)
    if method != "hdbscan":
        assert [each.size for each in found.clusters] == [30, 20, 12]
        assert max(found.silhouettes, key=lambda n: found.silhouettes[n]) == 3


@pytest.mark.parametrize("method", ["kmeans", "agglomerative"])
@pytest.mark.parametrize("n", [1, 2, 5, 62])
def test_a_number_that_is_given_is_kept(store: FeatureStore, method: str, n: int) -> None:
    found = cluster(store, method=method, n_clusters=n)
    assert len(found.clusters) == n
    assert sum(each.size for each in found.clusters) == 62
    assert found.silhouettes == {}


def test_agreement_is_that_of_scikit_learn(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat", "dog", ""] * 20, noise=2.5)
    found = cluster(store, n_clusters=4)
    labelled = np.array(found.labels) != ""
    labels, codes = np.array(found.labels)[labelled], found.codes[labelled]
    assert found.agreement is not None
    assert found.agreement.n_images == 40
    assert found.agreement.ari == pytest.approx(adjusted_rand_score(labels, codes))
    assert found.agreement.nmi == pytest.approx(normalized_mutual_info_score(labels, codes))


def test_agglomerative_is_that_of_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(size=(80, 6))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    found = divide(x, "agglomerative", 7, 0, silent).codes
    wanted = AgglomerativeClustering(7, metric="cosine", linkage="average").fit_predict(x)
    assert adjusted_rand_score(found, wanted) == pytest.approx(1)


def test_a_cluster_is_called_by_its_majority_and_shows_the_nearest_to_its_centre_first(
    tmp_path: Path, make_cache: MakeCache
) -> None:
    store = make_cache(tmp_path, LABELS, noise=0.3)
    labels = ["dog" if row < 6 else "" if row < 15 else label for row, label in enumerate(LABELS)]
    store.write_dataset(replace(store.dataset(), label=labels))
    first = cluster(store, n_clusters=3).clusters[0]
    assert (first.name, first.size) == ("cat", 30)
    assert first.share == pytest.approx(15 / 21)
    found = cluster(store, n_clusters=3)
    closeness = found.closeness[list(first.members)]
    assert (np.diff(closeness) <= 0).all()
    assert first.closeness == pytest.approx(closeness.mean())


def test_images_without_labels_are_clustered_too(store: FeatureStore) -> None:
    store.write_dataset(replace(store.dataset(), label=[""] * 62))
    found = cluster(store)
    assert [each.size for each in found.clusters] == [30, 20, 12]
    assert [each.name for each in found.clusters] == ["", "", ""]
    assert found.agreement is None
    assert "clusters are not compared with labels: no image has a label" in found.notes
    assert found.columns()["name"][0] == ""


def test_images_of_several_labels_name_clusters_and_are_not_compared(store: FeatureStore) -> None:
    labels = ["cat|pet" if label == "cat" else label for label in LABELS]
    store.write_dataset(replace(store.dataset(), label=labels, label_form="sets"))
    found = cluster(store, n_clusters=3)
    assert found.clusters[0].name == "cat"
    assert "clusters are not compared with labels: an image can have several labels" in found.notes


def test_images_in_no_cluster_have_no_number(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, LABELS, noise=1.2)
    found = cluster(store, method="hdbscan")
    columns = found.columns()
    assert found.alone == columns["cluster"].count(None) > 0
    row = columns["cluster"].index(None)
    assert (columns["name"][row], columns["closeness"][row]) == (None, None)


def test_the_same_seed_gives_the_same_clusters(store: FeatureStore) -> None:
    one, other = cluster(store, n_clusters=5, seed=3), cluster(store, n_clusters=5, seed=3)
    np.testing.assert_array_equal(one.codes, other.codes)


def test_copies_count_once(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat"] * 20 + ["dog"] * 20, content=[*range(20), *range(10), *range(20, 30)])
    assert len(cluster(store, n_clusters=2).paths) == 30


def test_equal_images_fill_fewer_clusters_than_asked(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat", "dog"] * 10, noise=0)
    found = cluster(store, n_clusters=5)
    assert [each.size for each in found.clusters] == [10, 10]
    assert "5 clusters were asked for, and the images lie in 2 places alone" in found.notes


def test_too_many_images_for_all_pairs_are_refused_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.eye(20, dtype=np.float32)
    for method in ("agglomerative", "hdbscan"):
        monkeypatch.setitem(methods._MOST, method, 19)
        with pytest.raises(UsageError, match="Run `stackbone cluster --method kmeans` instead"):
            divide(x, method, None, 0, silent)
    with pytest.raises(UsageError, match="Run `stackbone cluster --method kmeans --clusters 4` instead"):
        divide(x, "agglomerative", 4, 0, silent)


def test_many_images_are_clustered_batch_by_batch(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_WHOLE", 10)
    monkeypatch.setattr(reduced, "_SAMPLE", 40)
    found = cluster(store, n_clusters=3)
    assert found.agreement is not None
    assert found.agreement.ari == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"method": "kmean"}, UsageError, "did you mean 'kmeans'"),
        ({"n_clusters": 0}, UsageError, "ask for 1 or more"),
        ({"n_clusters": 63}, StackError, "ask for 62 or fewer"),
        ({"n_clusters": 3, "method": "hdbscan"}, UsageError, "leave --clusters out"),
        ({"backbones": "resnet51"}, UsageError, "did you mean 'resnet50'"),
    ],
)
def test_wrong_calls_are_refused(
    store: FeatureStore, options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        cluster(store, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_images_are_told(tmp_path: Path, make_cache: MakeCache, n: int) -> None:
    with pytest.raises(StackError, match=r"there is nothing to divide|use --clusters N"):
        cluster(make_cache(tmp_path, ["cat"] * n))


@pytest.mark.parametrize("shape", [(50, 8), (12, 30), (40, 40)])
def test_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    x: NDArray[np.float32] = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = components(x, 5, 0)
    wanted = PCA(5, svd_solver="full").fit_transform(x)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-4)
