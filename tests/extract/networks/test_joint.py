"""CLIP-like towers give pooled features and those in the space of text; what is one is told by timm's own facts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from stackbone.cache import UsageError, WeightsError
from stackbone.extract.backbones.backbone import Backbone, get_backbone
from stackbone.extract.backbones.weights import Weights, find_weights, random_weights
from stackbone.extract.engines.network import build_outputs
from stackbone.extract.networks.forms import forms_of, list_forms
from stackbone.extract.networks.joint import joint_width
from stackbone.extract.networks.outputs import OutputNetwork
from tests.made.networks import make_vit

TOWER = "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m"
NO_WEIGHTS = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def tower() -> Backbone:
    return get_backbone(f"timm:{TOWER}")


@pytest.fixture(scope="module")
def whole() -> Any:  # noqa: ANN401 - timm has no types
    """Make timm's own model with the projection in its classifier's place."""
    torch.manual_seed(3)
    return timm.create_model(TOWER).eval()


def saved(state: dict[str, Tensor], path: Path, backbone: Backbone) -> Weights:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return find_weights([backbone], {backbone.name: path})[backbone.name]


# Which models have a space


def test_among_all_of_timms_tags_the_clip_like_ones_have_a_projection() -> None:
    found = {
        tag
        for tag in timm.list_pretrained()
        if joint_width(SimpleNamespace(pretrained_cfg=timm.get_pretrained_cfg(tag).to_dict()))
    }
    assert len(found) > 100
    assert all("clip" in tag or "pe_core" in tag for tag in found)
    assert {"vit_base_patch16_clip_224.openai", "eva02_base_patch16_clip_224.merged2b", TOWER} <= found
    assert not {tag for tag in found if tag.endswith(("_ft_in1k", "_ft_in12k", "_ft_in12k_in1k"))}
    assert "vit_base_patch16_224.bamboo" not in found  # 115,217 labels


@pytest.mark.parametrize(("pool", "width"), [("map", 16), ("token", 0), ("avg", 0)])
def test_without_a_classifier_a_pool_by_attention_is_compared_with_text(pool: str, width: int) -> None:
    vit = make_vit(global_pool=pool, class_token=pool == "token")
    vit.pretrained_cfg = {"num_classes": 0}
    assert joint_width(vit) == width


def test_a_tower_that_classifies_has_none() -> None:
    vit = make_vit(global_pool="map", class_token=False, num_classes=1000)
    vit.pretrained_cfg = {"num_classes": 1000}
    assert joint_width(vit) == 0


# What it is


def test_joint_is_what_timms_own_tower_gives_and_pooled_what_goes_into_it(
    tower: Backbone,
    whole: Any,  # noqa: ANN401 - timm has no types
    tmp_path: Path,
) -> None:
    weights = saved(whole.state_dict(), tmp_path / "w.safetensors", tower)
    network = build_outputs(tower, weights, ("joint", "pooled"))
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        joint, pooled = network(pixels)
        expected = whole(network.network.normalise(pixels))
        torch.testing.assert_close(joint, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(whole.head(pooled), expected, rtol=1e-4, atol=1e-5)
    assert [(form.output, form.n_columns) for form in network.forms] == [("joint", 512), ("pooled", 256)]
    assert joint.shape == (2, 512)


def test_pooled_alone_keeps_no_projection_and_its_key(tower: Backbone) -> None:
    network = build_outputs(tower, random_weights(0), ("pooled",))
    assert not [name for name in network.state_dict() if "joint" in name]
    plain = get_backbone("timm:vit_base_patch16_clip_224.openai")
    assert plain.spec(NO_WEIGHTS).fingerprint == "37da3c8fe808"


def test_it_is_offered_without_weights_with_its_width(tower: Backbone) -> None:
    forms, _ = list_forms(tower)
    assert [(form.output, form.n_columns) for form in forms[:2]] == [("pooled", 256), ("joint", 512)]
    with pytest.raises(UsageError, match="efficientnet_lite0 has no output 'joint': it has pooled"):
        forms_of(get_backbone("efficientnet_lite0"), ["joint"])


def test_a_pool_by_attention_is_its_own_joint_space(tower: Backbone) -> None:
    from stackbone.extract.networks.network import FeatureNetwork

    vit = make_vit(global_pool="map", class_token=False, img_size=224, patch_size=56)
    vit.pretrained_cfg = {"num_classes": 0}
    network = OutputNetwork(FeatureNetwork(vit, tower).eval(), tower, ("pooled", "joint"))
    with torch.inference_mode():
        pooled, joint = network(torch.zeros((1, 224, 224, 3), dtype=torch.uint8))
    assert torch.equal(pooled, joint)


@pytest.mark.parametrize("n_classes", [None, 7])
def test_a_file_without_the_projection_gives_pooled_features_alone(
    tower: Backbone,
    whole: Any,  # noqa: ANN401 - timm has no types
    tmp_path: Path,
    n_classes: int | None,
) -> None:
    state = {name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("head.")}
    if n_classes:
        state |= {"head.weight": torch.zeros(n_classes, 256), "head.bias": torch.zeros(n_classes)}
    weights = saved(state, tmp_path / "w.safetensors", tower)
    assert build_outputs(tower, weights, ("pooled",)).forms[0].n_columns == 256
    with pytest.raises(WeightsError, match=r"has no projection of timm:\S+ into the space of a text encoder: head\."):
        build_outputs(tower, weights, ("pooled", "joint"))
