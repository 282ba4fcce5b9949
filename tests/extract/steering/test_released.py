"""Checkpoints as TOAST's authors released them are read in each of their forms, and refused unless the ViT is the same.

The files are made here, of random numbers; none of the authors' is needed.
"""

from __future__ import annotations

import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from stackbone.cache import WeightsError, sha256_file
from stackbone.extract.backbones.backbone import BACKBONES
from stackbone.extract.methods.method import build_method, steering_parameters
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.networks.state_dict import read_state_dict
from stackbone.extract.steering.released import Released, read_released
from tests.made.networks import make_vit

D, DEPTH = 16, 2


def made_state(prompt_shape: tuple[int, ...] = (1, D)) -> dict[str, Any]:
    """Return a checkpoint of the released form, of random numbers."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.2

    state = dict(make_vit().state_dict())
    for block in range(DEPTH):
        state[f"decoders.{block}.linear.weight"] = draw(D, D)
        state[f"decoders.{block}.linear2.weight"] = draw(D, D)
    state |= {"prompt": draw(*prompt_shape), "top_down_transform": draw(D, D)}
    return state | {"head.weight": draw(10, D), "head.bias": draw(10)}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def released(path: Path, body: nn.Module | None = None) -> Released:
    sha256 = sha256_file(path).hex() if path.exists() else "00" * 32
    return read_released(path, sha256, body or make_vit())


def read(path: Path, body: nn.Module | None = None) -> dict[str, Tensor]:
    return released(path, body).tensors


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
@pytest.mark.parametrize("within", [None, "state_dict", "model"])
@pytest.mark.parametrize("prompt_shape", [(D,), (1, D)])
def test_key_names_are_mapped(tmp_path: Path, prefix: str, within: str | None, prompt_shape: tuple[int, ...]) -> None:
    state = made_state(prompt_shape)
    named = {prefix + name: tensor for name, tensor in state.items()}
    found = read(saved(tmp_path / "toast.pth", {within: named, "epoch": 3} if within else named))
    assert torch.equal(found["xi"], state["prompt"].reshape(D))
    assert torch.equal(found["select"], state["top_down_transform"].T)
    for block in range(DEPTH):
        assert torch.equal(found[f"feedback.{block}.weight"], state[f"decoders.{block}.linear.weight"])
        assert torch.equal(found[f"output.{block}.weight"], state[f"decoders.{block}.linear2.weight"])


def reference(vit: Any, state: dict[str, Tensor], x: Tensor) -> Tensor:  # noqa: ANN401 - timm has no types
    """Top-down attention as the paper has it, tokens as rows, with the tensors of a file by their own names."""

    def attend(block: Any, tokens: Tensor, top_down: Tensor | None) -> Tensor:  # noqa: ANN401
        attention = block.attn
        normed = block.norm1(tokens)
        q, k, v = attention.qkv(normed).chunk(3, dim=-1)
        if top_down is not None:
            v = v + attention.qkv(top_down).chunk(3, dim=-1)[2]  # the projection with its bias, once more
        heads = [each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for each in (q, k, v)]
        weights = (heads[0] @ heads[1].transpose(-1, -2) * heads[0].shape[-1] ** -0.5).softmax(-1)
        tokens = tokens + attention.proj((weights @ heads[2]).transpose(1, 2).flatten(2))
        after: Tensor = tokens + block.mlp(block.norm2(tokens))
        return after

    tokens = z = vit._pos_embed(vit.patch_embed(x))
    for block in vit.blocks:
        z = attend(block, z, None)
    z = vit.norm(z)
    cosine = torch.cosine_similarity(z, state["prompt"].reshape(D), dim=-1).clamp(0, 1)
    h = cosine[..., None] * z
    if "top_down_transform" in state:
        h = h @ state["top_down_transform"]
    top_down = {}
    for number in reversed(range(DEPTH)):
        h = h @ state[f"decoders.{number}.linear.weight"].T
        top_down[number] = h @ state[f"decoders.{number}.linear2.weight"].T
    for number, block in enumerate(vit.blocks):
        tokens = attend(block, tokens, top_down[number])
    found: Tensor = vit.norm(tokens)[:, 0]
    return found


@pytest.mark.parametrize("has_selection", [True, False])
def test_features_are_those_of_the_plain_formulas(tmp_path: Path, has_selection: bool) -> None:  # noqa: FBT001
    state = made_state()
    if not has_selection:
        del state["top_down_transform"]
    network: Any = ToastViT(make_vit()).double().eval()
    found = released(saved(tmp_path / "toast.pth", state))
    assert ("P transposed" if has_selection else "P the identity") in found.read
    for name, parameter in steering_parameters(network).items():
        parameter.data.copy_(found.tensors[name])
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    doubles = {name: tensor.double() for name, tensor in state.items()}
    with torch.no_grad():
        expected = reference(make_vit().double(), doubles, x)
        assert float((network(x) - expected).abs().max()) < 1e-6  # similarities are computed in float32
        turned = doubles | {"top_down_transform": doubles["top_down_transform"].T} if has_selection else {}
        assert not turned or float((network(x) - reference(make_vit().double(), turned, x)).abs().max()) > 1e-3


def with_top_down(state: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return the state whose top-down tensors are other ones, as those of a moving average are."""
    ours = ("decoders", "prompt", "top_down")
    return {name: scale * each if name.startswith(ours) else each for name, each in state.items()}


