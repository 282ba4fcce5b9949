"""TOAST for ConvNeXt adds what its transposed convolutions bring down to the input of each stage."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from stackbone.cache import UsageError
from stackbone.extract.methods.method import load_parameters, rebuild_method
from stackbone.extract.methods.toast.convnext import Deconvolution, ToastConvNext
from stackbone.extract.steering_files.file import read_steering
from tests.made import networks
from tests.made.checkout import ARCHIVES
from tests.made.networks import own_parameters, randomise

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SIZE, DIMS = 64, (8, 16, 24, 32)
Floats = NDArray[np.float64]

KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "norm before pool": {"head_norm_first": True},
    "dilated": {"output_stride": 16},
    "overlapping stem": {"stem_type": "overlap_tiered"},
    "convolutional layers": {"conv_mlp": True, "use_grn": True, "ls_init_value": None},
    "stochastic depth": {"drop_path_rate": 0.5},
}


def make_convnext(seed: int = 0, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's options
    """Return a ConvNeXt of random weights and biases, without classifier, in evaluation mode."""
    convnext: nn.Module = ConvNeXt(depths=(1, 1, 2, 1), dims=DIMS, num_classes=0, **options)
    randomise(convnext, seed)
    return convnext.eval()


def images(size: int = SIZE, n: int = 2) -> Tensor:
    return torch.randn((n, 3, size, size), generator=torch.Generator().manual_seed(1))


WAYS = pytest.mark.parametrize("as_released", [True, False], ids=["as released", "as in earlier steerings"])


def steered(convnext: nn.Module, **options: Any) -> ToastConvNext:  # noqa: ANN401 - of ToastConvNext
    """Return TOAST with all weights of its own at random, so that a missing one shows, and xi at its start."""
    network = ToastConvNext(convnext, **options)
    for seed, part in enumerate((network.feedback, network.output)):
        randomise(part, seed)
    with torch.no_grad():
        network.select.copy_(torch.randn((DIMS[-1], DIMS[-1]), generator=torch.Generator().manual_seed(2)) * 0.2)
        network.train()(images())
    return network.eval()


@pytest.mark.parametrize("size", [64, 101], ids=["even sizes", "odd sizes"])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@WAYS
def test_without_output_it_is_the_plain_network_to_the_bit(
    options: dict[str, Any], size: int, *, as_released: bool
) -> None:
    convnext = make_convnext(**options)
    plain = convnext(images(size))
    network = ToastConvNext(convnext, as_released=as_released)
    assert torch.equal(network.eval()(images(size)), plain)
    assert torch.equal(network.train()(images(size)), plain)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_gradients_reach_the_steering_and_nothing_of_the_backbone(options: dict[str, Any]) -> None:
    network = steered(make_convnext(**options)).train()
    (network(images(100)).square().sum() + network.variational_loss()).backward()
    for name, parameter in own_parameters(network).items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert {"xi", "select", "feedback.0.weight", "output.3.weight"} <= own_parameters(network).keys()
    assert all(p.grad is None and not p.requires_grad for p in network.body.parameters())


@pytest.mark.parametrize("size", [64, 101], ids=["even sizes", "odd sizes"])
@WAYS
def test_every_formula_is_that_of_a_plain_reference(size: int, *, as_released: bool) -> None:
    network = steered(make_convnext(), as_released=as_released).double()
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    inputs, raw = network.first_pass(images(size).double())
    first = images(size).double() if as_released else network.body.stem(images(size).double())
    assert torch.equal(inputs[0], first)

    last = network.body.stages[3](inputs[3]).detach().numpy()
    np.testing.assert_allclose(raw.numpy(), last, rtol=1e-9, atol=1e-9)
    centred = last - last.mean(1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-6)
    per_channel = (slice(None), None, None)
    normed = normed * state["body.head.norm.weight"][per_channel] + state["body.head.norm.bias"][per_channel]
    np.testing.assert_allclose(network.normed(raw).numpy(), normed, rtol=1e-9, atol=1e-9)

    cosine = (
        np.einsum("c,bchw->bhw", state["xi"], normed) / np.linalg.norm(normed, axis=1) / np.linalg.norm(state["xi"])
    )
    fed_back = last if as_released else normed
    h = np.einsum("ij,bjhw->bihw", state["select"], np.clip(cosine, 0, 1)[:, None] * fed_back)
    selected = network.select_positions(raw)
    np.testing.assert_allclose(selected.detach().numpy(), h, atol=1e-5)  # similarities are computed in float32

    h, expected = selected.detach().numpy(), inputs[0]
    states = network.feed_back(selected, inputs)
    for stage in reversed(range(4)):
        h = enlarge(h, state[f"feedback.{stage}.weight"], inputs[stage].shape)
        np.testing.assert_allclose(states[3 - stage].detach().numpy(), h, rtol=1e-9, atol=1e-9)
    for stage in range(4):
        td = np.einsum("io,bihw->bohw", state[f"output.{stage}.weight"][:, :, 0, 0], states[3 - stage].detach().numpy())
        expected = expected + torch.from_numpy(td)
        if stage == 0 and as_released:
            expected = network.body.stem(expected)
        expected = network.body.stages[stage](expected)
    torch.testing.assert_close(network.second_pass(inputs[0], list(states)), expected)
    torch.testing.assert_close(
        network(images(size).double()), network.body.forward_head(expected, pre_logits=True), atol=1e-5, rtol=1e-5
    )


def enlarge(x: Floats, weight: Floats, shape: tuple[int, ...]) -> Floats:
    """Transposed convolution whose kernel is its stride: each position becomes a square; zeros fill up `shape`."""
    stride = weight.shape[-1]
    result = np.zeros(shape)
    for y in range(x.shape[2]):
        for z in range(x.shape[3]):
            square = np.einsum("bi,iokl->bokl", x[:, :, y, z], weight)
            result[:, :, y * stride : (y + 1) * stride, z * stride : (z + 1) * stride] = square
    return result


@pytest.mark.parametrize("size", [64, 101], ids=["even sizes", "odd sizes"])
@WAYS
def test_the_variational_loss_compares_the_second_pass_with_what_the_feedback_makes_of_it(
    size: int, *, as_released: bool
) -> None:
    network = steered(make_convnext(), as_released=as_released).train()
    assert network.variational_weight == (0.01 if as_released else 0.1)
    outputs: list[Tensor] = []
    hooks = [
        stage.register_forward_hook(lambda _, __, out: outputs.append(out.detach())) for stage in network.body.stages
    ]
    network(images(size))
    for hook in hooks:
        hook.remove()
    first = images(size) if as_released else network.body.stem(images(size)).detach()
    stream = [first, *outputs[4:]]  # the first pass came before
    expected = 0.0
    for stage in range(4):
        below, above = stream[stage].double().numpy(), stream[stage + 1].double().numpy()
        weight = network.state_dict()[f"feedback.{stage}.weight"].double().numpy()
        expected += float(np.mean((enlarge(above, weight, below.shape) - below) ** 2))
    loss = network.variational_loss()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {f"feedback.{n}.weight" for n in range(4)}


def test_a_traced_network_gives_the_same_for_any_batch() -> None:
    network = steered(make_convnext())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated
        traced = torch.jit.trace(network, images(100))  # type: ignore[no-untyped-call]
        torch.testing.assert_close(traced(images(100, n=5)), network(images(100, n=5)))


def test_autocast_computes_nearly_the_same() -> None:
    network = steered(make_convnext()).train()
    expected = network(images()).detach()
    with torch.autocast("cpu", torch.bfloat16):
        features = network(images())
        (features.float().square().sum() + network.variational_loss()).backward()
    assert (features - expected).abs().max() < 0.1 * expected.abs().max()


def test_lite_trains_low_rank_convolutions_beside_the_frozen_ones() -> None:
    full, lite = steered(make_convnext()), ToastConvNext(make_convnext(), lite=True, rank=2).eval()
    missing, unexpected = lite.load_state_dict(full.state_dict(), strict=False)
    assert unexpected == []
    assert {name.rsplit(".", 1)[1] for name in missing} == {"down", "up"}
    assert torch.equal(lite(images()), full(images())), "it starts where the pre-trained steering ended"

    lite.train()(images()).square().sum().backward()
    trained = {name for name, p in own_parameters(lite).items() if p.grad is not None}
    low_rank = {
        f"{part}.{n}.{factor}" for part in ("feedback", "output") for n in range(4) for factor in ("down", "up")
    }
    assert trained == {"xi", "select", *low_rank}


@pytest.mark.parametrize("rank", [None, 2])
def test_a_deconvolution_makes_each_position_a_square(rank: int | None) -> None:
    module = Deconvolution(5, 3, 2, rank)
    randomise(module, 0)
    weight = module.weight.detach()
    if rank is not None:
        weight = weight + torch.einsum("ir,rokl->iokl", module.down[:, :, 0, 0], module.up).detach()
    x = torch.randn((2, 5, 4, 3), generator=torch.Generator().manual_seed(0))
    expected = enlarge(x.double().numpy(), weight.double().numpy(), (2, 3, 8, 6))
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=1e-5)


def test_the_feedback_keeps_the_mean_square_at_the_start() -> None:
    torch.manual_seed(0)
    network = ToastConvNext(make_convnext())
    x = torch.randn((16, DIMS[-1], 2, 2))
    for feedback in reversed(network.feedback):
        x = feedback(x)
    assert 0.5 < x.square().mean().item() < 2.0


def test_what_is_fed_to_the_first_stage_has_the_images_channels() -> None:
    network = ToastConvNext(make_convnext())
    assert network.feedback[0].weight.shape == (DIMS[0], 3, 4, 4)
    assert network.output[0].weight.shape == (3, 3, 1, 1)


def test_an_archived_steering_gives_the_features_that_it_did() -> None:
    """Written by the version before, with a network of `tests.made.networks` whose weights are drawn with seed 0."""
    steering, _ = read_steering(ARCHIVES / "steering-convnext-v1.safetensors")
    body = networks.make_convnext()
    randomise(body, 0)
    network = rebuild_method(steering.method, body, steering.options)
    load_parameters(network, steering.tensors, "the archive")
    with torch.no_grad():
        features = network.eval()(images(n=1))[0]
    expected = [-0.059492, -0.355291, 0.029152, -0.148576, -0.194168, -0.10647, 0.073682, 0.125461]
    expected += [0.012619, 0.032042, 0.042296, -0.689742, 0.199059, 0.130062, 0.304688, 0.345707]
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-6)


def test_lite_is_an_extension_that_the_authors_have_no_recipe_for() -> None:
    with pytest.raises(UsageError, match=r"own extension.* leave --recipe released out"):
        ToastConvNext(make_convnext(), lite=True).train_as_released()
    network = ToastConvNext(make_convnext())
    network.train_as_released()
    assert not network.select.requires_grad


def test_a_network_that_is_no_convnext_is_refused() -> None:
    with pytest.raises(UsageError, match=r"ConvNeXt, and ResNet is not one.*finetune"):
        ToastConvNext(timm.create_model("resnet18", num_classes=0))
