"""A steering file makes a backbone like any other: embedded once, under its own name, never without its record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from stackbone.cache import CacheError, FeatureStore, NewerVersionError, UsageError, WeightsError, as_keys, read_seen
from stackbone.extract import ExtractReport, index_dataset, open_dataset
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, get_backbone
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.embedding import plan
from stackbone.extract.embedding import run as run_module
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.embedding.recompute import recompute
from stackbone.extract.engines.engine import OpenVinoEngine, TorchEngine
from stackbone.extract.engines.network import build_network
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.extract.methods.method import rebuild_method, steering_parameters
from stackbone.extract.networks.network import build_body
from stackbone.extract.steering_files.file import read_steering, write_steering
from stackbone.extract.steering_files.steered import find_steered, read_steered, steered_backbone, with_hub
from stackbone.extract.steering_files.steering import Steering
from tests.made.caches import on_disk
from tests.made.checkout import ROOT
from tests.made.networks import relative
from tests.made.photos import write_photos

VIT = "timm:test_vit.r160_in1k"
RESNET = "timm:test_resnet.r160_in1k"
CONVNEXT = "timm:test_convnext.r160_in1k"
N_IMAGES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return weights files of small timm models, by backbone name; random weights are not to be told from others."""
    folder = tmp_path_factory.mktemp("weights")
    found = {}
    for name in (VIT, RESNET, CONVNEXT):
        torch.manual_seed(1)
        model = timm.create_model(name.removeprefix("timm:"))
        found[name] = folder / f"{name.removeprefix('timm:')}.safetensors"
        save_file(model.state_dict(), found[name])
    return found


def shaken(parameter: Tensor) -> NDArray[np.float32]:
    values = parameter.detach()
    spread = float(values.std()) if values.numel() > 1 else 0.0
    noisy: NDArray[np.float32] = (values + 0.1 * max(spread, 0.1) * torch.randn_like(values)).numpy()
    return noisy


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Write a steering file whose parameters are far from their start, so that it matters; return its path."""
    folder = tmp_path_factory.mktemp("steerings")

    def make_file(
        method: str = "toast",
        plain: str = VIT,
        *,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        **changes: Any,  # noqa: ANN401 - fields of many types
    ) -> Path:
        backbone = get_backbone(plain)
        weights = find_weights([backbone], {plain: files[plain]})[plain]
        torch.manual_seed(seed)
        module = rebuild_method(method, build_body(backbone, weights), options or {})
        tensors = {name: shaken(parameter) for name, parameter in steering_parameters(module).items()}
        steering = Steering(
            method=method,
            stage="tune",
            backbone=plain,
            spec=backbone.spec(weights.identity),
            options=dict(options or {}),
            classes=["a", "b"],
            seen=np.random.default_rng(seed).integers(0, 256, (4 + seed, 32), dtype=np.uint8),
            division={"cv": 3, "seed": 0, "fold": seed},
            training={"seed": 0, "parent": None, "versions": {}},
            history=[],
            tensors={**tensors, "head.weight": np.zeros((2, 64), np.float32), "head.bias": np.zeros(2, np.float32)},
        )
        path = folder / f"{method}-{plain[5:]}-{seed}-{len(list(folder.iterdir()))}.safetensors"
        write_steering(path, replace(steering, **changes))
        return path

    return make_file


@pytest.fixture(scope="module")
def toast(make: Make) -> Path:
    return make()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", range(N_IMAGES))


class MeanEngine:
    """Mean colours of an image, (B, 3) float32, in place of a network."""

    batch_size = 4
    is_bound_to_batch = False
    provenance: dict[str, str] = {}  # noqa: RUF012 - as the protocol has it
    forms = (OutputForm("pooled", 3),)

    def __init__(self, on_embed: Callable[[], None] = lambda: None) -> None:
        self.on_embed = on_embed

    def embed(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        self.on_embed()
        return [pixels.mean((1, 2), dtype=np.float32)]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the engines by `MeanEngine`; return the names of the backbones that one was made for."""
    names: list[str] = []

    def make_mean_engine(backbone: Backbone, *_: object, **__: object) -> MeanEngine:
        names.append(backbone.name)
        return MeanEngine()

    monkeypatch.setattr(plan, "make_engine", make_mean_engine)
    return names


