"""An index of faiss answers as a comparison with every image does, nearly, and is kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, FeatureStore
from stackbone.stack.exploring import approximate
from stackbone.stack.exploring.search import search
from tests.conftest import MakeCache

pytest.importorskip("faiss", reason="no faiss: run `pip install 'stackbone[search]'`")
pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__:DeprecationWarning")  # of SWIG

LABELS = ["cat", "dog", "emu"] * 400


@pytest.fixture
def store(tmp_path: Path, make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """Return a cache of 1,200 images, which are many."""
    monkeypatch.setattr(approximate, "MANY", 1000)
    monkeypatch.setenv("STACKBONE_SEARCH", str(tmp_path / "search"))
    return make_cache(tmp_path / "features", LABELS, dim=16)


def kept(folder: Path) -> list[str]:
    return sorted(os.listdir(folder / "search")) if (folder / "search").is_dir() else []


@pytest.mark.parametrize("backbones", ["vgg19", None])
def test_it_finds_nearly_what_is_nearest_and_is_kept(
    store: FeatureStore, tmp_path: Path, backbones: str | None
) -> None:
    queries = [store.dataset().path[row] for row in range(0, 1200, 40)]
    exact = search(queries, store, backbones=backbones, k=10, exact=True)
    assert kept(tmp_path) == []
    found = search(queries, store, backbones=backbones, k=10)
    files = kept(tmp_path)
    assert len(files) == len(found.backbones)
    assert any("may have missed some of the nearest; --exact" in note for note in found.notes)
    same = [len({hit.path for hit in found.of(each)} & {hit.path for hit in exact.of(each)}) for each in queries]
    assert all(len(found.of(each)) == 11 for each in queries)
    assert np.mean(same) > 6
    assert all(found.of(each)[0].path == each for each in queries)
    by_path = {(hit.query, hit.path): hit.similarity for hit in exact.hits}
    shared = [(hit.similarity, by_path[hit.query, hit.path]) for hit in found.hits if (hit.query, hit.path) in by_path]
    got, wanted = np.transpose(shared)
    np.testing.assert_allclose(got, wanted, atol=2e-3)
    before = [(tmp_path / "search" / name).stat().st_mtime_ns for name in files]
    again = search(queries, store, backbones=backbones, k=10)
    assert again.hits == found.hits
    assert [(tmp_path / "search" / name).stat().st_mtime_ns for name in kept(tmp_path)] == before


@pytest.mark.parametrize("k", [600, 1199])
def test_as_many_are_found_as_are_asked_for(store: FeatureStore, k: int) -> None:
    found = search("cat/0.jpg", store, backbones="vgg19", k=k)
    assert len({hit.path for hit in found.hits}) == k + 1


@pytest.mark.parametrize("content", [b"", b"no index", None])
def test_an_index_that_is_damaged_is_made_again(store: FeatureStore, tmp_path: Path, content: bytes | None) -> None:
    found = search("cat/0.jpg", store, backbones="vgg19", k=5)
    (name,) = kept(tmp_path)
    file = tmp_path / "search" / name
    file.write_bytes(file.read_bytes()[:2000] if content is None else content)
    assert search("cat/0.jpg", store, backbones="vgg19", k=5).hits == found.hits
    assert kept(tmp_path) == [name]


def test_an_index_that_cannot_be_kept_is_told(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STACKBONE_SEARCH", str(tmp_path / "file" / "search"))
    with pytest.raises(CacheError, match="STACKBONE_SEARCH, or compare with every image: --exact"):
        search("cat/0.jpg", store, backbones="vgg19")


def test_without_faiss_every_image_is_compared(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approximate, "is_installed", lambda: False)
    found = search("cat/0.jpg", store, k=5)
    assert (found.notes, kept(tmp_path)) == ([], [])
