"""Every backbone under every engine gives timm's own features; weights that are another network's are refused."""

from __future__ import annotations

import copy
import hashlib
import pickle
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform
from torch import Tensor, nn

from stackbone.cache import UsageError, WeightsError, sha256_file
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, get_backbone
from stackbone.extract.backbones.weights import Weights, find_weights, random_weights
from stackbone.extract.engines.contract import Engine
from stackbone.extract.engines.engine import make_engine
from stackbone.extract.engines.network import build_network
from stackbone.extract.images.decode import apply_transform, decode
from stackbone.extract.networks.network import FeatureNetwork, load_classifier
from tests.made.networks import relative
from tests.made.timm_config import pinned_config

DIMS = {
    "resnet50": 2048,
    "vgg19": 512,
    "inception_v3": 2048,
    "xception": 2048,
    "vit_base": 768,
    "efficientnet_lite0": 1280,
    "mobilenetv4_small": 1280,
    "efficientnetv2_b0": 1280,
    "timm:mobilenetv3_small_050.lamb_in1k": 1024,
    "vit_base_imagenet": 768,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
}
LAYERS_OF = {
    "vit_base_imagenet": "vit_base",
    "efficientnet_lite1": "efficientnet_lite0",
    "efficientnet_lite2": "efficientnet_lite0",
}
"""Networks of no other layers than another's: what a conversion, or a precision, makes of the one it makes of both."""
SEED = 0


def some_pixels(backbone: Backbone, n: int = 2) -> NDArray[np.uint8]:
    """Images of different brightness and contrast, so that neither is taken for the other; (n, H, W, 3) uint8."""
    rng = np.random.default_rng(SEED)
    noise = rng.integers(0, 256, (n, *backbone.transform.input_size, 3))
    strength = np.linspace(0.2, 1.0, n)[:, None, None, None]
    return (noise * strength).astype(np.uint8)


_create = timm.create_model


@lru_cache(maxsize=1)
def made(architecture: str, seed: int) -> nn.Module:
    """Return timm's model at the state that its random numbers have now, which `seed` began."""
    assert torch.initial_seed() == seed
    model: nn.Module = _create(architecture)
    return model


def copied(architecture: str) -> nn.Module:
    return copy.deepcopy(made(architecture, torch.initial_seed()))


@contextmanager
def made_once() -> Iterator[None]:
    """Have timm make a network of a seed once and copy it: to draw the numbers of a large one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", copied)
        yield


@pytest.fixture
def networks_made_once() -> Iterator[None]:
    with made_once():
        yield


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBONE_GRAPHS", str(tmp_path_factory.mktemp("graphs")))
        yield


@pytest.fixture(scope="module", params=DIMS)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return get_backbone(request.param)


@pytest.fixture(scope="module")
def torch_engine(backbone: Backbone) -> Engine:
    with made_once():
        return make_engine(backbone, random_weights(SEED), "torch", "cpu")


@pytest.fixture(scope="module")
def pixels(backbone: Backbone) -> NDArray[np.uint8]:
    return some_pixels(backbone)


@pytest.fixture(scope="module")
def features(torch_engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return torch_engine.embed(pixels)[0]


once_for_all_of_its_layers = pytest.mark.parametrize(
    "backbone", [name for name in DIMS if name not in LAYERS_OF], indirect=True, scope="module"
)


@pytest.mark.parametrize(("name", "other"), LAYERS_OF.items())
def test_networks_that_stand_for_others_have_their_layers(name: str, other: str) -> None:
    found, known = (Counter(layers(get_backbone(each))) for each in (name, other))
    assert found.keys() == known.keys()
    assert (found == known) == name.startswith("vit"), "an EfficientNet-Lite has more blocks than the one below"


def layers(backbone: Backbone) -> list[str]:
    """Return each module of timm's network without its sizes: kinds, strides, activations."""
    with torch.device("meta"):
        network = timm.create_model(backbone.architecture)
    return [
        f"{type(each).__name__} {getattr(each, 'kernel_size', '')} {getattr(each, 'stride', '')}"
        for each in network.modules()
    ]


