"""A shard says what the columns of its rows are, through every way that rows take; rows of one part need no word."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from stackbone.cache import CacheError, CorruptFileError, FeatureSet, FeatureStore
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, on_disk
from tests.made.sealing import edited, write_fixed

STAGES = RowForm((Part("stage1", 3), Part("stage2", 5)))
MAP = RowForm(row_shape=(2, 1, 4))


def filled(store: FeatureStore, output: str, form: RowForm | None, dtype: type = np.float32) -> FeatureSet:
    """Return a feature set of six images in two shards."""
    spec = replace(SPEC, output=output)
    found = store.feature_set("resnet50", spec)
    for seed in (1, 2):
        digests = make_digests(3, seed)
        found.append(spec, digests, features_of(digests).astype(dtype), {}, form)
    return found


def test_parts_are_read_again_and_outlive_a_merge(store: FeatureStore) -> None:
    found = filled(store, "stages", STAGES)
    assert found.parts() == STAGES.parts
    assert found.backbone == "resnet50@stages"
    compact(found)
    assert (len(found.shards()), found.parts()) == (1, STAGES.parts)
    assert verify(store).findings == []


def test_a_map_keeps_its_shape_and_its_half_precision_through_a_merge(store: FeatureStore) -> None:
    found = filled(store, "map", MAP, np.float16)
    compact(found)
    header = found.header()
    assert (header.form, header.dtype, header.row_bytes) == (MAP, "float16", 16)
    np.testing.assert_array_equal(found.load(make_digests(3, 2)), features_of(make_digests(3, 2)))
    [line] = [line for line in summarise(store).lines() if "output" in line]
    assert line.strip() == "output map: 2 x 1 x 4, 16 bytes an image"


def test_rows_of_one_part_are_named_after_the_output(store: FeatureStore) -> None:
    assert filled(store, "pooled", None).parts() == (Part("pooled", 8),)
    assert filled(store, "gem", None).parts() == (Part("gem", 8),)
    with h5py.File(store.feature_set("resnet50", SPEC).shards()[0]) as file:
        assert set(file.attrs) == {"format", "format_version", "provenance", "spec"}


def test_a_summary_tells_the_first_parts(store: FeatureStore) -> None:
    filled(store, "blocks", RowForm(tuple(Part(f"block{i}.mean", 1) for i in range(1, 9))))
    [line] = [line for line in summarise(store).lines() if "output" in line]
    assert line.strip().startswith("output blocks: block1.mean (1), block2.mean (1), ")
    assert line.endswith("block6.mean (1), and 2 more")
    [told] = summarise(store).to_dict()["feature_sets"]
    assert (told["output"], told["parts"][7], told["row_shape"]) == ("blocks", ["block8.mean", 1], [])


@pytest.mark.parametrize("form", [RowForm((Part("a", 7),)), RowForm(row_shape=(2, 2, 4)), RowForm((Part("a", 9),))])
def test_rows_of_another_length_than_their_parts_are_not_written(store: FeatureStore, form: RowForm) -> None:
    with pytest.raises(CacheError, match="Nothing was committed"):
        filled(store, "stages", form)
    assert store.feature_set("resnet50", replace(SPEC, output="stages")).shards() == []


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '[["a"]]', '[["a",0]]', '[["a",1.0]]', "[[1,8]]", '[["",8]]', '[["a\\u0007",8]]', '[["a",7]]', "x"],
)
def test_a_shard_with_other_parts_than_these_is_refused(store: FeatureStore, text: str) -> None:
    refused(store, "parts", text)


@pytest.mark.parametrize("text", ["[2,4]", "[2,1,4,1]", "[0,2,4]", "[2,2,4]", '"2,1,4"', "[true,2,4]"])
def test_a_shard_with_another_row_shape_than_this_is_refused(store: FeatureStore, text: str) -> None:
    refused(store, "row_shape", text)


def refused(store: FeatureStore, name: str, text: str) -> None:
    found = filled(store, "stages", None)
    with edited(on_disk(found.shards()[0])) as file:
        write_fixed(file, name, text)
    with pytest.raises(CorruptFileError, match=name.split("_")[0]):
        found.header()


def test_shards_of_other_parts_do_not_belong_together(store: FeatureStore) -> None:
    found = filled(store, "stages", STAGES)
    digests = make_digests(2, 9)
    found.append(replace(SPEC, output="stages"), digests, features_of(digests), {}, RowForm((Part("x", 8),)))
    with pytest.raises(CorruptFileError, match="the parts of its rows are not those of"):
        compact(found)
    [finding] = verify(store).findings
    assert "rows of other parts than most of its feature set" in finding.problem
