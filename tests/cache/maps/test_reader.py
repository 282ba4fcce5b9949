"""Maps are read image by image, from shards that were proven once, and stay readable while shards are merged."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, CorruptFileError, Digests, FeatureSet, FeatureStore, UsageError
from stackbone.cache.disk.reading import read_at
from stackbone.cache.maps import rows as rows_module
from stackbone.cache.maps.reader import MapLevel, MapReader
from stackbone.cache.places import opened as opened_module
from stackbone.cache.records import shard
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, on_disk
from tests.made.sealing import edited, write_fixed

SIDE = 64
PYRAMID = replace(SPEC, output="pyramid", crop_mode="letterbox", crop_fraction=1.0, input_size=(SIDE, SIDE))
SHAPES = ((8, 8, 3), (4, 4, 5))
FORM = RowForm((Part("stride8", 192), Part("stride16", 80)), map_shapes=SHAPES)


def rows_of(digests: Digests) -> NDArray[np.float16]:
    """Return (n, 272) maps that follow from their digests: the value of a place is its number beside the digest's."""
    return (digests[:, :1].astype(np.float16) + np.arange(272, dtype=np.float16) / 4).astype(np.float16)


def sizes_of(digests: Digests) -> NDArray[np.int64]:
    return digests[:, 1:3].astype(np.int64) + 1


def filled(store: FeatureStore, *parts: Digests) -> FeatureSet:
    found = store.feature_set("resnet50", PYRAMID)
    for digests in parts:
        found.append(PYRAMID, digests, rows_of(digests), {}, FORM, sizes=sizes_of(digests))
    return found


def check(reader: MapReader, digests: Digests) -> None:
    fine, coarse = reader.read(digests)
    assert (str(fine.dtype), str(coarse.dtype)) == ("float16", "float16")
    expected = rows_of(digests)
    np.testing.assert_array_equal(fine, expected[:, :192].reshape(-1, 8, 8, 3))
    np.testing.assert_array_equal(coarse, expected[:, 192:].reshape(-1, 4, 4, 5))
    np.testing.assert_array_equal(reader.sizes(digests), sizes_of(digests))


def test_images_come_in_the_order_asked_for_whatever_shard_they_are_in(store: FeatureStore) -> None:
    digests = make_digests(30)
    reader = filled(store, digests[:7], digests[7:8], digests[8:]).maps()
    assert reader.levels == (MapLevel(8, 8, 8, 3), MapLevel(16, 4, 4, 5))
    assert reader.side == SIDE
    check(reader, digests[np.random.default_rng(0).permutation(30)])
    check(reader, digests[[29, 0, 0, 7, 29]])
    assert [each.shape for each in reader.read(digests[:0])] == [(0, 8, 8, 3), (0, 4, 4, 5)]


def test_what_is_not_there_is_told_and_refused(store: FeatureStore) -> None:
    digests = make_digests(6)
    reader = filled(store, digests[:4]).maps()
    assert reader.has(digests).tolist() == [True] * 4 + [False] * 2
    for ask in (reader.read, reader.sizes):
        with pytest.raises(CacheError, match=r"lacks 2 of 6 images\. Run `stackbone extract`"):
            ask(digests)


