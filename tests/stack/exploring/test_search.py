"""Who is nearest to a query, whatever the query is given as; and the neighbours of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import FeatureSpec, FeatureStore, StackError, UsageError
from stackbone.stack.exploring.search import search
from stackbone.stack.exploring.similar import similar
from tests.conftest import MakeCache

LABELS = ["cat", "dog", "emu"] * 8


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache) -> FeatureStore:
    """Return a cache whose row 5 looks like row 0, and whose last file is row 1 again, byte for byte."""
    return make_cache(
        tmp_path / "features", [*LABELS, "dog"], content=[*range(24), 1], near={5: 0}, noise=0.5, root=tmp_path
    )


def features_of(store: FeatureStore, name: str) -> NDArray[np.float64]:
    index = store.dataset()
    found = next(each for each in store.feature_sets() if each.backbone == name)
    x = found.load(index.image_sha256[:24]).astype(np.float64)
    scaled: NDArray[np.float64] = x / np.linalg.norm(x, axis=1, keepdims=True)
    return scaled


@dataclass(frozen=True)
class Made:
    reasons: list[str]
    features: dict[str, NDArray[np.float32]]


def embed_as(row: int) -> object:
    """Return what embeds any file as that row of the cache looks, but for what is called broken."""

    def embed(files: Sequence[str], specs: Mapping[str, FeatureSpec], store: FeatureStore) -> Made:
        digest = store.dataset().image_sha256[row : row + 1]
        reasons = ["cannot be decoded" if "broken" in file else "" for file in files]
        sets = {each.id: each for each in store.feature_sets()}
        assert set(specs) <= set(sets)
        return Made(reasons, {name: np.repeat(sets[name].load(digest), reasons.count(""), 0) for name in specs})

    return embed


@pytest.mark.parametrize("backbone", ["resnet50", "vgg19"])
@pytest.mark.parametrize("k", [1, 4, 23])
def test_one_backbone_ranks_by_cosine(store: FeatureStore, backbone: str, k: int) -> None:
    found = search("dog/4.jpg", store, backbones=backbone, k=k)
    x = features_of(store, backbone)
    cosines = x @ x[4]
    cosines[4] = -2
    order = np.argsort(-cosines, kind="stable")[:k]
    paths = store.dataset().path
    assert [hit.path for hit in found.hits if hit.rank] == [paths[row] for row in order]
    np.testing.assert_allclose([hit.similarity for hit in found.hits if hit.rank], cosines[order], atol=2e-6)
    assert (found.hits[0].rank, found.hits[0].path, found.hits[0].similarity) == (0, "dog/4.jpg", 1.0)


def test_several_backbones_are_fused_by_rank(store: FeatureStore) -> None:
    found = search("cat/0.jpg", store, k=23)
    scores = np.zeros(24)
    for name in ("resnet50", "vgg19"):
        x = features_of(store, name)
        cosines = x @ x[0]
        cosines[0] = -2
        rank = np.empty(24)
        rank[np.argsort(-cosines, kind="stable")] = np.arange(1, 25)
        scores += 1 / (60 + rank)
    scores[0] = -1
    paths = store.dataset().path
    assert [hit.path for hit in found.hits[1:]] == [paths[row] for row in np.lexsort((np.arange(24), -scores))[:23]]
    assert found.hits[1].path == paths[5]
    assert found.hits[1].cosines.keys() == {"resnet50", "vgg19"}
    assert found.hits[1].similarity == pytest.approx(np.mean(list(found.hits[1].cosines.values())), abs=1e-6)


@pytest.mark.parametrize("way", ["path", "whole digest", "first digits", "upper case", "copy"])
def test_an_image_of_the_dataset_is_found_by_any_name_without_a_network(store: FeatureStore, way: str) -> None:
    digest = store.dataset().image_sha256[1].tobytes().hex()
    names = {
        "path": "dog/1.jpg",
        "whole digest": digest,
        "first digits": digest[:9],
        "upper case": digest[:12].upper(),
        "copy": "dog/24.jpg",
    }
    found = search(names[way], store, k=3)
    assert found.hits[0].path == "dog/1.jpg"  # of two files of the same bytes the first
    assert found.hits == [replace(each, query=names[way]) for each in search("dog/1.jpg", store, k=3).hits]
    assert {hit.path for hit in found.hits[1:]}.isdisjoint({"dog/1.jpg", "dog/24.jpg"})


@pytest.mark.parametrize("others", [[], ["cat/0.jpg"], ["emu/2.jpg", "cat/0.jpg"]])
def test_a_file_that_is_not_cached_is_embedded_and_keeps_its_place(
    store: FeatureStore, tmp_path: Path, others: list[str]
) -> None:
    for name in ("new.jpg", "broken.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    asked = [*others, str(tmp_path / "broken.jpg"), str(tmp_path / "new.jpg")]
    found = search(asked, store, k=2, embed=embed_as(7))  # type: ignore[arg-type]
    assert found.queries == [*others, str(tmp_path / "new.jpg")]
    assert found.failed == {str(tmp_path / "broken.jpg"): "cannot be decoded"}
    first = found.of(str(tmp_path / "new.jpg"))[0]
    assert (first.rank, first.path, first.similarity) == (1, "dog/7.jpg", 1.0)
    assert [found.of(each)[0].path for each in others] == others


@pytest.mark.parametrize("text", ["absent.jpg", "cat/00.jpg", "", "deadbeefdeadbeef", "\0", "folder"])
def test_what_means_no_picture_is_told(store: FeatureStore, tmp_path: Path, text: str) -> None:
    (tmp_path / "folder").mkdir()
    asked = str(tmp_path / "folder") if text == "folder" else text
    found = search([asked, "cat/0.jpg"], store, k=1)
    assert list(found.failed) == [asked]
    assert found.queries == ["cat/0.jpg"]
    if text == "cat/00.jpg":
        assert "did you mean 'cat/0.jpg'?" in found.failed[asked]
    with pytest.raises(StackError):
        search(asked, store)


def test_too_few_digits_are_told(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    index = store.dataset()
    digests = index.image_sha256.copy()
    digests[3, :4] = digests[2, :4]
    start = digests[2, :4].tobytes().hex()
    monkeypatch.setattr(FeatureStore, "dataset", lambda *_: replace(index, image_sha256=digests))
    monkeypatch.setattr("stackbone.cache.feature_set.FeatureSet.missing", lambda _, each: np.zeros(len(each), bool))
    with pytest.raises(StackError, match=r"2 images of the dataset .* give more digits"):
        search(start, store)


def test_a_query_that_failed_when_the_dataset_was_listed_says_so(store: FeatureStore) -> None:
    index = store.dataset()
    status, reason = index.status.copy(), list(index.reason)
    status[3], reason[3] = 1, "cut short"
    store.write_dataset(replace(index, status=status, reason=reason))
    with pytest.raises(StackError, match="could not be read when the dataset was extracted: cut short"):
        search("cat/3.jpg", store)


def test_without_a_way_to_embed_a_new_file_is_told(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "new.jpg").write_bytes(b"new")
    with pytest.raises(StackError, match=r"embed=stackbone\.embed_files"):
        search(str(tmp_path / "new.jpg"), store)


@pytest.mark.parametrize("k", [24, 100, 10**9])
def test_more_than_there_are_takes_all_and_says_so(store: FeatureStore, k: int) -> None:
    found = search("cat/0.jpg", store, k=k)
    assert (found.k, len(found.hits)) == (23, 24)
    assert found.notes == [f"{k:,} images were asked for, and there are 23: all are taken"]


@pytest.mark.parametrize("backbones", ["vgg19", None])
@pytest.mark.parametrize("k", [23, 24, 100])
def test_each_query_has_a_limit_of_its_own(store: FeatureStore, tmp_path: Path, k: int, backbones: str | None) -> None:
    (tmp_path / "new.jpg").write_bytes(b"new")
    new = str(tmp_path / "new.jpg")
    found = search(["cat/0.jpg", new], store, k=k, backbones=backbones, embed=embed_as(7))  # type: ignore[arg-type]
    every = {path for path in store.dataset().path if path != "dog/24.jpg"}
    inside, outside = found.of("cat/0.jpg"), found.of(new)
    assert [hit.rank for hit in inside] == list(range(24))
    assert {hit.path for hit in inside} == every
    assert [hit.rank for hit in outside] == list(range(1, min(k, 24) + 1))
    if k >= 24:
        assert {hit.path for hit in outside} == every
    alone = search("cat/0.jpg", store, k=23, backbones=backbones).hits
    assert [hit.path for hit in inside] == [hit.path for hit in alone]
    np.testing.assert_allclose([hit.similarity for hit in inside], [hit.similarity for hit in alone], atol=2e-6)
    there = "there are 24, or 23 beside a query that is one of them: all are taken"
    assert found.notes == ([f"{k:,} images were asked for, and {there}"] if k > 23 else [])


def test_an_image_alone_has_no_neighbour(tmp_path: Path, make_cache: MakeCache) -> None:
    found = search("cat/0.jpg", make_cache(tmp_path, ["cat"]))
    assert [(hit.rank, hit.path) for hit in found.hits] == [(0, "cat/0.jpg")]
    with pytest.raises(StackError, match="1 image, and neighbours take two or more"):
        similar(make_cache(tmp_path, ["cat"]))


@pytest.mark.parametrize(("asked", "k"), [([], 1), ("cat/0.jpg", 0), ("cat/0.jpg", -3)])
def test_wrong_calls_are_refused(store: FeatureStore, asked: list[str] | str, k: int) -> None:
    with pytest.raises(UsageError):
        search(asked, store, k=k)


def test_unlabelled_images_are_found_too(store: FeatureStore) -> None:
    store.write_dataset(replace(store.dataset(), label=[""] * 25))
    assert search("cat/0.jpg", store, k=2).hits[1].label == ""
    found = similar(store)
    assert found.classes == []
    assert "nothing is said of classes: no image has a label" in found.notes


@pytest.mark.parametrize("k", [1, 5, 23])
@pytest.mark.parametrize("backbones", ["vgg19", None])
def test_neighbours_of_every_image_are_those_that_a_search_finds(
    store: FeatureStore, k: int, backbones: str | None
) -> None:
    found = similar(store, k=k, backbones=backbones)
    assert found.n_images == 24
    for image in (0, 5, 11):
        hits = search(found.paths[image], store, k=k, backbones=backbones).hits[1:]
        assert [found.paths[each] for each in found.neighbours[image]] == [hit.path for hit in hits]
        np.testing.assert_allclose(found.similarities[image], [hit.similarity for hit in hits], atol=2e-6)
    columns = found.columns()
    assert {len(each) for each in columns.values()} == {24 * k}
    assert columns["rank"][: k + 1] == [*range(1, k + 1), 1]


def test_classes_tell_how_far_they_keep_to_themselves(store: FeatureStore) -> None:
    found = similar(store, k=3)
    labels = np.array(found.labels)
    for each in found.classes:
        theirs = labels[found.neighbours[labels == each.name]]
        assert each.same == pytest.approx((theirs == each.name).mean())
        assert each.n_images == 8
        if each.mixed_with:
            assert each.mixed == pytest.approx((theirs == each.mixed_with).mean())
    assert [each.same for each in found.classes] == sorted(each.same for each in found.classes)


def test_more_neighbours_than_there_are_takes_all(store: FeatureStore) -> None:
    found = similar(store, k=99)
    assert found.neighbours.shape == (24, 23)
    assert "99 neighbours were asked for, and there are 23 others: all are taken" in found.notes
    with pytest.raises(UsageError):
        similar(store, k=0)


def test_frames_have_the_columns_of_the_files(store: FeatureStore) -> None:
    assert list(search("cat/0.jpg", store, k=2).to_frame().columns)[:3] == ["query", "rank", "path"]
    assert list(similar(store, k=2).to_frame().columns) == [
        *("path", "rank", "neighbour", "similarity", "label", "neighbour_label"),
    ]
