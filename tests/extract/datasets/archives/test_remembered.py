"""Archives that did not change are listed from the index, unless more of what they hold can be read now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.corrections.batch import Batch
from stackbone.cache.disk import digest
from stackbone.extract.datasets.archives import members
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.indexing import preview
from stackbone.extract.images import formats
from tests.made.archives import write_archive


@pytest.fixture
def decoders(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let tests say which decoders are installed, and trust the stamps of files that are new."""
    monkeypatch.setattr(digest, "_RACY_NS", -(10**12))
    yield monkeypatch
    monkeypatch.undo()
    formats.decodable_extensions.cache_clear()


def install(decoders: pytest.MonkeyPatch, *names: str) -> None:
    here = tuple(replace(each, is_here=partial(names.__contains__, each.name)) for each in formats.DECODERS)
    decoders.setattr(formats, "DECODERS", here)
    formats.decodable_extensions.cache_clear()


def test_members_that_a_new_decoder_reads_are_listed(tmp_path: Path, decoders: pytest.MonkeyPatch) -> None:
    file = write_archive(tmp_path / "photos.zip", {"a/1.jpg": b"1", "a/2.heic": b"2", "a/3.jxl": b"3"})
    store = FeatureStore(tmp_path / "cache")

    def listed() -> list[str]:
        dataset = open_dataset(file, store=store)
        preview(dataset, None, store, write=True)
        return dataset.paths

    install(decoders)
    assert listed() == ["photos.zip/a/1.jpg"]
    install(decoders, "HEIC")
    assert listed() == ["photos.zip/a/1.jpg", "photos.zip/a/2.heic"]
    install(decoders, "HEIC", "JPEG XL")
    assert listed() == ["photos.zip/a/1.jpg", "photos.zip/a/2.heic", "photos.zip/a/3.jxl"]
    decoders.setattr(members, "open_container", None)  # so that no archive can be opened
    assert listed() == ["photos.zip/a/1.jpg", "photos.zip/a/2.heic", "photos.zip/a/3.jxl"]


def test_corrected_labels_are_not_taken_for_those_that_archives_say(
    tmp_path: Path, decoders: pytest.MonkeyPatch
) -> None:
    file = write_archive(tmp_path / "photos.zip", {"cat/1.jpg": b"1", "dog/2.jpg": b"2"})
    store = FeatureStore(tmp_path / "cache")
    preview(open_dataset(file, store=store), None, store, write=True)
    index = store.dataset("photos")
    store.add_corrections("photos", Batch(index.path[:1], ["dog"], ["cat"], index.image_sha256[:1], "", "fixes.csv"))
    decoders.setattr(members, "open_container", None)  # so that no archive can be opened
    for _ in range(2):
        dataset = open_dataset(file, store=store)
        assert dataset.labels == ["cat", "dog"]
        preview(dataset, None, store, write=True)
        assert store.dataset("photos").label == ["dog", "dog"]
    store.undo_corrections("photos")
    assert store.dataset("photos").label == ["cat", "dog"]