def run(
    photos: Path,
    store: FeatureStore,
    steering: Sequence[Path],
    backbones: str | None = "vit_toast",
    weights: Mapping[str, Path] | None = None,
    **options: Any,  # noqa: ANN401 - those of `extract`
) -> ExtractReport:
    dataset = open_dataset(photos, label_column=None)
    return run_module.extract(dataset, backbones, store, steering=steering, weights=weights, **options)


# The backbone that a file makes


def test_the_backbone_is_the_plain_one_with_a_steering(toast: Path, files: Mapping[str, Path]) -> None:
    backbone, steering = steered_backbone(toast)
    plain = get_backbone(VIT)
    assert (backbone.name, backbone.plain, plain.plain, plain.key) == ("vit_toast", VIT, VIT, VIT)
    for field in ("architecture", "transform", "mean", "std", "pooling"):
        assert getattr(backbone, field) == getattr(plain, field), field
    _, sha256 = read_steering(toast)
    identity = find_weights([plain], {VIT: files[VIT]})[VIT].identity
    assert backbone.spec(identity, "bf16") == replace(plain.spec(identity, "bf16"), steering=sha256)
    assert steering.spec == plain.spec(identity)
    assert backbone.key != plain.key


def test_it_knows_the_hub_of_its_plain_backbone_once_asked(make: Make, toast: Path) -> None:
    assert with_hub(steered_backbone(toast)[0]).hub == get_backbone(VIT).hub != ""
    assert with_hub(get_backbone("resnet50")) is BACKBONES["resnet50"]
    spec = BACKBONES["vit_base"].spec("sha256:" + "0" * 64)
    known, _ = steered_backbone(make(backbone="vit_base", spec=spec))
    assert (known.hub, with_hub(known)) == (BACKBONES["vit_base"].hub, known)


def test_a_folder_of_files_gives_each_once(make: Make, tmp_path: Path) -> None:
    contents = [make(seed=seed).read_bytes() for seed in range(2)]
    for i, content in enumerate([*contents, contents[0]]):
        (tmp_path / f"{i}.safetensors").write_bytes(content)
    found = read_steered([tmp_path])
    assert [len(each.record.digests) for each in found] == [4, 5]
    assert len({each.backbone.key for each in found}) == 2


def test_a_linear_steering_is_refused_since_it_changes_no_feature(make: Make) -> None:
    with pytest.raises(UsageError, match=rf"linear steering .*leaves the features of {VIT} as they are"):
        read_steered([make("linear")])


def test_a_linear_steering_in_a_folder_with_others_is_passed_over(make: Make, tmp_path: Path) -> None:
    linear = tmp_path / "linear.safetensors"
    linear.write_bytes(make("linear").read_bytes())
    with pytest.raises(UsageError, match=rf"{linear}: a linear steering"):
        read_steered([tmp_path])
    (tmp_path / "toast.safetensors").write_bytes(make().read_bytes())
    assert [each.backbone.name for each in read_steered([tmp_path])] == ["vit_toast"]
    with pytest.raises(UsageError, match=rf"{linear}: a linear steering"):
        read_steered([tmp_path, linear])


# Its network


METHODS = [
    ("toast", VIT, {"value_bias": True}),
    ("toast-lite", VIT, {"rank": 2}),
    ("lora", VIT, {"rank": 2, "alpha": 8, "targets": "q_proj,v_proj"}),
    ("vpt", VIT, {"n_prompts": 3, "shallow": True}),
    ("finetune", VIT, {"blocks": 2}),
    ("finetune", RESNET, {"blocks": None}),
    ("toast", CONVNEXT, {"as_released": True}),
    ("toast", CONVNEXT, {}),  # of an earlier version
]


