"""TOAST computes its published formulas, costs what it should, and leaves the backbone as it found it."""

from __future__ import annotations

import importlib
import math
import warnings
from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stackbone.cache import UsageError
from stackbone.extract.attention.maps import fused_attention
from stackbone.extract.engines.graphs import import_openvino
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.methods.toast.top_down import LowRankLinear
from tests.made.networks import own_parameters, randomise

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIZE, DIM, HEADS, DEPTH = 32, 48, 3, 3
Floats = NDArray[np.float64]

KINDS: dict[str, dict[str, Any]] = {
    "class token": {},
    "no bias": {"qkv_bias": False},
    "average pool": {"global_pool": "avg"},
    "average and maximum": {"global_pool": "avgmax"},
    "average without class token": {"global_pool": "avg", "class_token": False},
    "average before norm": {"global_pool": "avg", "fc_norm": False},
    "attention pool": {"global_pool": "map", "class_token": False},
    "registers": {"reg_tokens": 4, "no_embed_class": True},
    "dino": {"reg_tokens": 4, "no_embed_class": True, "init_values": 0.1, "dynamic_img_size": True},
    "clip": {"pre_norm": True},
    "qk norm": {"qk_norm": True, "init_values": 0.1},
    "gated attention norm": {"scale_attn_norm": True, "scale_mlp_norm": True},
    "dropout": {"drop_path_rate": 0.5, "proj_drop_rate": 0.5, "patch_drop_rate": 0.5, "drop_rate": 0.5},
    "differential": {"attn_layer": "diff"},
    "deit": {"distilled": True},
}