@pytest.mark.usefixtures("networks_made_once")
class TestConformance:
    """What every backbone promises, whatever runs it."""

    def test_shape_and_dtype(self, backbone: Backbone, features: NDArray[np.float32]) -> None:
        assert features.shape == (2, DIMS[backbone.name])
        assert features.dtype == np.float32
        assert np.isfinite(features).all()

    def test_images_are_told_apart(self, features: NDArray[np.float32]) -> None:
        assert relative(features[:1], features[1:2]) > 1e-3

    def test_evaluation_mode_without_gradients(self, torch_engine: Engine) -> None:
        network = cast("FeatureNetwork", cast("Any", torch_engine)._network)
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert all(tensor.dtype != torch.float16 for tensor in network.state_dict().values())

    def test_a_feature_does_not_depend_on_its_batch(
        self, torch_engine: Engine, pixels: NDArray[np.uint8], features: NDArray[np.float32]
    ) -> None:
        alone = torch_engine.embed(pixels[1:2])[0]
        turned = torch_engine.embed(pixels[::-1].copy())[0]
        assert not np.shares_memory(turned, features)
        assert relative(alone, features[1:2]) < 1e-4
        assert relative(turned[::-1], features) < 1e-4

    def test_equals_timms_own_forward(
        self, backbone: Backbone, pixels: NDArray[np.uint8], features: NDArray[np.float32]
    ) -> None:
        model = timm_model(backbone.architecture)
        config = pinned_config(backbone)
        to_tensor_and_normalise = create_transform(**config, is_training=False).transforms[-2:]
        batch = torch.stack([normalised(image, to_tensor_and_normalise) for image in pixels])
        assert relative(timm_features(model, batch, backbone.pooling), features) < 1e-4

    def test_records_what_ran_it(self, torch_engine: Engine) -> None:
        assert torch_engine.provenance["engine"] == "torch"
        assert torch_engine.provenance["device"] == "cpu"
        assert torch_engine.provenance["torch"] == torch.__version__

    @pytest.mark.slow
    @pytest.mark.usefixtures("graphs")
    @once_for_all_of_its_layers
    def test_openvino_equals_torch(
        self, backbone: Backbone, pixels: NDArray[np.uint8], features: NDArray[np.float32]
    ) -> None:
        engine = make_engine(backbone, random_weights(SEED), "openvino")
        [found] = engine.embed(pixels)
        kept = found.copy()
        engine.embed(pixels[::-1].copy())
        np.testing.assert_array_equal(found, kept)  # not a view of memory that the next batch fills
        assert found.shape == features.shape
        assert found.dtype == np.float32
        assert relative(found, features) < 1e-4
        assert relative(engine.embed(pixels[1:])[0], features[1:]) < 1e-4
        assert engine.provenance["engine"] == "openvino"

    @pytest.mark.slow
    @pytest.mark.usefixtures("graphs")
    @once_for_all_of_its_layers
    @pytest.mark.parametrize("engine", ["torch", "openvino"])
    def test_bf16_features_point_where_fp32_features_do(
        self, backbone: Backbone, pixels: NDArray[np.uint8], features: NDArray[np.float32], engine: str
    ) -> None:
        try:
            [half] = make_engine(backbone, random_weights(SEED), engine, "cpu", "bf16").embed(pixels)
        except UsageError as exc:
            pytest.skip(str(exc))
        assert half.dtype == np.float32
        assert relative(half, features) > 1e-6  # it did compute in bf16
        lengths = np.linalg.norm(half, axis=1) * np.linalg.norm(features, axis=1)
        assert ((half * features).sum(axis=1) / lengths).min() >= 0.999


def normalised(image: NDArray[np.uint8], steps: list[Callable[[Any], Any]]) -> Tensor:
    step_1, step_2 = steps
    return cast("Tensor", step_2(step_1(Image.fromarray(image))))


def timm_model(architecture: str) -> nn.Module:
    """Make timm's model with the random weights that `random_weights` stands for."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model: nn.Module = timm.create_model(architecture)
        return model.eval()


def timm_features(model: Any, batch: Tensor, pooling: str) -> NDArray[np.float32]:  # noqa: ANN401 - timm is untyped
    """Return features as timm's documentation computes them; (n, dim) float32."""
    with torch.inference_mode():
        feature_map = model.forward_features(batch)
        if pooling == "avg":
            features = feature_map.mean(dim=(2, 3))
        else:
            model.reset_classifier(0)
            features = model(batch)
        found: NDArray[np.float32] = features.numpy()
        return found