@pytest.mark.parametrize("order", ["model first", "average first"])
def test_the_parameters_are_read_and_not_their_average(tmp_path: Path, order: str) -> None:
    state = made_state()
    both = {"model": state, "model_ema": with_top_down(state, 3.0)}
    content = dict(both if order == "model first" else reversed(both.items())) | {"args": Namespace(lr=0.1, path="x")}
    found = released(saved(tmp_path / "toast.pth", content))
    assert torch.equal(found.tensors["xi"], state["prompt"].reshape(D))
    assert found.read.startswith("its model; not model_ema, args beside it")


def test_an_average_alone_is_read(tmp_path: Path) -> None:
    found = released(saved(tmp_path / "toast.pth", {"model_ema": made_state(), "epoch": 1}))
    assert found.read.startswith("its model_ema; not epoch beside it")


@pytest.mark.parametrize("outer", ["", "module."])
def test_a_tuned_checkpoint_holds_all_but_its_head_under_a_prefix(tmp_path: Path, outer: str) -> None:
    state = made_state()
    named = {f"{outer}enc.{name}": each for name, each in state.items() if not name.startswith("head")}
    named |= {f"{outer}head.last_layer.weight": torch.zeros(200, D)}
    path = saved(tmp_path / "tuned.pth", {"model_state_dict": named, "args": Namespace(seed=1)})
    found = released(path)
    assert torch.equal(found.tensors["output.1.weight"], state["decoders.1.linear2.weight"])
    assert found.read.startswith("its model_state_dict, of that the names under enc.")