def random_pixels(backbone: Backbone) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, *backbone.transform.input_size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("method", "plain", "options"), METHODS)
def test_the_network_is_the_methods_module_with_the_files_parameters(
    method: str, plain: str, options: dict[str, Any], make: Make, files: Mapping[str, Path]
) -> None:
    path = make(method, plain, options=options)
    backbone, steering = steered_backbone(path)
    weights = find_weights([backbone], {plain: files[plain]})[backbone.key]
    module = rebuild_method(method, build_body(get_backbone(plain), weights), options).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in steering.tensors:
                parameter.copy_(torch.from_numpy(steering.tensors[name]))
        pixels = torch.from_numpy(random_pixels(backbone))
        mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
        expected = module(((pixels / 255 - mean) / std).permute(0, 3, 1, 2)).numpy()
        network = build_network(backbone, weights)
        assert not any(parameter.requires_grad for parameter in network.parameters())
        found = network(pixels).numpy()
        plain_features = build_network(get_backbone(plain), weights)(pixels).numpy()
    assert relative(found, expected) < 1e-5
    assert found.shape == plain_features.shape
    assert relative(found, plain_features) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("method", "plain", "options"), METHODS)
def test_openvino_computes_the_same(
    method: str, plain: str, options: dict[str, Any], make: Make, files: Mapping[str, Path]
) -> None:
    backbone, _ = steered_backbone(make(method, plain, options=options))
    weights = find_weights([backbone], {plain: files[plain]})[backbone.key]
    pixels = random_pixels(backbone)
    expected = TorchEngine(backbone, weights, "cpu").embed(pixels)[0]
    assert relative(OpenVinoEngine(backbone, weights).embed(pixels)[0], expected) < 1e-4
    assert relative(OpenVinoEngine(backbone, weights).embed(pixels[:1])[0], expected[:1]) < 1e-4


def test_building_it_leaves_the_random_state_alone(toast: Path, files: Mapping[str, Path]) -> None:
    backbone, _ = steered_backbone(toast)
    weights = find_weights([backbone], {VIT: files[VIT]})[backbone.key]
    before = torch.random.get_rng_state()
    build_network(backbone, weights)
    assert torch.equal(torch.random.get_rng_state(), before)


def refusal(path: Path, files: Mapping[str, Path]) -> str:
    backbone, _ = steered_backbone(path)
    weights = find_weights([backbone], {VIT: files[VIT]})[backbone.key]
    with pytest.raises(WeightsError, match="stackbone steer") as caught:
        build_network(backbone, weights)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_lacks_a_parameter_is_refused(make: Make, files: Mapping[str, Path]) -> None:
    tensors = read_steering(make())[0].tensors
    del tensors["xi"]
    assert "tensor xi" in refusal(make(tensors=tensors), files)


def test_a_file_with_a_parameter_too_many_is_refused(make: Make, files: Mapping[str, Path]) -> None:
    tensors = {**read_steering(make())[0].tensors, "more": np.zeros(3, np.float32)}
    assert "tensor more" in refusal(make(tensors=tensors), files)


def test_a_parameter_of_another_shape_is_refused(make: Make, files: Mapping[str, Path]) -> None:
    tensors = {**read_steering(make())[0].tensors, "xi": np.zeros(3, np.float32)}
    assert "(3,)" in refusal(make(tensors=tensors), files)


@pytest.mark.parametrize("size", [(1, 1), (160, 1), (100, 4096)])
def test_an_input_size_that_the_network_does_not_take_is_refused(
    make: Make, files: Mapping[str, Path], size: tuple[int, int]
) -> None:
    spec = replace(read_steering(make())[0].spec, input_size=size)
    assert f"images of {size[1]} x {size[0]} pixels" in refusal(make(spec=spec), files)


def test_an_option_that_the_method_lacks_is_refused(make: Make, files: Mapping[str, Path]) -> None:
    steering, _ = read_steering(make())
    path = make(tensors=steering.tensors)
    write_steering(path, replace(steering, options={"magic": 1}))
    assert "no option --magic" in refusal(path, files)


def test_a_file_that_changes_under_way_is_refused(make: Make, files: Mapping[str, Path]) -> None:
    path = make()
    backbone, steering = steered_backbone(path)
    weights = find_weights([backbone], {VIT: files[VIT]})[backbone.key]
    write_steering(path, replace(steering, division=None))
    with pytest.raises(WeightsError, match="was changed since it was read"):
        build_network(backbone, weights)


# Its weights


def test_weights_are_named_by_either_name(toast: Path, files: Mapping[str, Path]) -> None:
    backbone, steering = steered_backbone(toast)
    for name in ("vit_toast", VIT):
        found = find_weights([backbone], {name: files[VIT]})
        assert found[backbone.key].identity == steering.spec.weights


