"""LoRA adds a product of low rank to frozen projections, and touches nothing else."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

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
    lora = LoraViT(make_vit(), rank=2)
    draw_all(lora)
    merged = make_vit()
    with torch.no_grad():
        for block, qkv, proj in zip(merged.blocks, lora.qkv, lora.proj, strict=True):
            block.attn.qkv.weight += qkv.up @ qkv.down  # type: ignore[operator]
            block.attn.proj.weight += proj.up @ proj.down  # type: ignore[operator]
        found, expected = lora(images), merged(images)
        assert not torch.allclose(found, make_vit()(images), atol=1e-2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


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