def make_vit(*, distilled: bool = False, seed: int = 0, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's options
    """Return a ViT of random weights and biases, without classifier, in evaluation mode."""
    kind = VisionTransformerDistilled if distilled else VisionTransformer
    size = {"img_size": SIZE, "patch_size": 8, "embed_dim": DIM, "depth": DEPTH, "num_heads": HEADS}
    vit: nn.Module = kind(**size, num_classes=0, **options)
    randomise(vit, seed)
    return vit.eval()


def images(n: int = 2) -> Tensor:
    return torch.randn((n, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1))


def steered(vit: nn.Module, **options: Any) -> ToastViT:  # noqa: ANN401 - of ToastViT
    """Return TOAST with all matrices of its own at random, so that a missing one shows, and xi at its start."""
    network = ToastViT(vit, **options)
    for seed, part in enumerate((network.feedback, network.output)):
        randomise(part, seed)
    with torch.no_grad():
        network.select.copy_(torch.randn((DIM, DIM), generator=torch.Generator().manual_seed(2)) * 0.2)
        network.train()(images())
    return network.eval()


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_without_output_and_second_bias_it_is_the_plain_vit_to_the_bit(options: dict[str, Any]) -> None:
    vit = make_vit(**options).requires_grad_(requires_grad=False)  # torch 2.6 rounds otherwise where it keeps gradients
    plain = vit(images())
    network = ToastViT(vit, value_bias=False)
    assert torch.equal(network.eval()(images()), plain)
    assert torch.equal(network.train()(images()), plain), "the frozen network must not drop anything in training"


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_what_is_fed_back_changes_the_features(options: dict[str, Any]) -> None:
    vit = make_vit(**options)
    plain = vit(images())
    features = steered(vit, value_bias=False)(images())
    assert features.shape == plain.shape
    assert (features - plain).abs().max() > 1e-3


def test_the_value_bias_counts_twice() -> None:
    network, doubled = ToastViT(make_vit()), make_vit()
    with torch.no_grad():
        for block in cast("Any", doubled).blocks:
            block.attn.qkv.bias[2 * DIM :] *= 2
    torch.testing.assert_close(network.eval()(images()), doubled(images()))


@pytest.mark.parametrize("value_bias", [False, True])
def test_every_formula_is_that_of_a_plain_reference(*, value_bias: bool) -> None:
    network = steered(make_vit(), value_bias=value_bias).double()
    x = images().double()
    with torch.no_grad():
        network.xi.copy_(torch.randn(DIM, generator=torch.Generator().manual_seed(3)))
    tokens = network.embed(x)
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}

    z = layer_norm(reference_blocks(state, tokens.numpy()), state, "body.norm")
    np.testing.assert_allclose(network.first_pass(tokens).numpy(), z, rtol=1e-9, atol=1e-9)

    cosine = z @ state["xi"] / np.linalg.norm(z, axis=-1) / np.linalg.norm(state["xi"])
    assert (cosine < 0).any()
    assert (cosine > 0).any()
    selected = np.einsum("ij,bnj->bni", state["select"], np.clip(cosine, 0, 1)[..., None] * z)
    # Similarities are computed in float32.
    np.testing.assert_allclose(network.selection(torch.from_numpy(z)).detach().numpy(), selected, atol=1e-5)

    h, top_down = selected, {}
    states = network.feed_back(torch.from_numpy(selected))
    for layer in reversed(range(DEPTH)):
        h = h @ state[f"feedback.{layer}.weight"].T
        np.testing.assert_allclose(states[DEPTH - 1 - layer].detach().numpy(), h, rtol=1e-9, atol=1e-9)
        top_down[layer] = h @ state[f"output.{layer}.weight"].T

    second = layer_norm(reference_blocks(state, tokens.numpy(), top_down, value_bias=value_bias), state, "body.norm")
    np.testing.assert_allclose(network.second_pass(tokens, states).detach().numpy(), second, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(network(x).detach().numpy(), second[:, 0], atol=1e-4)


def layer_norm(x: Floats, state: dict[str, Floats], name: str) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scaled: Floats = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def reference_blocks(
    state: dict[str, Floats], x: Floats, top_down: dict[int, Floats] | None = None, *, value_bias: bool = False
) -> Floats:
    """Run the blocks of a plain ViT head by head, values V(x) + V(td); tokens (B, N, d)."""
    for layer in range(DEPTH):
        name = f"body.blocks.{layer}"
        weight, bias = state[f"{name}.attn.qkv.weight"], state[f"{name}.attn.qkv.bias"]
        normed = layer_norm(x, state, f"{name}.norm1")
        q, k, v = np.split(normed @ weight.T + bias, 3, axis=-1)
        if top_down is not None:
            v = v + top_down[layer] @ weight[2 * DIM :].T + value_bias * bias[2 * DIM :]
        out = np.empty_like(v)
        for head in range(HEADS):
            part = slice(head * DIM // HEADS, (head + 1) * DIM // HEADS)
            scores = np.exp(q[..., part] @ k[..., part].transpose(0, 2, 1) / math.sqrt(DIM // HEADS))
            out[..., part] = scores / scores.sum(-1, keepdims=True) @ v[..., part]
        x = x + out @ state[f"{name}.attn.proj.weight"].T + state[f"{name}.attn.proj.bias"]
        normed = layer_norm(x, state, f"{name}.norm2")
        wide = normed @ state[f"{name}.mlp.fc1.weight"].T + state[f"{name}.mlp.fc1.bias"]
        wide = wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2
        x = x + wide @ state[f"{name}.mlp.fc2.weight"].T + state[f"{name}.mlp.fc2.bias"]
    return x


def test_the_variational_loss_compares_the_second_pass_with_what_the_feedback_makes_of_it() -> None:
    network = steered(make_vit()).train()
    stream: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _, inputs, out: stream.extend([inputs[0].detach(), out.detach()]))
        for block in network.body.blocks
    ]
    network(images())
    for hook in hooks:
        hook.remove()
    second = stream[2 * DEPTH :]  # the first pass came before
    expected = 0.0
    for n in range(DEPTH):
        below, above = second[2 * n].numpy(), second[2 * n + 1].numpy()
        weight = network.state_dict()[f"feedback.{n}.weight"].numpy()
        expected += float(np.mean((above @ weight.T - below) ** 2))
    loss = network.variational_loss()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {f"feedback.{n}.weight" for n in range(DEPTH)}


def test_the_variational_loss_is_of_the_last_pass_in_training_and_of_no_other() -> None:
    network = steered(make_vit()).train()
    network(images())
    network.variational_loss()
    with pytest.raises(RuntimeError, match="no forward pass in training mode"):
        network.variational_loss()
    network(images())
    network.eval()(images())
    with pytest.raises(RuntimeError, match="no forward pass"):
        network.variational_loss()
    with torch.no_grad():
        network.train()(images())
    with pytest.raises(RuntimeError, match="no forward pass"):
        network.variational_loss()


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_reach_the_steering_and_nothing_of_the_backbone(options: dict[str, Any]) -> None:
    network = steered(make_vit(**options)).train()
    network(images()).square().sum().backward()
    for name, parameter in own_parameters(network).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert {"xi", "select", "feedback.0.weight", "output.2.weight"} <= own_parameters(network).keys()
    assert all(p.grad is None and not p.requires_grad for p in network.body.parameters())


def test_the_first_pass_keeps_nothing_for_a_backward_pass() -> None:
    network = steered(make_vit()).train()
    assert not network.first_pass(network.embed(images().requires_grad_())).requires_grad


def test_the_task_embedding_starts_where_the_first_training_images_are() -> None:
    network = ToastViT(make_vit())
    assert not network.eval().selection(torch.ones(1, 2, DIM)).any(), "nothing is selected before it"
    assert not network.xi.any()
    network.train()
    z = network.first_pass(network.embed(images()))
    network(images())
    start = network.xi.detach().clone()
    units = (z / z.norm(dim=-1, keepdim=True)).reshape(-1, DIM)
    torch.testing.assert_close(start, DIM**0.5 * units.mean(0) / units.mean(0).norm())
    assert network.similarity(z).mean() > 0.1
    network(images().flip(0) * 2)
    assert torch.equal(network.xi, start), "later batches leave it alone"


def test_training_leaves_its_start() -> None:
    network = ToastViT(make_vit()).train()
    target = torch.randn((2, DIM), generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    before = {name: p.detach().clone() for name, p in own_parameters(network).items()}
    losses = []
    for _ in range(3):
        loss = (network(images()) - target).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]
    assert all(not torch.equal(before[name], p) for name, p in own_parameters(network).items())


def test_the_backbone_is_as_it_was_afterwards() -> None:
    vit = make_vit()
    names, plain = list(vit.state_dict()), vit(images())
    network = steered(vit)
    network.train()(images()).sum().backward()
    assert [name.removeprefix("body.") for name in network.state_dict() if name.startswith("body.")] == names
    assert torch.equal(vit(images()), plain)
    assert not any(part._forward_hooks for part in network.modules())


def test_a_failure_inside_a_block_leaves_no_trace() -> None:
    network = steered(make_vit())
    expected = network(images())

    def fail(*_: object) -> None:
        message = "out of memory"
        raise RuntimeError(message)

    hook = network.body.blocks[1].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        network.second_pass(network.embed(images()), [torch.zeros(2, 17, DIM)] * DEPTH)
    hook.remove()
    assert not any(part._forward_hooks for part in network.modules())
    assert torch.equal(network(images()), expected)


def test_a_traced_network_gives_the_same_for_any_batch() -> None:
    network = steered(make_vit())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated, and timm's shape checks warn in it
        traced = torch.jit.trace(network, images(2))  # type: ignore[no-untyped-call]
        torch.testing.assert_close(traced(images(5)), network(images(5)))


def test_openvino_takes_it_for_any_batch() -> None:
    openvino = import_openvino()
    front_end = importlib.import_module("openvino.frontend").FrontEndManager().load_by_framework("pytorch")
    decoders = importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    network = steered(make_vit())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the decoder traces
        decoder = decoders.TorchScriptPythonDecoder(network, example_input=images(2))
        graph = front_end.convert(front_end.load(decoder))
    graph.reshape([-1, 3, SIZE, SIZE])
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(images(5).numpy())[0], network(images(5)).detach().numpy(), atol=1e-4)


def test_autocast_computes_nearly_the_same() -> None:
    network = steered(make_vit()).train()
    expected = network(images()).detach()
    with torch.autocast("cpu", torch.bfloat16):
        features = network(images())
        (features.float().square().sum() + network.variational_loss()).backward()
    assert (features - expected).abs().max() < 0.1 * expected.abs().max()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in own_parameters(network).values())
    assert torch.isfinite(
        torch.cat([p.grad.flatten() for p in own_parameters(network).values() if p.grad is not None])
    ).all()


