"""Start from a checkpoint that TOAST's authors released: a user's file, which is read without running code."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from stackbone.cache import WeightsError
from stackbone.extract.networks.state_dict import load_content, read_hashed

_PREFIXES = ("module.", "model.")
_MATRICES = {"linear": "feedback", "linear2": "output"}


def read_released(path: Path, sha256: str, body: nn.Module) -> dict[str, Tensor]:
    """Return a released checkpoint's parameters under the names of `ToastViT`.

    Its ``decoders.N.linear.weight`` is the feedback W of block N, ``decoders.N.linear2.weight`` the output U,
    ``prompt`` the task embedding ξ, and ``top_down_transform`` the selection P, taken as it stands (that a file does
    not hold its transpose could not be checked against a released one). The ViT's own tensors beside them
    must be those of `body`: top-down parameters trained on another ViT do not steer this one.

    Parameters
    ----------
    sha256
        Hex digest that the file must have.

    Raises
    ------
    WeightsError
        If the file was changed since it was hashed, is not such a checkpoint, cannot be loaded safely, or is of other
        weights or another size; or `body` is not a ViT.
    """
    if not isinstance(body, VisionTransformer):
        _refuse(
            path,
            f"the released checkpoints are of ViTs, and this backbone's network is {type(body).__name__}. Choose a ViT "
            "such as --backbone vit_base, or leave --start out",
        )
    state = _read(path, sha256)
    expected = body.state_dict()
    n_blocks, d = len(cast("Any", body).blocks), int(cast("Any", body).embed_dim)
    _check_backbone(path, state, expected)
    found = {"xi": _take(path, state, "prompt", (d,)), "select": _take(path, state, "top_down_transform", (d, d))}
    for block in range(n_blocks):
        for theirs, ours in _MATRICES.items():
            name = f"decoders.{block}.{theirs}.weight"
            found[f"{ours}.{block}.weight"] = _take(path, state, name, (d, d))
    if f"decoders.{n_blocks}.linear.weight" in state:
        _refuse(path, f"it has more decoders than the backbone has blocks, {n_blocks}")
    return found


def _read(path: Path, sha256: str) -> dict[str, Tensor]:
    content = read_hashed(path, f"sha256:{sha256}")
    try:
        loaded = load_content(content)
    except Exception as exc:  # torch, pickle and zipfile each raise their own
        message = (
            f"{path} is neither a steering file nor a checkpoint that can be loaded safely "
            f"({type(exc).__name__}: {str(exc).split(chr(10))[0]}). Expected what `stackbone steer` "
            "wrote, or a state dict that torch.load(weights_only=True) takes"
        )
        raise WeightsError(message) from exc
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict):
        _refuse(path, f"it holds a {type(loaded).__name__}, not tensors by name")
    state = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _check_backbone(path: Path, state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, wanted in expected.items():
        found = state.get(name)
        if found is None:
            _refuse(path, f"it lacks {name}, so it cannot be checked that its ViT is the backbone's")
        if found.shape != wanted.shape or not torch.equal(found.float(), wanted):
            what = "another shape" if found.shape != wanted.shape else "other values"
            _refuse(
                path,
                f"its ViT is not the backbone's: {name} has {what}. Give --weights those that it was made with",
            )


def _take(path: Path, state: dict[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    tensor = state.get(name)
    if tensor is None:
        _refuse(path, f"it lacks {name}, expected the keys of a released TOAST checkpoint")
    # Counted before anything is copied: a few stored numbers may be declared to be a tensor of any size.
    is_vector = len(shape) == 1 and tensor.numel() == shape[0]
    if not (is_vector or tensor.shape == shape) or not bool(torch.isfinite(tensor).all()):
        _refuse(path, f"its {name} is {tuple(tensor.shape)}, expected {shape} of finite numbers")
    return tensor.reshape(shape).float()


def _refuse(path: Path, found: str) -> NoReturn:
    message = f"{path} cannot be used as a start: {found}. Nothing was trained"
    raise WeightsError(message)