def test_the_whole_way_from_a_file_equals_timms(tmp_path: Path) -> None:
    backbone = get_backbone("efficientnet_lite0")
    path = tmp_path / "photo.png"
    colours = np.random.default_rng(SEED).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((450, 600), Image.Resampling.BICUBIC).save(path)
    weights = find_weights([backbone], {})[backbone.name]

    model: Any = load_classifier(backbone, weights)
    config = pinned_config(backbone)
    batch = create_transform(**config, is_training=False)(Image.open(path)).unsqueeze(0)
    model.reset_classifier(0)
    with torch.inference_mode():
        expected = model(batch).numpy()

    pixels = apply_transform(decode(path.read_bytes()), backbone.transform)
    [found] = make_engine(backbone, weights, "torch").embed(pixels[None])
    assert relative(found, expected) < 5e-3  # some pixels are one level of 255 apart


def test_random_weights_are_those_of_their_seed() -> None:
    backbone = get_backbone("efficientnet_lite0")
    first, again, other = (build_network(backbone, random_weights(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["body.conv_stem.weight"], other["body.conv_stem.weight"])
    with pytest.raises(WeightsError, match="do not classify"):
        load_classifier(backbone, random_weights(0))


def test_building_a_network_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_network(get_backbone("efficientnet_lite0"), random_weights(0))
    assert torch.equal(torch.rand(3), expected)


def test_the_models_own_pooling_of_vgg_keeps_its_wide_layers() -> None:
    backbone = replace(BACKBONES["vgg19"], pooling="model")
    network = build_network(backbone, random_weights(SEED))
    with torch.inference_mode():
        assert network(torch.from_numpy(some_pixels(backbone, 1))).shape == (1, 4096)


# EfficientNet-Lite weights from the packages

# Photographs of a folder, ImageNet classes that name what is worn, and the least share of photographs with one of
# them among the first five. Measured with the three networks: shoes 1.00, t-shirt 0.96 to 1.00, shorts 1.00.
SENSIBLE: Mapping[str, tuple[frozenset[int], float]] = {
    "shoes": (frozenset({502, 514, 630, 770, 774}), 0.9),  # clog, cowboy boot, loafer, running shoe, sandal
    "t-shirt": (frozenset({610}), 0.8),  # jersey, T-shirt
    "shorts": (frozenset({842}), 0.8),  # swimming trunks
}


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_packaged_weights_classify_photographs(name: str, shared_data: Path) -> None:
    backbone = get_backbone(name)
    weights = find_weights([backbone], {})[name]
    assert weights.source == f"package {backbone.package}"
    classifier = load_classifier(backbone, weights)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    first_five: dict[str, list[set[int]]] = {}
    for label in SENSIBLE:
        paths = sorted((shared_data / "data/clothing-small/train" / label).glob("*.jpg"))[:12]
        pixels = [apply_transform(decode(path.read_bytes()), backbone.transform) for path in paths]
        batch = torch.stack([(torch.from_numpy(p.copy()).permute(2, 0, 1) / 255 - mean) / std for p in pixels])
        with torch.inference_mode():
            first_five[label] = [set(row) for row in classifier(batch).topk(5).indices.tolist()]
    for label, (classes, least) in SENSIBLE.items():
        share = np.mean([bool(row & classes) for row in first_five[label]])
        assert share >= least, label
    shoes = SENSIBLE["shoes"][0]
    assert np.mean([bool(row & shoes) for row in first_five["t-shirt"]]) <= 0.25


# Weights files


def file_weights(path: Path) -> Weights:
    return Weights(f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", f"file {path.name}", path)


def saved(path: Path, state: Mapping[str, Tensor]) -> Weights:
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return file_weights(path)


def state_of(architecture: str, **options: Any) -> dict[str, Tensor]:  # noqa: ANN401 - timm's own options
    torch.manual_seed(7)
    model: nn.Module = timm.create_model(architecture, **options)
    return model.state_dict()


@pytest.fixture(scope="module")
def resnet50_state() -> dict[str, Tensor]:
    return state_of("resnet50.tv_in1k")


@pytest.mark.parametrize("name", ["whole.safetensors", "whole.pth"])
def test_a_file_loads_under_its_own_names(tmp_path: Path, resnet50_state: dict[str, Tensor], name: str) -> None:
    network = build_network(BACKBONES["resnet50"], saved(tmp_path / name, resnet50_state))
    found = network.body.state_dict()
    assert torch.equal(found["layer4.2.conv3.weight"], resnet50_state["layer4.2.conv3.weight"])
    assert not any(name.startswith("fc.") for name in found)


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_checkpoint_of_a_training_run_loads(tmp_path: Path, resnet50_state: dict[str, Tensor], prefix: str) -> None:
    renamed = {f"{prefix if prefix == 'module.' else ''}{name}": tensor for name, tensor in resnet50_state.items()}
    torch.save({"epoch": 3, "state_dict": renamed}, tmp_path / "checkpoint.pth.tar")
    found = build_network(BACKBONES["resnet50"], file_weights(tmp_path / "checkpoint.pth.tar")).body.state_dict()
    assert torch.equal(found["conv1.weight"], resnet50_state["conv1.weight"])


@pytest.mark.parametrize("n_classes", [7, None])
def test_a_fine_tuned_file_loads_whatever_its_classes(
    tmp_path: Path, resnet50_state: dict[str, Tensor], n_classes: int | None
) -> None:
    state = {name: tensor for name, tensor in resnet50_state.items() if not name.startswith("fc.")}
    if n_classes:
        state |= {"fc.weight": torch.zeros(n_classes, 2048), "fc.bias": torch.zeros(n_classes)}
    backbone = BACKBONES["resnet50"]
    pixels = torch.from_numpy(some_pixels(backbone, 2))
    with torch.inference_mode():
        found = build_network(backbone, saved(tmp_path / "tuned.safetensors", state))(pixels)
        expected = build_network(backbone, saved(tmp_path / "whole.safetensors", resnet50_state))(pixels)
    assert torch.equal(found, expected)


def test_a_half_precision_file_computes_in_fp32(tmp_path: Path, resnet50_state: dict[str, Tensor]) -> None:
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in resnet50_state.items()}
    network = build_network(BACKBONES["resnet50"], saved(tmp_path / "half.safetensors", halves))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert network(torch.from_numpy(some_pixels(BACKBONES["resnet50"], 1))).dtype == torch.float32


def refusal(backbone: str, weights: Weights) -> str:
    with pytest.raises(WeightsError) as caught, made_once():
        build_network(BACKBONES[backbone], weights)
    assert str(weights.path) in str(caught.value)
    assert backbone in str(caught.value)
    return str(caught.value)


def test_a_smaller_network_is_refused_by_its_first_tensor(tmp_path: Path) -> None:
    message = refusal("resnet50", saved(tmp_path / "resnet18.safetensors", state_of("resnet18.tv_in1k")))
    assert "layer1.0.conv1.weight has shape (64, 64, 3, 3), expected (64, 64, 1, 1)" in message


def test_a_deeper_network_is_refused_by_its_first_tensor(tmp_path: Path) -> None:
    message = refusal("resnet50", saved(tmp_path / "resnet101.safetensors", state_of("resnet101.tv_in1k")))
    assert re.search(r"it has a tensor layer3\.\d+\.\S+ that the network lacks", message)


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path, resnet50_state: dict[str, Tensor]) -> None:
    state = {name: tensor for name, tensor in resnet50_state.items() if name != "layer3.1.conv2.weight"}
    message = refusal("resnet50", saved(tmp_path / "lacking.pth", state))
    assert "it lacks the tensor layer3.1.conv2.weight (256, 256, 3, 3)" in message


def test_another_familys_file_is_refused(tmp_path: Path) -> None:
    state = state_of("mobilenetv3_small_050.lamb_in1k")
    for name in ("resnet50", "xception", "efficientnet_lite0"):
        assert "tensor" in refusal(name, saved(tmp_path / "mobilenet.safetensors", state))


def test_a_truncated_file_is_refused(tmp_path: Path, resnet50_state: dict[str, Tensor]) -> None:
    for name in ("cut.safetensors", "cut.pth"):
        path = tmp_path / name
        saved(path, resnet50_state)
        content = path.read_bytes()
        for share in (0.0, 0.00001, 0.5, 0.999):
            path.write_bytes(content[: int(share * len(content))])
            assert "can be loaded safely" in refusal("resnet50", file_weights(path))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    for name in ("text.pth", "text.safetensors", "text.bin"):
        (tmp_path / name).write_text("<!DOCTYPE html><title>404</title>\n" * 50)
        assert "can be loaded safely" in refusal("resnet50", file_weights(tmp_path / name))


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "notes": "no weights"}, tmp_path / "empty.pth")
    assert "holds no tensors" in refusal("resnet50", file_weights(tmp_path / "empty.pth"))


