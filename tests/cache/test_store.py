"""A store finds its feature sets and datasets by name, and says what it has when asked for what it lacks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import (
    CacheError,
    CorruptFileError,
    DatasetIndex,
    FeatureStore,
    UsageError,
    default_cache,
)
from stackbone.cache import store as store_module
from stackbone.cache.upkeep.compact import used_digests
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index, on_disk


def write_dataset(store: FeatureStore, name: str, written_s: int, seed: int = 0) -> None:
    store.write_dataset(make_index(name, make_digests(5, seed)))
    os.utime(on_disk(store.root / "datasets" / f"{name}.h5"), (written_s, written_s))


def test_cache_directory_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKBONE_CACHE", raising=False)
    assert FeatureStore().root == default_cache() == Path("features")
    monkeypatch.setenv("STACKBONE_CACHE", "/elsewhere")
    assert FeatureStore().root == Path("/elsewhere")
    assert FeatureStore("here").root == Path("here")


def test_absent_cache_is_empty_and_is_not_made_by_looking(store: FeatureStore) -> None:
    assert store.feature_sets() == []
    assert store.dataset_names() == []
    assert store.remove_abandoned() == 0
    assert not store.root.exists()


def test_feature_sets_are_found_by_folder_name(store: FeatureStore) -> None:
    specs = {"resnet50": SPEC, "timm:convnext_tiny.fb_in22k": replace(SPEC, architecture="convnext_tiny.fb_in22k")}
    digests = make_digests(3)
    for backbone, spec in specs.items():
        store.feature_set(backbone, spec).append(spec, digests, features_of(digests), {})
    for name in (
        "datasets",
        "set-aside",
        "resnet50",
        "resnet50-XYZ",
        "resnet50-0123456789ABC",
        ".resnet50-0123456789ab",
    ):
        on_disk(store.root / name).mkdir()
    on_disk(store.root / "vgg19-0123456789ab").touch()
    found = store.feature_sets()
    assert {each.backbone: each.fingerprint for each in found} == {
        backbone: spec.fingerprint for backbone, spec in specs.items()
    }
    assert [each.id for each in found] == sorted(each.id for each in found)
    for each in found:
        assert each == store.feature_set(each.backbone, specs[each.backbone])
        np.testing.assert_array_equal(each.load(digests), features_of(digests))


def test_covering_feature_sets_hold_every_sound_image(store: FeatureStore) -> None:
    digests = make_digests(10)
    for view, rows in (("plain", digests), ("hflip", digests[:9]), ("half", digests[:8])):
        spec = replace(SPEC, weights=view)
        store.feature_set(view, spec).append(spec, rows, features_of(rows), {})
    on_disk(store.root / f"empty-{SPEC.fingerprint}").mkdir()
    assert [each.backbone for each in store.covering(make_index("photos", digests))] == ["plain"]
    assert [each.backbone for each in store.covering(make_index("photos", digests, failed=[9]))] == ["hflip", "plain"]


def test_dataset_is_by_default_the_latest_written(store: FeatureStore) -> None:
    for name, written_s in (("a", 2_000), ("b", 3_000), ("c", 1_000)):
        write_dataset(store, name, written_s)
    assert store.dataset_names() == ["b", "a", "c"]
    assert store.dataset().name == "b"
    assert store.dataset("c").name == "c"
    write_dataset(store, "c", 4_000, seed=1)
    np.testing.assert_array_equal(store.dataset().image_sha256, make_digests(5, 1))


def test_unknown_dataset_is_answered_with_those_here(store: FeatureStore) -> None:
    write_dataset(store, "flowers", 1_000)
    write_dataset(store, "birds", 2_000)
    for name in ("bird", "../datasets/birds", "", "datasets/birds"):
        with pytest.raises(UsageError, match="it has birds, flowers"):
            store.dataset(name)


def test_cache_without_dataset_says_what_to_run(store: FeatureStore) -> None:
    for name in (None, "photos"):
        with pytest.raises(CacheError, match="stackbone extract FOLDER"):
            store.dataset(name)


def test_files_that_cannot_be_indexes_are_passed_over(store: FeatureStore) -> None:
    write_dataset(store, "photos", 1_000)
    folder = store.root / "datasets"
    for name in ("my photos.h5", ".hidden.h5", ".writing-x", "notes.txt"):
        on_disk(folder / name).touch()
    assert store.dataset_names() == ["photos"]
    assert store.dataset().name == "photos"


@pytest.mark.parametrize("target", ["nowhere.h5", "gone.h5", "/dev/zero", "."])
def test_link_that_leads_to_no_index_is_an_error_that_names_it(store: FeatureStore, target: str) -> None:
    # Not as if there were no such dataset: `forget --unused` would drop its rows while a drive is not mounted.
    write_dataset(store, "photos", 1_000)
    on_disk(store.root / "datasets" / "gone.h5").symlink_to(target)
    assert sorted(store.dataset_names()) == ["gone", "photos"]
    assert store.dataset("photos").name == "photos"
    with pytest.raises(CorruptFileError, match=r"gone\.h5 is not a sound cache file: it is"):
        store.dataset("gone")
    with pytest.raises(CorruptFileError, match=r"gone\.h5"):
        used_digests(store)
    (finding,) = verify(store, repair=True).findings
    assert finding.moved_to is not None
    assert on_disk(finding.moved_to).is_symlink()
    assert store.dataset_names() == ["photos"]


def test_unsafe_dataset_name_is_not_written(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="cannot name a dataset"):
        store.write_dataset(make_index("../evil", make_digests(1)))
    assert not store.root.exists()


def test_damaged_index_is_an_error_that_names_it(store: FeatureStore) -> None:
    write_dataset(store, "photos", 1_000)
    on_disk(store.root / "datasets" / "photos.h5").write_bytes(b"")
    with pytest.raises(CorruptFileError, match=r"photos\.h5"):
        store.dataset()


def test_dataset_forgotten_meanwhile_is_an_error_and_no_traceback(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(store, "photos", 1_000)

    def forgotten(_root: Path, path: Path) -> DatasetIndex:
        raise FileNotFoundError(2, "No such file", str(path))

    monkeypatch.setattr(store_module, "read_whole_index", forgotten)
    with pytest.raises(CacheError, match="removed just now"):
        store.dataset()


def test_abandoned_files_are_removed_everywhere(store: FeatureStore) -> None:
    write_dataset(store, "photos", 1_000)
    digests = make_digests(3)
    feature_set = store.feature_set("resnet50", SPEC)
    feature_set.append(SPEC, digests, features_of(digests), {})
    for folder in (feature_set.folder, store.root / "datasets"):
        on_disk(folder / ".writing-x").touch()
    assert store.remove_abandoned() == 2
    assert not list(on_disk(store.root).rglob(".writing-*"))
    assert not feature_set.missing(digests).any()


@pytest.mark.parametrize("name", ["a/b", "../x", "a-b", "", ".x", "timm.x", "a b", "timm:hf-hub:x/y", "é"])
def test_backbone_whose_folder_would_not_be_found_again_is_refused(store: FeatureStore, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a feature set"):
        store.feature_set(name, SPEC)
