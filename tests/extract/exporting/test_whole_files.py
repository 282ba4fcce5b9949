"""A file with its networks answers from images as the model does from their features, for any number of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stackbone.cache import FeatureStore
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.records.spec import feature_set_id
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, Transform
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.plan import find_specs
from stackbone.extract.embedding.predict import embed_for
from stackbone.extract.exporting.networks import NetworkGraph, describe_pixels, export_networks
from stackbone.extract.exporting.tracing import trace_outputs
from stackbone.extract.images.decode import apply_transform
from stackbone.extract.networks.network import FeatureNetwork
from stackbone.extract.networks.outputs import OutputNetwork
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.onnx_file import write_onnx
from tests.made.networks import make_cnn, make_convnext
from tests.stack.models.test_model import made_map, made_model

onnx = pytest.importorskip("onnx", reason="the onnx extra brings it")
onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra brings it")

# Older ones fail in their own rearrangement of channels where a batch of images is empty.
TAKES_NONE = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TRANSFORMS = {"pixels_32x32": Transform((32, 32), 0.9, "bilinear"), "pixels_48x64": Transform((48, 64), 0.8, "bicubic")}


def test_networks_of_two_sizes_and_of_two_views_answer_as_the_model(tmp_path: Path) -> None:
    networks = [
        Backbone.from_module(make_cnn(), transform, name=name, version="1")
        for name, transform in zip("ab", TRANSFORMS.values(), strict=True)
    ]
    specs = find_specs(modules=networks, views="plain,hflip")
    by_name = {each.name: {i: spec for i, spec in specs.items() if i.startswith(f"{each.name}")} for each in networks}
    assert [len(each) for each in by_name.values()] == [2, 2]
    backbones = []
    for name, own in by_name.items():
        plain = next(identity for identity, spec in own.items() if spec.view == PLAIN)
        others = tuple((identity, spec) for identity, spec in own.items() if identity != plain)
        backbones.append(ModelBackbone(name, plain, own[plain], others))
    model = replace(made_model(), backbones=backbones, bases=[made_map(seed, 8, 3) for seed in range(2)])

    written = write_onnx(model, tmp_path / "m.onnx", export_networks(model.specs, modules=networks))
    assert [(each["name"], each["backbones"]) for each in written.inputs] == [
        ("pixels_32x32", ["a"]),
        ("pixels_48x64", ["b"]),
    ]
    pictures = [np.random.default_rng(i).integers(0, 256, (60 + i, 71, 3), dtype=np.uint8) for i in range(5)]
    store = FeatureStore(tmp_path / "features")
    features = embed_for(model.specs, open_dataset(pictures), store, modules=networks, device="cpu").features
    expected = np.exp(model.log_probabilities(model.blocks(features)))
    pixels = {
        name: np.stack([apply_transform(Image.fromarray(each), transform) for each in pictures]).transpose(0, 3, 1, 2)
        for name, transform in TRANSFORMS.items()
    }
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for n in (5, 2, 1, 0) if TAKES_NONE else (5, 2, 1):
        probabilities, best = session.run(None, {name: each[:n] for name, each in pixels.items()})
        np.testing.assert_allclose(probabilities, expected[:n], atol=1e-4)
        assert best.tolist() == expected[:n].argmax(axis=1).tolist()
    assert np.ptp(expected, axis=0).max() > 1e-3


@pytest.mark.parametrize("network", [make_cnn(), make_convnext()], ids=["cnn", "convnext"])
def test_two_outputs_of_one_network_share_it(tmp_path: Path, network: nn.Module) -> None:
    transform = TRANSFORMS["pixels_32x32"]
    backbone = replace(BACKBONES["resnet50"], name="small", transform=transform, pooling="model")
    outputs = OutputNetwork(FeatureNetwork(network, backbone).eval(), backbone, ["pooled", "stages"]).eval()
    graph, features = trace_outputs(outputs, backbone, {each: (each, PLAIN) for each in ("pooled", "stages")})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    with torch.no_grad():
        expected = [each.numpy() for each in outputs(torch.from_numpy(pixels.transpose(0, 2, 3, 1)))]
    specs = [replace(made_model().backbones[0].spec, output=each) for each in features]
    ids = [feature_set_id("small", each) for each in specs]
    names = ["small", "small@stages"]
    backbones = [ModelBackbone(*each) for each in zip(names, ids, specs, strict=True)]
    bases = [made_map(seed, x.shape[1], 3) for seed, x in enumerate(expected)]
    model = replace(made_model(), backbones=backbones, bases=bases)
    of_ids = dict(zip(ids, features.values(), strict=True))
    network_graph = NetworkGraph("small", graph, describe_pixels(transform), of_ids)
    written = write_onnx(model, tmp_path / "m.onnx", [network_graph])
    nodes = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert nodes.count("Conv") == sum(isinstance(each, nn.Conv2d) for each in network.modules())
    assert [each["name"] for each in written.inputs] == ["pixels"]
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    probabilities, _ = session.run(None, {"pixels": pixels})
    said = np.exp(model.log_probabilities(dict(zip(names, expected, strict=True))))
    np.testing.assert_allclose(probabilities, said, atol=1e-4)
    assert np.ptp(said, axis=0).max() > 1e-4