class _Planted:
    """Unpickling this creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _create_file, (str(self.target),)


def _create_file(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:  # noqa: FBT001
    target = tmp_path / "was-run"
    path = tmp_path / "hostile.pth"
    state = {"conv1.weight": torch.zeros(64, 3, 7, 7), "extra": _Planted(target)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert "can be loaded safely" in refusal("resnet50", file_weights(path))
    path.write_bytes(pickle.dumps(_Planted(target)))
    refusal("resnet50", file_weights(path))
    assert not target.exists()


def torchvisions_vgg19() -> nn.Module:
    """Return the layers of torchvision's VGG19 that give features; its classifier is half a gigabyte beside them."""
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(3)
    features: nn.Module = make_layers(cfgs["E"])
    return nn.ModuleDict({"features": features}).eval()


def test_torchvisions_vgg_names_load_and_give_its_features(tmp_path: Path) -> None:
    from torchvision.models import vgg19

    with torch.device("meta"):
        whole = vgg19(weights=None, init_weights=False).state_dict()
    reference = torchvisions_vgg19()
    numbers = reference.state_dict()
    assert set(whole) - set(numbers) == {f"classifier.{i}.{name}" for i in (0, 3, 6) for name in ("weight", "bias")}
    # The classifier's tensors have their names and shapes, and one number in the place of 124 million.
    state = {name: numbers.get(name, torch.zeros(()).expand(tensor.shape)) for name, tensor in whole.items()}
    torch.save(state, tmp_path / "vgg19-dcbb9e9d.pth")
    backbone = BACKBONES["vgg19"]
    network = build_network(backbone, file_weights(tmp_path / "vgg19-dcbb9e9d.pth"))
    pixels = some_pixels(backbone, 2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        expected = cast("Any", reference).features(batch).mean((2, 3)).numpy()
        found = network(torch.from_numpy(pixels)).numpy()
    assert found.shape == (2, 512)
    assert relative(found, expected) < 1e-4


def test_torchvisions_vgg_names_with_a_tensor_missing_are_refused(tmp_path: Path) -> None:
    state = {name: t for name, t in torchvisions_vgg19().state_dict().items() if name != "features.34.weight"}
    assert "features.34.weight" in refusal("vgg19", saved(tmp_path / "vgg19.pth", state))


@pytest.fixture(scope="module")
def inception_state() -> dict[str, Tensor]:
    return state_of("inception_v3.tv_in1k", aux_logits=True)


def test_training_only_parts_of_inception_are_passed_over(tmp_path: Path, inception_state: dict[str, Tensor]) -> None:
    assert any(name.startswith("AuxLogits.") for name in inception_state)
    network = build_network(BACKBONES["inception_v3"], saved(tmp_path / "inception.pth", inception_state))
    found = network.body.state_dict()
    assert not any(name.startswith("AuxLogits.") for name in found)
    assert torch.equal(found["Mixed_7c.branch_pool.conv.weight"], inception_state["Mixed_7c.branch_pool.conv.weight"])


def test_inception_with_a_tensor_missing_is_refused(tmp_path: Path, inception_state: dict[str, Tensor]) -> None:
    state = {name: t for name, t in inception_state.items() if name != "Mixed_6b.branch1x1.conv.weight"}
    message = refusal("inception_v3", saved(tmp_path / "lacking.pth", state))
    assert "it lacks the tensor Mixed_6b.branch1x1.conv.weight" in message


def test_weights_of_a_package_that_are_another_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lite1.pth"
    torch.save(state_of("tf_efficientnet_lite1.in1k"), path)
    weights = Weights(f"sha256:{sha256_file(path).hex()}", "package", path, by_order=True)
    with pytest.raises(WeightsError, match=r"in the place of .* is a tensor of shape"):
        build_network(BACKBONES["efficientnet_lite0"], weights)
    state = state_of("tf_efficientnet_lite0.in1k")
    torch.save(dict(list(state.items())[:-1]), path)
    weights = Weights(f"sha256:{sha256_file(path).hex()}", "package", path, by_order=True)
    with pytest.raises(WeightsError, match="tensors, the network has"):
        build_network(BACKBONES["efficientnet_lite0"], weights)
