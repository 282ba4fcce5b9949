"""LoRA adds a product of low rank to frozen projections, and touches nothing else."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stackbone.cache import UsageError
from stackbone.extract.methods.lora.module import LoraViT
from tests.made.networks import make_vit


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def draw_all(method: nn.Module) -> None:
    """Give every trained parameter random values: the sums start at zero."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


@pytest.mark.parametrize("options", [{}, {"reg_tokens": 2}, {"global_pool": "avg"}, {"qkv_bias": False}])
def test_it_starts_at_the_plain_network(images: Tensor, options: dict[str, Any]) -> None:
    expected = make_vit(**options)(images)
    assert torch.equal(LoraViT(make_vit(**options), rank=2)(images), expected)


def test_it_equals_the_network_whose_weights_hold_the_products(images: Tensor) -> None:
    lora: Any = LoraViT(make_vit(), rank=2)
    draw_all(lora)
    merged = make_vit()
    with torch.no_grad():
        for block, qkv, proj in zip(merged.blocks, lora.qkv, lora.proj, strict=True):
            block.attn.qkv.weight += qkv.up @ qkv.down
            block.attn.proj.weight += proj.up @ proj.down
        found, expected = lora(images), merged(images)
        assert not torch.allclose(found, make_vit()(images), atol=1e-2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("targets", ["q_proj,v_proj", "k_proj", "q_proj,k_proj,v_proj,proj,fc1,fc2"])
@pytest.mark.parametrize("alpha", [None, 1, 8.0])
def test_targets_by_pefts_names_are_slices_of_timms_projection(
    images: Tensor, targets: str, alpha: float | None
) -> None:
    """Against merged weights: W + alpha / r · B A, of which q, k and v are the thirds of ``qkv``."""
    lora = LoraViT(make_vit(), rank=2, alpha=alpha, targets=targets)
    draw_all(lora)
    scale = 1.0 if alpha is None else alpha / 2
    merged: Any = make_vit()
    with torch.no_grad():
        for number, block in enumerate(merged.blocks):
            q, k, v = block.attn.qkv.weight.chunk(3)  # views
            weights = {"q_proj": q, "k_proj": k, "v_proj": v, "proj": block.attn.proj.weight}
            weights |= {"fc1": block.mlp.fc1.weight, "fc2": block.mlp.fc2.weight}
            for target in targets.split(","):
                factors: Any = lora.get_submodule(f"{target}.{number}")
                weights[target] += scale * factors.up @ factors.down
        found, expected = lora(images), merged(images)
        assert not torch.allclose(found, make_vit()(images), atol=1e-4)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    trained = {name.split(".")[0] for name, each in lora.named_parameters() if each.requires_grad}
    assert trained == set(targets.split(","))


def test_three_slices_of_rank_r_are_no_joint_update_of_rank_r() -> None:
    sliced, joint = LoraViT(make_vit(), rank=2, targets="q_proj,k_proj,v_proj"), LoraViT(make_vit(), rank=2)
    assert [each.shape for each in sliced.get_submodule("v_proj.0").parameters()] == [(2, 16), (16, 2)]
    assert [each.shape for each in joint.get_submodule("qkv.0").parameters()] == [(2, 16), (48, 2)]


def test_a_layer_that_the_blocks_lack_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"--targets names fc1, the layer mlp\.fc1 of every block, .* have none"):
        LoraViT(make_vit(mlp_layer=nn.Identity), targets="proj,fc1")


def test_gradients_reach_the_sums_and_nothing_of_the_backbone(images: Tensor) -> None:
    lora = LoraViT(make_vit(), rank=2)
    draw_all(lora)
    lora.train()(images).square().sum().backward()
    assert not lora.body.training
    assert all(parameter.grad is None for parameter in lora.body.parameters())
    trained = {name: each for name, each in lora.named_parameters() if each.requires_grad}
    assert len(trained) == 2 * 2 * 2
    assert all(each.grad is not None and each.grad.any() for each in trained.values())
    # rank times (d + 3d) for the queries, keys and values, and rank times (d + d) behind them, in each block
    assert sum(each.numel() for each in trained.values()) == 2 * 2 * (4 * 16 + 2 * 16)


def test_it_can_be_traced_for_another_engine(images: Tensor) -> None:
    lora = LoraViT(make_vit(), rank=2)
    draw_all(lora)
    lora.eval().requires_grad_(requires_grad=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated in favour of export
        traced = torch.jit.trace(lora, images)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(images[:1]), lora(images[:1]))


def test_the_backbone_keeps_timms_names(images: Tensor) -> None:
    assert list(LoraViT(make_vit()).body.state_dict()) == list(make_vit().state_dict())


def test_a_copy_has_sums_of_its_own(images: Tensor) -> None:
    lora = LoraViT(make_vit(), rank=2)
    before = lora(images)
    twin = copy.deepcopy(lora)
    draw_all(twin)
    assert torch.equal(lora(images), before)
    assert not torch.allclose(twin(images), before, atol=1e-3)
