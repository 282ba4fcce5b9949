"""A summary counts what the cache holds, what each dataset lacks, and where labels disagree."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from stackbone.cache import CorruptFileError, FeatureStore
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.dataset_summary import Conflict
from stackbone.cache.upkeep.summary import summarise
from tests.made.caches import SPEC, features_of, make_digests, make_index, on_disk


def test_rows_doubles_shards_and_bytes_are_counted(store: FeatureStore) -> None:
    digests = make_digests(30)
    feature_set = store.feature_set("resnet50", SPEC)
    for start in (0, 5, 10):
        part = digests[start : start + 20]
        feature_set.append(SPEC, part, features_of(part), {"engine": "torch", "device": "cpu"})
    (found,) = summarise(store).feature_sets
    assert (found.n_rows, found.n_doubles, found.n_shards) == (30, 30, 3)
    assert found.n_bytes == sum(on_disk(path).stat().st_size for path in feature_set.folder.iterdir())
    assert (found.header.dim, found.header.dtype, found.header.spec) == (8, "float32", SPEC)
    text = "\n".join(found.lines())
    for words in (feature_set.id, "30 images x 8 float32", "30 doubles", "resnet50.tv_in1k", "fp32", "engine torch"):
        assert words in text
    assert json.loads(json.dumps(found.to_dict()))["spec"]["architecture"] == "resnet50.tv_in1k"


def test_provenance_is_that_of_all_shards_merged_or_not(store: FeatureStore) -> None:
    digests = make_digests(30)
    feature_set = store.feature_set("resnet50", SPEC)
    for i, rate in enumerate(("102.0", "24.2", "35.9")):
        part = digests[10 * i : 10 * i + 10]
        feature_set.append(SPEC, part, features_of(part), {"device": f"cuda:{i}", "images_per_s": rate})
    before = summarise(store).feature_sets[0]
    assert "with device cuda:0, cuda:1, cuda:2, images_per_s 24.2 to 102.0" in "\n".join(before.lines())
    compact(feature_set)
    after = summarise(store).feature_sets[0]
    assert after.n_shards == 1
    assert after.provenance == before.provenance
    assert after.to_dict()["provenance"] == {"device": "cuda:0; cuda:1; cuda:2", "images_per_s": "24.2; 35.9; 102.0"}


def test_missing_counts_distinct_sound_images_of_each_dataset(store: FeatureStore) -> None:
    digests = make_digests(10)
    for view, n in (("plain", 10), ("hflip", 6)):
        spec = replace(SPEC, weights=view)
        store.feature_set(view, spec).append(spec, digests[:n], features_of(digests[:n]), {})
    store.write_dataset(make_index("all", np.concatenate([digests, digests[8:]]), failed=[7]))
    store.write_dataset(make_index("few", digests[:3]))
    missing = {each.feature_set.backbone: each.missing for each in summarise(store).feature_sets}
    assert missing == {"hflip": {"all": 3, "few": 0}, "plain": {"all": 0, "few": 0}}


def test_dataset_is_counted(store: FeatureStore) -> None:
    digests = make_digests(6)
    rows = digests[[0, 1, 2, 3, 0, 0, 4, 5]]
    labels = ["dog", "cat", "cat", "", "dog", "dog", "emu", "cat"]
    store.write_dataset(make_index("photos", rows, labels, failed=[7]))
    (found,) = summarise(store).datasets
    assert (found.n_listed, found.n_images, found.n_failed, found.n_labelled, found.n_doubles) == (8, 5, 1, 6, 2)
    assert found.classes == {"cat": 2, "dog": 3, "emu": 1}
    assert found.splits == {"test": 4, "train": 3}
    assert found.conflicts == []
    assert json.loads(json.dumps(found.to_dict()))["n_images"] == 5


def test_files_of_the_same_bytes_and_different_labels_are_listed(store: FeatureStore) -> None:
    digests = make_digests(4)
    rows = digests[[0, 1, 0, 2, 2, 3, 3, 0]]
    labels = ["cat", "cat", "dog", "emu", "emu", "emu", "fox", "cat"]
    store.write_dataset(make_index("photos", rows, labels, failed=[6]))
    (found,) = summarise(store).datasets
    assert found.conflicts == [Conflict(["0.jpg", "2.jpg", "7.jpg"], ["cat", "dog", "cat"])]
    assert "same image, different labels: '0.jpg' ('cat'), '2.jpg' ('dog')" in "\n".join(found.lines())


def test_unlabelled_double_is_no_conflict(store: FeatureStore) -> None:
    store.write_dataset(make_index("photos", make_digests(1)[[0, 0]], ["cat", ""]))
    assert summarise(store).datasets[0].conflicts == []


def test_empty_dataset_and_empty_cache_are_summarised(store: FeatureStore) -> None:
    on_disk(store.root).mkdir()
    assert (summarise(store).feature_sets, summarise(store).datasets) == ([], [])
    assert "is empty" in summarise(store).lines()[0]
    store.write_dataset(make_index("photos", make_digests(0)))
    (found,) = summarise(store).datasets
    assert (found.n_listed, found.n_images, found.n_doubles, found.classes, found.splits) == (0, 0, 0, {}, {})


def test_damaged_shard_is_an_error_that_names_it(store: FeatureStore) -> None:
    digests = make_digests(3)
    path = store.feature_set("resnet50", SPEC).append(SPEC, digests, features_of(digests), {})
    on_disk(path).write_bytes(on_disk(path).read_bytes()[:-1])
    with pytest.raises(CorruptFileError, match=path.name):
        summarise(store)