def test_the_first_row_of_an_image_counts(store: FeatureStore) -> None:
    digests = make_digests(3)
    found = filled(store, digests)
    found.append(PYRAMID, digests, rows_of(digests) + np.float16(1), {}, FORM, sizes=sizes_of(digests) + 1)
    first = found.shards()[0]
    fine, _ = found.maps().read(digests)
    is_second = bool(fine[0, 0, 0, 0] != rows_of(digests)[0, 0])
    np.testing.assert_array_equal(found.maps().sizes(digests), sizes_of(digests) + is_second)
    np.testing.assert_array_equal(found.load(digests)[:, :192].reshape(fine.shape), fine)
    assert first.exists()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the bytes that are read of rows from now on."""
    counted: list[int] = []

    def read(descriptor: int, offset: int, length: int) -> memoryview:
        counted.append(length)
        return read_at(descriptor, offset, length)

    monkeypatch.setattr(opened_module, "read_at", read)
    return counted


def test_a_shard_is_proven_once_and_then_an_image_is_one_read(store: FeatureStore, reads: list[int]) -> None:
    digests = make_digests(20)
    reader = filled(store, digests[:12], digests[12:]).maps()
    reads.clear()  # of heads, which tell where the rows are
    check(reader, digests[3:4])
    assert reads == [12 * 544, 544]
    check(reader, digests[[5, 4, 3]])
    assert reads[2:] == [544, 544, 544]
    check(reader, digests[15:16])
    assert reads[5:] == [8 * 544, 544]


def test_memory_is_that_of_what_is_asked_for(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = ((64, 64, 24),)
    form = RowForm((Part("stride8", 98304),), map_shapes=shapes)
    spec = replace(PYRAMID, input_size=(512, 512))
    digests = make_digests(160)
    found = store.feature_set("resnet50", spec)
    values = np.zeros((160, 98304), np.float16)
    found.append(spec, digests, values, {}, form, sizes=sizes_of(digests))  # 31 MB
    del values
    monkeypatch.setattr(rows_module, "_READ_BYTES", 1 << 20)
    reader = found.maps()
    tracemalloc.start()
    try:
        reader.read(digests[:4])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20  # twice four rows, a piece of proof and its comparison


@pytest.mark.parametrize("at_once", [True, False])
def test_a_changed_byte_is_found_before_and_after_the_shard_was_proven(store: FeatureStore, *, at_once: bool) -> None:
    digests = make_digests(5)
    found = filled(store, digests)
    reader = found.maps()
    if not at_once:
        check(reader, digests)
    [path] = found.shards()
    content = bytearray(on_disk(path).read_bytes())
    start = content.index(rows_of(digests).tobytes())
    content[start + 40] ^= 1
    on_disk(path).write_bytes(content)
    with pytest.raises(CorruptFileError, match="SHA-256"):
        reader.read(digests[4:])


def test_maps_stay_readable_while_shards_are_merged(store: FeatureStore) -> None:
    digests = make_digests(12)
    found = filled(store, *np.split(digests, 6))
    reader = found.maps()
    check(reader, digests[:3])
    compact(found)
    assert len(found.shards()) == 1
    check(reader, digests)
    check(found.maps(), digests)
    assert verify(store).findings == []
    compact(found, drop=digests[:5])
    with pytest.raises(CacheError, match="lacks 5 of 12 images"):
        reader.read(digests)  # once what it knew is gone
    check(reader, digests[5:])


def test_threads_share_a_reader_while_shards_are_merged(store: FeatureStore) -> None:
    digests = make_digests(40)
    found = filled(store, *np.split(digests, 20))
    reader = found.maps()

    def ask(seed: int) -> None:
        for _ in range(20):
            check(reader, digests[np.random.default_rng(seed).permutation(40)[:9]])

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, seed) for seed in range(4)]
        compact(found)
        for each in asked:
            each.result()
    assert len(found.shards()) == 1


def test_a_set_of_other_rows_is_refused_with_what_makes_maps(store: FeatureStore) -> None:
    digests = make_digests(3)
    pooled = store.feature_set("resnet50", SPEC)
    with pytest.raises(CacheError, match="has no shard yet"):
        pooled.maps()
    pooled.append(SPEC, digests, features_of(digests), {})
    with pytest.raises(UsageError, match=r"holds the output 'pooled'.* --outputs pyramid"):
        pooled.maps()
    spec = replace(SPEC, output="map")
    one = store.feature_set("resnet50", spec)
    one.append(spec, digests, features_of(digests).astype(np.float16), {}, RowForm(row_shape=(2, 2, 2)))
    with pytest.raises(UsageError, match="holds the output 'map'"):
        one.maps()


def test_shards_that_do_not_belong_together_are_refused(store: FeatureStore) -> None:
    digests = make_digests(4)
    found = filled(store, digests[:2])
    other = RowForm((Part("stride8", 192), Part("stride16", 80)), map_shapes=((8, 8, 3), (4, 2, 10)))
    found.append(PYRAMID, digests[2:], rows_of(digests[2:]), {}, other, sizes=sizes_of(digests[2:]))
    with pytest.raises(CorruptFileError, match="its maps are not those of other shards"):
        found.maps()


@pytest.mark.parametrize(
    "sizes", [np.ones((3, 2), np.int64), np.zeros((4, 2), np.int64), np.ones((4, 2), np.int32), np.ones((4, 3), int)]
)
def test_sizes_that_are_none_are_not_written(store: FeatureStore, sizes: NDArray[np.int64]) -> None:
    digests = make_digests(4)
    with pytest.raises(CacheError, match=r"takes \(n, 2\) int64 sizes"):
        store.feature_set("resnet50", PYRAMID).append(PYRAMID, digests, rows_of(digests), {}, FORM, sizes=sizes)


@pytest.mark.parametrize("sizes", [np.zeros((4, 2), np.int64), np.ones((3, 2), np.int64), np.ones((4, 2), np.uint8)])
def test_a_shard_of_other_sizes_is_damaged(store: FeatureStore, sizes: NDArray[np.generic]) -> None:
    digests = make_digests(4)
    found = filled(store, digests)
    with edited(on_disk(found.shards()[0])) as file:
        del file["image_size"]
        file.create_dataset("image_size", data=sizes)
    with pytest.raises(CorruptFileError):
        found.maps()


@pytest.mark.parametrize(
    "text", ["[]", "[[8,8,3]]", "[[8,8,3],[4,4]]", "[[8,8,3],[4,4,5.0]]", "[[8,8,4],[4,4,5]]", "8"]
)
def test_a_shard_of_other_map_shapes_is_damaged(store: FeatureStore, text: str) -> None:
    found = filled(store, make_digests(4))
    with edited(on_disk(found.shards()[0])) as file:
        write_fixed(file, "map_shapes", text)
    with pytest.raises(CorruptFileError, match="map_shapes"):
        found.maps()


LACKING: dict[str, dict[str, Any]] = {
    "without the sizes": {"sizes": None},
    "without map_shapes": {"form": RowForm(FORM.parts)},
    "not stride8, stride16": {"form": RowForm((Part("a", 192), Part("b", 80)), map_shapes=SHAPES)},
    "the finest first": {"form": RowForm((Part("stride16", 192), Part("stride8", 80)), map_shapes=SHAPES)},
    "not float16": {"dtype": np.float32},
}


@pytest.mark.parametrize("said", LACKING)
def test_maps_that_no_reader_could_take_are_not_written(store: FeatureStore, said: str) -> None:
    digests, change = make_digests(4), LACKING[said]
    found = store.feature_set("resnet50", PYRAMID)
    rows = rows_of(digests).astype(change.get("dtype", np.float16))
    with pytest.raises(CacheError, match=said):
        found.append(PYRAMID, digests, rows, {}, change.get("form", FORM), sizes=change.get("sizes", sizes_of(digests)))
    assert found.shards() == []


@pytest.mark.parametrize("said", LACKING)
def test_verify_sets_maps_aside_that_no_reader_can_take(
    store: FeatureStore, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests, change = make_digests(4), LACKING[said]
    rows = rows_of(digests).astype(change.get("dtype", np.float16))
    with monkeypatch.context() as patch:
        patch.setattr(shard, "pyramid_problem", lambda *_, **__: "")  # as a writer that does not know FORMAT.md
        store.feature_set("resnet50", PYRAMID).append(
            PYRAMID, digests, rows, {}, change.get("form", FORM), sizes=change.get("sizes", sizes_of(digests))
        )
    with pytest.raises(CorruptFileError, match=said):
        store.feature_sets()[0].maps()
    [finding] = verify(store, repair=True).findings
    assert said in finding.problem
    assert finding.moved_to is not None
    assert verify(store).findings == []


@pytest.mark.parametrize("size", [0, -1])
def test_verify_finds_a_size_that_no_image_has(store: FeatureStore, size: int) -> None:
    found = filled(store, make_digests(4))
    path = found.shards()[0]
    with edited(on_disk(path)) as file:
        file["image_size"][2, 1] = size
    with pytest.raises(CorruptFileError, match="below 1"):
        shard.read_proven(path, PYRAMID.fingerprint)
    assert "below 1" in verify(store).findings[0].problem


def test_a_summary_tells_the_maps_of_a_pyramid(store: FeatureStore) -> None:
    filled(store, make_digests(4))
    lines = summarise(store).lines()
    assert "  output pyramid: stride8 8 x 8 x 3, stride16 4 x 4 x 5, 544 bytes an image" in lines
    assert "  from 64 x 64 pixels (bilinear, letterbox of the whole image), pooling avg" in lines
    [told] = summarise(store).to_dict()["feature_sets"]
    assert told["map_shapes"] == [[8, 8, 3], [4, 4, 5]]
