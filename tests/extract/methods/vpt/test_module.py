"""Prompts stand beside the image's tokens in every block, each block's own in the place of the one before's."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stackbone.extract.methods.vpt.module import PromptedViT
from tests.made.networks import make_vit


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def reference(vit: Any, prompts: nn.ModuleList, x: Tensor) -> Tensor:  # noqa: ANN401
    """Jia et al. 2022, equation 5, with the prompt behind the class token, where they have it."""
    tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(x)))
    for block, prompt in zip(vit.blocks, prompts, strict=True):
        own: Any = prompt
        n = len(own.tokens)
        joint = torch.cat([tokens[:, :1], own.tokens.expand(len(x), -1, -1), tokens[:, 1:]], dim=1)
        joint = block(joint)
        tokens = torch.cat([joint[:, :1], joint[:, 1 + n :]], dim=1)
    features: Tensor = vit.forward_head(vit.norm(tokens), pre_logits=True)
    return features


@pytest.mark.parametrize("options", [{}, {"reg_tokens": 2}, {"global_pool": "avg"}, {"pre_norm": True}])
def test_equals_a_plain_reference(images: Tensor, options: dict[str, Any]) -> None:
    vpt = PromptedViT(make_vit(**options), n_prompts=3)
    with torch.no_grad():
        expected = reference(make_vit(**options), vpt.prompts, images)
        torch.testing.assert_close(vpt(images), expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(expected, make_vit(**options)(images), atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"reg_tokens": 2}, {"global_pool": "avg"}])
def test_shallow_prompts_go_through_every_block(images: Tensor, options: dict[str, Any]) -> None:
    """Jia et al. 2022, equation 4: inserted before the first block, and carried along."""
    vpt: Any = PromptedViT(make_vit(**options), n_prompts=3, shallow=True)
    vit = make_vit(**options)
    with torch.no_grad():
        tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
        joint = torch.cat([tokens[:, :1], vpt.prompts[0].tokens.expand(len(images), -1, -1), tokens[:, 1:]], dim=1)
        for block in vit.blocks:
            joint = block(joint)
        tokens = torch.cat([joint[:, :1], joint[:, 4:]], dim=1)
        expected = vit.forward_head(vit.norm(tokens), pre_logits=True)
        torch.testing.assert_close(vpt(images), expected, rtol=1e-5, atol=1e-5)
        deep = PromptedViT(make_vit(**options), n_prompts=3)
        assert not torch.allclose(deep(images), expected, atol=1e-3)
    assert [each.shape for each in vpt.parameters() if each.requires_grad] == [(3, 16)]


@pytest.mark.parametrize(("options", "place"), [({}, 1), ({"reg_tokens": 2}, 3), ({"class_token": False}, 0)])
@pytest.mark.parametrize("shallow", [False, True])
def test_prompts_stand_behind_the_class_token(
    images: Tensor, options: dict[str, Any], place: int, *, shallow: bool
) -> None:
    options = options | ({"global_pool": "avg"} if place == 0 else {})
    vpt: Any = PromptedViT(make_vit(**options), n_prompts=2, shallow=shallow)
    seen: list[Tensor] = []
    hook = vpt.body.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    vpt(images)
    hook.remove()
    plain = vpt.body.norm_pre(vpt.body._pos_embed(vpt.body.patch_embed(images)))
    assert torch.equal(seen[0][:, :place], plain[:, :place])
    assert torch.equal(seen[0][1, place : place + 2], vpt.prompts[0].tokens)
    assert torch.equal(seen[0][:, place + 2 :], plain[:, place:])


def test_gradients_reach_the_prompts_and_nothing_of_the_backbone(images: Tensor) -> None:
    vpt = PromptedViT(make_vit(), n_prompts=3)
    vpt.train()(images).square().sum().backward()
    assert not vpt.body.training
    assert all(parameter.grad is None for parameter in vpt.body.parameters())
    trained = [each for each in vpt.parameters() if each.requires_grad]
    assert [each.shape for each in trained] == [(3, 16), (3, 16)]
    assert all(each.grad is not None and bool(each.grad.any()) for each in trained)


def test_prompts_start_within_the_published_bound() -> None:
    torch.manual_seed(3)
    tokens = torch.cat([each.detach().ravel() for each in PromptedViT(make_vit(), n_prompts=50).prompts.parameters()])
    bound = (6 / (3 * 8 * 8 + 16)) ** 0.5
    assert float(tokens.abs().max()) <= bound
    assert float(tokens.abs().max()) > 0.95 * bound
    assert abs(float(tokens.mean())) < 0.02


def test_it_can_be_traced_for_another_engine(images: Tensor) -> None:
    vpt = PromptedViT(make_vit(), n_prompts=3).eval().requires_grad_(requires_grad=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated in favour of export
        traced = torch.jit.trace(vpt, images)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(images[:1]), vpt(images[:1]))


def test_the_backbone_keeps_timms_names() -> None:
    assert list(PromptedViT(make_vit()).body.state_dict()) == list(make_vit().state_dict())