def test_low_rank_updates_are_added_a_quarter_of_them(tmp_path: Path) -> None:
    state, generator = made_state(), torch.Generator().manual_seed(9)
    a, b = torch.randn(4, D, generator=generator), torch.randn(D, 4, generator=generator)
    low_rank = {"decoders.1.linear.lora_A": a, "decoders.1.linear.lora_B": b}
    found = released(saved(tmp_path / "lite.pth", state | low_rank))
    torch.testing.assert_close(found.tensors["feedback.1.weight"], state["decoders.1.linear.weight"] + b @ a / 4)
    assert torch.equal(found.tensors["feedback.0.weight"], state["decoders.0.linear.weight"])
    assert "updates of rank 4 added" in found.read


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decoders.0.linear.lora_A": torch.zeros(4, D)}, r"it lacks decoders\.0\.linear\.lora_B"),
        ({"decoders.0.linear.lora_B": torch.zeros(D, 4)}, r"lora_A is absent, expected \(rank, 16\)"),
        ({"decoders.0.linear.lora_A": torch.zeros(D + 1, D)}, r"lora_A is \(17, 16\)"),
        ({"decoders.0.linear.bias": torch.zeros(D)}, r"what its decoders\.0\.linear\.bias does is not known"),
        ({"decoders.\x1b[2J": torch.zeros(D)}, r"what its decoders\.\\x1b\[2J does is not known"),
    ],
)
def test_what_would_be_left_out_is_refused_by_name(tmp_path: Path, wrong: dict[str, Tensor], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read(saved(tmp_path / "toast.pth", made_state() | wrong))


@pytest.mark.parametrize("form", ["bare", "model", "tuned"])
def test_a_checkpoint_is_a_file_of_its_vits_weights_too(tmp_path: Path, form: str) -> None:
    state = made_state()
    tuned = {f"enc.{name}": each for name, each in state.items() if not name.startswith("head")}
    content = {"bare": state, "model": {"model": state, "model_ema": state}, "tuned": {"model_state_dict": tuned}}
    path = saved(tmp_path / "toast.pth", content[form])
    found = read_state_dict("vit_base_imagenet", path, f"sha256:{sha256_file(path).hex()}")
    body = make_vit().state_dict()
    assert set(body) <= set(found) <= {*body, "head.weight", "head.bias"}
    assert all(torch.equal(found[name], tensor) for name, tensor in body.items())
    assert BACKBONES["vit_base_imagenet"].hub == ""


@pytest.mark.parametrize("method", ["toast", "toast-lite"])
def test_they_are_all_that_toast_holds(tmp_path: Path, method: str) -> None:
    found = read(saved(tmp_path / "toast.pth", made_state()))
    own = {name: each.shape for name, each in steering_parameters(build_method(method, make_vit(), {})).items()}
    left = {name for name in own if name not in found}
    assert all(own[name] == found[name].shape for name in found)
    assert all(name.endswith((".down", ".up")) for name in left)
    assert bool(left) == (method == "toast-lite")


def test_another_vit_is_refused(tmp_path: Path) -> None:
    state = made_state() | dict(make_vit(seed=1).state_dict())
    message = refusal(saved(tmp_path / "toast.pth", state))
    assert "its ViT is not the backbone's" in message
    assert "Give --weights those that it was made with" in message


def test_a_backbone_that_is_no_vit_is_refused(tmp_path: Path) -> None:
    convnext = timm.create_model("convnext_atto", num_classes=0)
    with pytest.raises(
        WeightsError, match=r"those of ViTs are understood, and this backbone's network is ConvNeXt\. Choose"
    ):
        read(saved(tmp_path / "toast.pth", made_state()), convnext)


def test_a_file_without_the_vit_is_refused(tmp_path: Path) -> None:
    state = {name: each for name, each in made_state().items() if not name.startswith("blocks")}
    assert "it lacks blocks.0.norm1.weight" in refusal(saved(tmp_path / "toast.pth", state))


@pytest.mark.parametrize("name", ["prompt", "decoders.0.linear.weight", "decoders.1.linear2.weight"])
def test_a_missing_key_is_named(tmp_path: Path, name: str) -> None:
    state = made_state()
    del state[name]
    assert f"it lacks {name}" in refusal(saved(tmp_path / "toast.pth", state))


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("prompt", torch.zeros(2, D)),
        ("top_down_transform", torch.zeros(D)),
        ("decoders.0.linear.weight", torch.full((D, D), torch.nan)),
        ("decoders.0.linear.weight", torch.zeros(1).expand(1 << 20, 1 << 20)),  # one stored number, four terabytes
    ],
)
def test_a_wrong_shape_or_number_is_named(tmp_path: Path, name: str, tensor: Tensor) -> None:
    assert f"its {name} is" in refusal(saved(tmp_path / "toast.pth", made_state() | {name: tensor}))


def test_more_decoders_than_blocks_are_refused(tmp_path: Path) -> None:
    state = made_state() | {f"decoders.{DEPTH}.linear.weight": torch.zeros(D, D)}
    assert "more decoders than the backbone has blocks" in refusal(saved(tmp_path / "toast.pth", state))


def test_what_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    assert "it holds a list" in refusal(saved(tmp_path / "list.pth", [1, 2]))
    assert "it lacks" in refusal(saved(tmp_path / "empty.pth", {}))


class _Planted:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "was-run"
    path = tmp_path / "hostile.pth"
    for content in (pickle.dumps(_Planted(target)), b"no checkpoint"):
        path.write_bytes(content)
        assert "loaded safely" in refusal(path)
    saved(path, made_state() | {"extra": _Planted(target)})
    assert "loaded safely" in refusal(path)
    assert not target.exists()


def test_a_refusal_says_what_was_found_and_commands_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "hostile.pth"
    path.write_bytes(b"\x80\x02c\x1b[31mred\x07\nalert\n.")  # a pickle that asks for a class of this name
    assert r"red\x07.alert" in refusal(path)
    assert refusal(path).isprintable()
    saved(path, made_state() | {"extra": _Planted(tmp_path)})
    assert "(UnpicklingError: Unsupported" in refusal(path)
    assert refusal(path).isprintable()