def test_other_weights_than_those_it_was_trained_on_are_refused(toast: Path, files: Mapping[str, Path]) -> None:
    backbone, steering = steered_backbone(toast)
    with pytest.raises(WeightsError) as caught:
        find_weights([backbone], {VIT: files[RESNET]})
    message = str(caught.value)
    for words in (str(toast), steering.spec.weights, files[RESNET].name, f"--weights {VIT}=FILE"):
        assert words in message


def test_weights_of_another_backbone_are_refused(toast: Path, files: Mapping[str, Path]) -> None:
    with pytest.raises(UsageError, match="--weights names resnet50"):
        find_weights([steered_backbone(toast)[0]], {VIT: files[VIT], "resnet50": files[RESNET]})


# extract


@pytest.mark.parametrize(("engine", "tolerance"), [("torch", 1e-5), ("openvino", 1e-4)])
def test_extract_caches_steered_features(
    engine: str, tolerance: float, toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore
) -> None:
    report = run(photos, store, [toast], weights=files_of(files), engine=engine)
    assert [(each.backbone, each.n_embedded) for each in report.backbones] == [("vit_toast", N_IMAGES)]
    backbone, _ = steered_backbone(toast)
    network = build_network(backbone, find_weights([backbone], files_of(files))[backbone.key])
    images = [apply_transform(decode((photos / path).read_bytes()), backbone.transform) for path in report.index.path]
    with torch.no_grad():
        expected = network(torch.from_numpy(np.stack(images))).numpy()
    (feature_set,) = store.covering(report.index)
    assert feature_set.backbone == "vit_toast"
    assert relative(feature_set.load(report.index.image_sha256), expected) < tolerance
    assert feature_set.header().spec.steering == read_steering(toast)[1]


def files_of(files: Mapping[str, Path]) -> dict[str, Path]:
    return {VIT: files[VIT]}


def test_bf16_is_a_feature_set_of_its_own_with_the_same_record(
    toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore
) -> None:
    for precision in ("fp32", "bf16"):
        run(photos, store, [toast], weights=files_of(files), engine="torch", precision=precision)
    sets = store.feature_sets()
    assert sorted(each.header().spec.precision for each in sets) == ["bf16", "fp32"]
    digests = store.dataset().image_sha256
    assert 0 < relative(sets[0].load(digests), sets[1].load(digests)) < 0.05
    assert len({read_seen(each.folder, read_steering(toast)[1]).steering for each in sets}) == 1


def test_the_files_of_three_folds_give_three_feature_sets(
    make: Make, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str]
) -> None:
    paths = [make(seed=seed) for seed in range(3)]
    report = run(photos, store, paths, weights=files_of(files))
    assert started == ["vit_toast"] * 3
    assert len({each.feature_set for each in report.backbones}) == 3
    seen = [each.seen() for each in store.feature_sets()]
    assert sorted(len(each.digests) for each in seen if each) == [4, 5, 6]
    assert {each.description["division"]["fold"] for each in seen if each} == {0, 1, 2}
    assert len({each.description["recipe"] for each in seen if each}) == 1


def test_steered_backbones_join_the_default(
    make: Make, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str], tmp_path: Path
) -> None:
    weights = files_of(files)
    for name in ("resnet50", "vgg19", "inception_v3", "xception"):
        weights[name] = tmp_path / name
        weights[name].touch()
    run(photos, store, [make(), make("lora")], None, weights)
    assert started == ["resnet50", "vgg19", "inception_v3", "xception", "vit_toast", "test_vit.r160_in1k_lora"]


def test_steered_and_plain_backbones_are_run_in_the_order_they_are_named(
    toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str]
) -> None:
    run(photos, store, [toast], f"vit_toast,{VIT}", files_of(files))
    assert started == ["vit_toast", VIT]
    assert [each.seen() is None for each in store.feature_sets()] == [True, False]


def test_a_steering_that_the_backbones_leave_out_is_refused(toast: Path, photos: Path, store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="--steering makes vit_toast, which --backbones resnet50 does not ask for"):
        run(photos, store, [toast], "resnet50")
    assert store.dataset_names() == []