@pytest.fixture(scope="module")
def vit_base() -> nn.Module:
    with torch.device("meta"):
        vit: nn.Module = timm.create_model("vit_base_patch16_224", num_classes=0)
    return vit.eval()


def test_as_many_parameters_are_tuned_as_published(vit_base: nn.Module) -> None:
    def tuned(*, lite: bool) -> tuple[int, float]:
        with torch.device("meta"):
            network = ToastViT(vit_base, lite=lite)
        count = sum(p.numel() for p in network.parameters() if p.requires_grad)
        return count, count / sum(p.numel() for p in network.parameters())

    d, depth = 768, 12
    count, share = tuned(lite=False)
    assert count == d + d * d * (1 + 2 * depth)
    assert share == pytest.approx(0.147, abs=0.001)
    count, share = tuned(lite=True)
    assert count == d + d * d + 2 * depth * 2 * 4 * d
    assert share < 0.01


def test_the_second_pass_costs_a_pass_and_a_quarter(vit_base: nn.Module) -> None:
    def flops(network: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), fused_attention(network, enabled=False):
            network(torch.empty((1, 3, 224, 224), device="meta"))
        return int(counter.get_total_flops())

    with torch.device("meta"):
        network = ToastViT(vit_base).eval()
    assert 2.0 < flops(network) / flops(vit_base) < 2.3


