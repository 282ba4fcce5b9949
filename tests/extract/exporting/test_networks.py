"""A network as an ONNX graph gives the features that torch gives, or is refused by name."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stackbone.cache import FeatureSpec, FeatureStore, ModelError, UsageError, feature_set_id
from stackbone.cache.records.given import GIVEN
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, Transform
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.plan import find_specs
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.engines.engine import TorchEngine
from stackbone.extract.exporting.networks import describe_pixels, export_networks, precision_note
from stackbone.extract.exporting.tracing import trace_network, trace_outputs
from stackbone.extract.images.decode import apply_transform
from stackbone.extract.methods.method import build_method
from stackbone.extract.networks.network import FeatureNetwork
from stackbone.extract.networks.outputs import OutputNetwork
from tests.made.checkout import ROOT
from tests.made.networks import make_cnn, make_convnext, make_vit, randomise, relative

onnx = pytest.importorskip("onnx", reason="the onnx extra brings it")
onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra brings it")

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SMALL = Transform((16, 16), 0.875, "bicubic")
LITE = replace(BACKBONES["efficientnet_lite0"], name="tiny", transform=Transform((64, 64), 0.875, "bicubic"))


def run(graph: Any, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:  # noqa: ANN401 - of onnx
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, {"pixels": pixels}), strict=True))


def pixels_of(n: int, transform: Transform) -> NDArray[np.uint8]:
    """Return (n, height, width, 3)."""
    height, width = transform.input_size
    return np.random.default_rng(1).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def own(network: nn.Module, name: str = "mine", transform: Transform = SMALL) -> Backbone:
    return Backbone.from_module(network, transform, name=name, version="1")


def test_a_network_gives_the_features_of_every_output_and_view_of_any_number_of_images() -> None:
    outputs, views = ("pooled", "stages", "map"), ("plain", "hflip")
    wanted = {f"{output} {view}": (output, view) for output in outputs for view in views}
    graph, features = trace_network(LITE, random_weights(0), wanted)
    pixels = pixels_of(5, LITE.transform)
    engine = TorchEngine(LITE, random_weights(0), "cpu", outputs=outputs)
    whole, alone = (run(graph, each.transpose(0, 3, 1, 2)) for each in (pixels, pixels[:1]))
    for view, seen in (("plain", pixels), ("hflip", np.ascontiguousarray(pixels[:, :, ::-1]))):
        for output, expected in zip(outputs, engine.embed(seen), strict=True):
            kept, allowed = expected, 1e-4
            if output == "map":  # as a cache keeps it
                kept, allowed = expected.astype(np.float16).astype(np.float32), 2e-3
            assert relative(whole[features[f"{output} {view}"]], kept) < allowed
            assert relative(alone[features[f"{output} {view}"]], kept[:1]) < allowed


@pytest.mark.parametrize(
    "network",
    [make_cnn(), make_vit(), make_vit(class_token=False, global_pool="avg"), make_convnext()],
    ids=["cnn", "vit", "vit without class token", "convnext"],
)
def test_networks_of_ones_own_are_found_as_embed_for_finds_them(tmp_path: Path, network: nn.Module) -> None:
    transform = Transform((32, 32), 0.9, "bilinear") if not hasattr(network, "patch_embed") else SMALL
    mine = own(network, transform=transform)
    specs = find_specs(modules=[mine])
    [graph] = export_networks(specs, modules=[mine])
    pictures = [np.random.default_rng(i).integers(0, 256, (40 + i, 52, 3), dtype=np.uint8) for i in range(3)]
    embedded = embed_for(specs, open_dataset(pictures), FeatureStore(tmp_path / "f"), modules=[mine], device="cpu")
    [(identity, expected)] = embedded.features.items()
    pixels = np.stack([apply_transform(Image.fromarray(each), transform) for each in pictures])
    found = run(graph.graph, pixels.transpose(0, 3, 1, 2))[graph.features[identity]]
    assert relative(found, expected) < 1e-4
    assert (graph.name, graph.pixels) == ("mine", describe_pixels(transform))


@pytest.mark.parametrize("method", ["toast", "toast-lite", "lora", "vpt", "finetune"])
def test_steered_networks_give_the_features_that_they_give_in_torch(method: str) -> None:
    steered = build_method(method, make_vit(), {})
    randomise(steered, seed=1)
    backbone = replace(BACKBONES["vit_base"], name="vit_steered", transform=SMALL, pooling="model")
    network = OutputNetwork(FeatureNetwork(steered, backbone).eval(), backbone, ["pooled"]).eval()
    graph, features = trace_outputs(network, backbone, {"it": ("pooled", "plain")})
    pixels = pixels_of(5, SMALL)
    with torch.no_grad():
        [expected] = network(torch.from_numpy(pixels))
    assert relative(run(graph, pixels.transpose(0, 3, 1, 2))[features["it"]], expected.numpy()) < 1e-4


def test_networks_of_one_transform_have_equal_pixels() -> None:
    mine, yours, other = (
        own(make_cnn(), name, transform)
        for name, transform in (("a", SMALL), ("b", SMALL), ("c", replace(SMALL, interpolation="bilinear")))
    )
    specs = find_specs(modules=[mine, yours, other])
    found = {each.name: each for each in export_networks(specs, modules=[mine, yours, other])}
    assert found["a"].pixels == found["b"].pixels
    assert found["a"].pixels != found["c"].pixels


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (
            Transform((224, 224), 0.875, "bicubic"),
            "its shorter side has 256 pixels, the longer one rounded down, by bicu",
        ),
        (Transform((240, 240), 1.0, "bilinear", "squash"), r"to 240 x 240 pixels \(width x height\), whatever its sha"),
        (Transform((96, 64), 0.8, "bicubic"), "until it just covers 80 x 120 pixels .*, rounded to whole"),
    ],
)
def test_how_to_resize_is_said_in_words(transform: Transform, words: str) -> None:
    said = describe_pixels(transform)
    assert re.search(words, said["how"])
    assert (said["height"], said["width"]) == transform.input_size


@pytest.mark.parametrize("size", [(100, 151), (151, 100), (90, 90), (640, 97), (31, 200)])
@pytest.mark.parametrize(
    "transform",
    [
        Transform((96, 64), 0.8, "bicubic"),
        Transform((64, 96), 0.9, "bilinear"),
        Transform((64, 64), 0.875, "bicubic"),
        Transform((64, 64), 0.9, "bilinear", "squash"),
        Transform((96, 64), 1.0, "bicubic", "squash"),
    ],
    ids=str,
)
def test_the_documents_code_makes_the_pixels_that_extract_makes(
    tmp_path: Path, transform: Transform, size: tuple[int, int]
) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)[1]
    scope: dict[str, Any] = {}
    exec(code.partition("session =")[0], scope)
    width, height = size
    noise = np.random.default_rng(3).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    picture.save(tmp_path / "photo.png")
    found = scope["pixels_of"](tmp_path / "photo.png", describe_pixels(transform))
    expected = apply_transform(picture, transform).transpose(2, 0, 1)[None]
    assert np.abs(found.astype(int) - expected).max() <= 1


# What is refused, by name


class Rowwise(nn.Module):
    """Goes through the images one by one in Python: a traced graph has as many as were traced."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([image.mean((1, 2)) for image in x])