@pytest.mark.parametrize("name", ["vit_toast", "vit_toast_lite", "resnet50_finetune"])
def test_a_steered_name_without_its_file_says_what_to_type(name: str, photos: Path, store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=rf"{name} is a steered backbone.*`stackbone steer` wrote: --steering FILE"):
        run(photos, store, [], name)


def test_a_steered_name_that_is_misspelt_is_guessed(photos: Path, store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="did you mean 'vit_toast'"):
        run(photos, store, [], "vit-toast")


def test_a_rerun_computes_nothing_and_needs_neither_weights_nor_torch(
    toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str]
) -> None:
    run(photos, store, [toast], weights=files_of(files))
    assert started == ["vit_toast"]
    code = f"""
import json, sys
from pathlib import Path
from stackbone.extract import extract, open_dataset
from stackbone.cache import FeatureStore
report = extract(open_dataset({str(photos)!r}, label_column=None), "vit_toast",
                 FeatureStore({str(store.root)!r}), steering=[Path({str(toast)!r})])
heavy = {{"torch", "timm", "openvino", "sklearn", "huggingface_hub"}} & set(sys.modules)
print(json.dumps([report.n_embedded, report.backbones[0].n_found, sorted(heavy)]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, N_IMAGES, []]


def test_weights_that_nothing_is_to_be_embedded_with_are_not_looked_for(
    toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str]
) -> None:
    run(photos, store, [toast], weights=files_of(files))
    assert run(photos, store, [toast], weights={VIT: files[RESNET]}).n_embedded == 0
    write_photos(photos, range(20, 21))
    with pytest.raises(WeightsError, match="was trained on the weights"):
        run(photos, store, [toast], weights={VIT: files[RESNET]})
    assert started == ["vit_toast"]


def test_the_record_is_there_before_the_first_shard(
    toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        (folder,) = store.root.glob("vit_toast-*")
        assert [path.name for path in folder.iterdir()] == ["seen.h5"]
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "make_engine", lambda *_, **__: MeanEngine(die))
    with pytest.raises(KeyboardInterrupt):
        run(photos, store, [toast], weights=files_of(files))
    assert [each.shards() for each in store.feature_sets()] == [[]]


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100)], ids=["absent", "truncated"])
def test_a_rerun_writes_a_lost_record_anew(
    damage: Callable[[Path], None],
    toast: Path,
    files: Mapping[str, Path],
    photos: Path,
    store: FeatureStore,
    started: list[str],
) -> None:
    run(photos, store, [toast], weights=files_of(files))
    (feature_set,) = store.feature_sets()
    damage(on_disk(feature_set.folder / "seen.h5"))
    with pytest.raises(CacheError, match="--steering"):
        feature_set.seen()
    assert run(photos, store, [toast]).n_embedded == 0
    seen = feature_set.seen()
    assert seen is not None
    assert len(seen.digests) == 4
    assert started == ["vit_toast"]


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_truncated_steering_file_is_refused_before_anything_is_done(
    kept: float, toast: Path, photos: Path, store: FeatureStore, tmp_path: Path
) -> None:
    content = toast.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(WeightsError, match=r"cut\.safetensors is not a sound steering file"):
        run(photos, store, [tmp_path / "cut.safetensors"])
    assert not store.root.exists()


def test_a_newer_steering_file_is_refused(toast: Path, photos: Path, store: FeatureStore, tmp_path: Path) -> None:
    content = toast.read_bytes().replace(b'\\"format_version\\": 1', b'\\"format_version\\": 7')
    (tmp_path / "new.safetensors").write_bytes(content)
    with pytest.raises(NewerVersionError, match="format version 7"):
        run(photos, store, [tmp_path / "new.safetensors"])


def test_a_dataset_is_indexed_without_embedding(photos: Path, store: FeatureStore) -> None:
    calls: list[str] = []
    index = index_dataset(
        open_dataset(photos, label_column=None), store, on_progress=lambda what, *_: calls.append(what)
    )
    assert len(np.unique(as_keys(index.image_sha256))) == N_IMAGES
    assert store.dataset_names() == [index.name]
    np.testing.assert_array_equal(store.dataset().image_sha256, index.image_sha256)
    assert set(calls) == {"reading", "checking"}
    assert store.feature_sets() == []


def test_the_index_knows_unreadable_images_before_anything_is_embedded(
    photos: Path,
    store: FeatureStore,
    toast: Path,
    files: Mapping[str, Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Or the folds that a steering is trained for would be others than those that are scored after `extract`.
    whole = (photos / "02.png").read_bytes()
    (photos / "02.png").write_bytes(whole[: len(whole) // 2])
    dataset = open_dataset(photos, label_column=None)
    before = index_dataset(dataset, store)
    assert [before.path[row] for row in np.flatnonzero(~before.ok)] == ["02.png"]
    assert f"they cannot be read: 1 of {N_IMAGES} images; the first is '02.png': its file is cut short" in caplog.text
    after = run(photos, store, [toast], weights={VIT: files[VIT]}).index
    np.testing.assert_array_equal(after.ok, before.ok)
    assert after.reason == before.reason
    np.testing.assert_array_equal(store.dataset().image_sha256, before.image_sha256)
    monkeypatch.setattr(
        "stackbone.extract.embedding.pipeline.decoded", lambda _: pytest.fail("what has features was decoded again")
    )
    np.testing.assert_array_equal(index_dataset(dataset, store).ok, before.ok)


# predict


def test_predict_embeds_new_images_with_the_models_steering(
    make: Make, toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, tmp_path: Path
) -> None:
    run(photos, store, [toast], weights=files_of(files), engine="torch")
    (feature_set,) = store.feature_sets()
    dataset = open_dataset(write_photos(tmp_path / "new", range(4, 9)), label_column=None)
    other = FeatureStore(tmp_path / "other")
    specs = {feature_set.id: feature_set.header().spec}
    folder = tmp_path / "steerings"
    folder.mkdir()
    for i, path in enumerate([make(seed=1), toast]):
        (folder / f"{i}.safetensors").write_bytes(path.read_bytes())
    found = embed_for(specs, dataset, other, steering=[folder], weights=files_of(files), engine="torch")
    assert found.n_embedded == 5
    digests = open_digests(photos, store)
    np.testing.assert_array_equal(found.features[feature_set.id][:2], feature_set.load(digests[4:6]))
    (made,) = other.feature_sets()
    assert made.seen() is not None
    assert embed_for(specs, dataset, other).n_embedded == 0
    assert embed_for(specs, dataset, other, weights={VIT: files[VIT]}).n_embedded == 0


def open_digests(photos: Path, store: FeatureStore) -> NDArray[np.uint8]:
    return index_dataset(open_dataset(photos, label_column=None), store).image_sha256


def test_predict_without_the_steering_file_names_it(
    make: Make, toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore, started: list[str]
) -> None:
    report = run(photos, store, [toast], weights=files_of(files))
    specs = {report.backbones[0].feature_set: store.feature_sets()[0].header().spec}
    write_photos(photos, range(30, 31))
    dataset = open_dataset(photos, label_column=None)
    sha256 = read_steering(toast)[1]
    for given in ([], [make(seed=2)]):
        with pytest.raises(UsageError, match=rf"features of vit_toast .*SHA-256 is {sha256}.*--steering FILE"):
            embed_for(specs, dataset, store, steering=given, weights=files_of(files))
    with pytest.raises(UsageError, match="--weights names resnet50"):
        embed_for(specs, dataset, store, steering=[toast], weights={"resnet50": files[VIT]})
    assert started == ["vit_toast"]


# verify --recompute


def test_steered_features_are_recomputed_with_their_file(
    make: Make, toast: Path, files: Mapping[str, Path], photos: Path, store: FeatureStore
) -> None:
    run(photos, store, [toast], weights=files_of(files), engine="torch")
    (again,) = recompute(store, 3, steering=[make(seed=1), toast], weights=files_of(files), engine="torch")
    assert (again.n_images, again.problem) == (3, "")
    assert again.largest is not None
    assert again.largest < 1e-5
    (skipped,) = recompute(store, 3, weights=files_of(files), engine="torch")
    assert (skipped.largest, "--steering FILE" in skipped.problem) == (None, True)


def test_a_file_is_found_by_its_digest_alone(make: Make, toast: Path) -> None:
    found = find_steered(read_steering(toast)[1], "vit_toast", [make(seed=1), toast])
    assert found.backbone.steering is not None
    assert found.backbone.steering.path == toast