def test_lite_trains_low_rank_matrices_beside_the_frozen_ones() -> None:
    full, lite = steered(make_vit()), ToastViT(make_vit(), lite=True, rank=2).eval()
    missing, unexpected = lite.load_state_dict(full.state_dict(), strict=False)
    assert unexpected == []
    assert {name.rsplit(".", 1)[1] for name in missing} == {"down", "up"}
    assert torch.equal(lite(images()), full(images())), "it starts where the pre-trained steering ended"

    lite.train()(images()).square().sum().backward()
    trained = {name for name, p in own_parameters(lite).items() if p.grad is not None}
    low_rank = {
        f"{part}.{n}.{factor}" for part in ("feedback", "output") for n in range(3) for factor in ("down", "up")
    }
    assert trained == {"xi", "select", *low_rank}
    assert lite.state_dict()["feedback.0.down"].shape == (2, DIM)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_low_rank_matrix_is_the_sum_of_both(scale: float) -> None:
    matrix = LowRankLinear(5, 2, scale)
    randomise(matrix, 0)
    x = torch.randn((3, 4, 5), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(matrix(x), x @ (matrix.weight + scale * matrix.up @ matrix.down).T)


def test_the_authors_recipe_trains_what_they_train(vit_base: nn.Module) -> None:
    def tuned(*, lite: bool) -> int:
        with torch.device("meta"):
            network = ToastViT(vit_base, lite=lite, alpha=1)
            network.train_as_released()
        return sum(p.numel() for p in network.parameters() if p.requires_grad)

    assert tuned(lite=False) == 14_156_544
    assert tuned(lite=True) == 768 + 768 * 768 + 24 * 2 * 4 * 768
    assert ToastViT(make_vit(), lite=True, rank=4, alpha=1).feedback[0].scale == 0.25


def test_the_authors_recipe_drops_paths_in_both_passes_of_training_alone() -> None:
    network = steered(make_vit())
    plain = network(images())
    trained = {name: each.clone() for name, each in own_parameters(network).items()}
    network.train_as_released()
    drawn = own_parameters(network)
    assert all(
        0.01 < float(drawn[name].detach().std()) < 0.03 for name in ("xi", "feedback.1.weight", "output.2.weight")
    )
    with torch.no_grad():
        for name, each in trained.items():
            drawn[name].copy_(each)
    torch.testing.assert_close(network(images()), plain)
    assert not any(module.training for module in network.body.modules())

    rates = [block.drop_path2.drop_prob for block in network.body.blocks]
    assert rates == pytest.approx([0.0, 0.05, 0.1])
    network.train()
    assert [name for name, module in network.body.named_modules() if module.training] == [
        f"blocks.{number}.drop_path{half}" for number in range(DEPTH) for half in (1, 2)
    ]
    tokens = network.embed(images(64))
    torch.manual_seed(0)
    assert not torch.equal(network.first_pass(tokens), network.first_pass(tokens))
    states = network.feed_back(network.selection(network.first_pass(tokens)))
    assert not torch.equal(network.second_pass(tokens, [*states]), network.second_pass(tokens, [*states]))


def test_a_network_that_is_no_vit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"VisionTransformer, and ResNet is not one.*finetune"):
        ToastViT(timm.create_model("resnet18", num_classes=0))
    with pytest.raises(UsageError, match=r"attn\.qkv.*ParallelScalingBlock"):
        ToastViT(make_vit(block_fn=ParallelScalingBlock))