class Branching(nn.Module):
    """Depends on the images in a way that tracing does not see, but for a mixture within the batch."""

    def forward(self, x: Tensor) -> Tensor:
        sizes = [float(image.mean()) for image in x]
        return x.mean((2, 3)) * torch.tensor(sizes)[:, None]


class BranchingOnBrightness(nn.Module):
    """Does something else with a batch that is brighter or darker than the one that was traced."""

    def __init__(self, least: float) -> None:
        super().__init__()
        self.least = least

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * (2.0 if float(x[:1].mean()) > self.least else 1.0)


class WithoutCounterpart(nn.Module):
    """Takes singular values, for which ONNX has no operator."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.linalg.svdvals(x[:, 0])
        return found


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Rowwise(), "gives other features there than in torch|cannot run it"),
        (Branching(), "gives other features there than in torch|cannot run it"),
        (BranchingOnBrightness(-0.5), "gives other features there than in torch"),
        (BranchingOnBrightness(0.1), "gives other features there than in torch"),
        (BranchingOnBrightness(0.5), "gives other features there than in torch"),
        (WithoutCounterpart(), r"cannot be written as ONNX \(torch: "),
    ],
    ids=["loop", "branch", "dark", "middle", "bright", "operator"],
)
def test_a_network_that_no_graph_holds_is_refused_by_name(network: nn.Module, words: str) -> None:
    mine = own(network)
    with pytest.raises(ModelError, match=rf"mine .*({words}).*Leave --with-backbones out"):
        export_networks(find_specs(modules=[mine]), modules=[mine])


def test_a_failure_of_the_machine_is_not_told_as_one_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = own(make_cnn())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match="gone"):
        export_networks(find_specs(modules=[mine]), modules=[mine])


def test_a_network_that_is_too_large_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbone.extract.exporting.tracing.MOST_BYTES", 1000)
    mine = own(make_cnn())
    with pytest.raises(ModelError, match=r"mine has .* GB of weights, and an ONNX file at most"):
        export_networks(find_specs(modules=[mine]), modules=[mine])


def spec_of(name: str, **changes: Any) -> dict[str, FeatureSpec]:  # noqa: ANN401 - fields of a spec
    spec = replace(BACKBONES[name].spec("sha256:00"), **changes)
    return {feature_set_id(name, spec): spec}


@pytest.mark.parametrize("view", ["top_left", "augment0", "bottom_right_hflip"])
def test_views_that_no_graph_makes_are_refused_before_any_network_is_loaded(view: str) -> None:
    with pytest.raises(UsageError, match=rf"the model takes resnet50~{view}: .*of which it can make plain and hflip"):
        export_networks({**spec_of("resnet50"), **spec_of("resnet50", view=view)})


def test_features_that_were_given_have_no_network() -> None:
    with pytest.raises(UsageError, match="given"):
        export_networks(spec_of("resnet50", architecture=GIVEN))


def test_a_steered_network_needs_its_file() -> None:
    with pytest.raises(UsageError, match="Give that file: --steering FILE"):
        export_networks(spec_of("vit_base", steering="ab" * 32))


def test_a_network_that_is_the_users_own_needs_its_module() -> None:
    specs = find_specs(modules=[own(make_cnn())])
    with pytest.raises(UsageError, match="mine"):
        export_networks(specs)


def test_weights_of_no_network_are_refused(tmp_path: Path) -> None:
    mine = own(make_cnn())
    with pytest.raises(UsageError, match=r"--weights names resnet50, and the model's backbones are mine"):
        export_networks(find_specs(modules=[mine]), modules=[mine], weights={"resnet50": tmp_path / "w"})


@pytest.mark.parametrize(("precision", "said"), [("fp32", False), ("bf16", True), ("fp16", True)])
def test_another_precision_is_told(precision: str, said: bool) -> None:  # noqa: FBT001 - a parameter of a test
    note = precision_note(spec_of("resnet50", precision=precision))
    assert (note is not None and precision in note) is said
