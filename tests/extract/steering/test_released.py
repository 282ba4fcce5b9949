"""Checkpoints as TOAST's authors released them are read by their key names, and refused unless the ViT is the same."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from stackbone.cache import WeightsError, sha256_file
from stackbone.extract.methods.method import build_method, steering_parameters
from stackbone.extract.steering.released import read_released
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


def read(path: Path, body: nn.Module | None = None) -> dict[str, Tensor]:
    sha256 = sha256_file(path).hex() if path.exists() else "00" * 32
    return read_released(path, sha256, body or make_vit())


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
    assert torch.equal(found["select"], state["top_down_transform"])
    for block in range(DEPTH):
        assert torch.equal(found[f"feedback.{block}.weight"], state[f"decoders.{block}.linear.weight"])
        assert torch.equal(found[f"output.{block}.weight"], state[f"decoders.{block}.linear2.weight"])


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
    with pytest.raises(WeightsError, match=r"are of ViTs, and this backbone's network is ConvNeXt\. Choose a ViT"):
        read(saved(tmp_path / "toast.pth", made_state()), convnext)


def test_a_file_without_the_vit_is_refused(tmp_path: Path) -> None:
    state = {name: each for name, each in made_state().items() if not name.startswith("blocks")}
    assert "it lacks blocks.0.norm1.weight" in refusal(saved(tmp_path / "toast.pth", state))


@pytest.mark.parametrize("name", ["prompt", "top_down_transform", "decoders.1.linear2.weight"])
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
