"""Start from a checkpoint that TOAST's authors released: a user's file, which is read without running code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from stackbone.cache import WeightsError
from stackbone.cache.text import printable
from stackbone.extract.networks.released import ReleasedParts, is_released, released_parts
from stackbone.extract.networks.state_dict import load_content, read_hashed, reason

_MATRICES = {"linear": "feedback", "linear2": "output"}
_ALPHA = 1.0  # of the low-rank updates of TOAST-Lite, which count alpha / rank


@dataclass(frozen=True, eq=False)
class Released:
    """What a released checkpoint steers a ViT with.

    Attributes
    ----------
    tensors
        By name in `ToastViT`.
    read
        What was read of the file and how, in words.
    """

    tensors: dict[str, Tensor]
    read: str


def read_released(path: Path, sha256: str, body: nn.Module) -> Released:
    """Return a released checkpoint's parameters under the names of `ToastViT`.

    Its ``decoders.N.linear.weight`` is the feedback W of block N, ``decoders.N.linear2.weight`` the output U,
    ``prompt`` the task embedding ξ, and ``top_down_transform`` the transpose of the selection P, since tokens are rows
    that it is multiplied by; a file without it left P at the identity. Where ``lora_A`` (r, d) and ``lora_B`` (d, r)
    lie beside a matrix, as in one of TOAST-Lite, the matrix gets their product, scaled by 1 / r. The ViT's own tensors
    beside them must be those of `body`: top-down parameters trained on another ViT do not steer this one.

    Parameters
    ----------
    sha256
        Hex digest that the file must have.

    Raises
    ------
    WeightsError
        If the file was changed since it was hashed, is not such a checkpoint, cannot be loaded safely, is of other
        weights or another size, or holds what is not known to steer; or `body` is not a ViT.
    """
    if not isinstance(body, VisionTransformer):
        _refuse(
            path,
            f"of the released checkpoints those of ViTs are understood, and this backbone's network is "
            f"{type(body).__name__}. Choose a ViT such as --backbone vit_base_imagenet, or leave --start out",
        )
    parts = _read(path, sha256)
    state = parts.top_down
    n_blocks, d = len(cast("Any", body).blocks), int(cast("Any", body).embed_dim)
    _check_backbone(path, parts.vit, body.state_dict())
    known = {"prompt", "top_down_transform"}
    found = {"xi": _take(path, state, "prompt", (d,))}
    has_selection = "top_down_transform" in state
    found["select"] = _take(path, state, "top_down_transform", (d, d)).T.contiguous() if has_selection else torch.eye(d)
    ranks = set()
    for block in range(n_blocks):
        for theirs, ours in _MATRICES.items():
            name = f"decoders.{block}.{theirs}"
            matrix, rank = _matrix(path, state, name, d)
            found[f"{ours}.{block}.weight"] = matrix
            ranks |= {rank} - {0}
            known |= {f"{name}.{part}" for part in ("weight", "lora_A", "lora_B")}
    _check_known(path, state, known, n_blocks)
    selection = "P transposed" if has_selection else "P the identity, since there is no top_down_transform"
    low_rank = f"; updates of rank {', '.join(map(str, sorted(ranks)))} added, scaled by 1 / rank" if ranks else ""
    return Released(found, f"{parts.read}; {selection}{low_rank}")


def _read(path: Path, sha256: str) -> ReleasedParts:
    content = read_hashed(path, f"sha256:{sha256}")
    try:
        loaded = load_content(content)
    except Exception as exc:  # torch, pickle and zipfile each raise their own
        message = (
            f"{path} is neither a steering file nor a checkpoint that can be loaded safely "
            f"({reason(exc)}). Expected what `stackbone steer` "
            "wrote, or a state dict that torch.load(weights_only=True) takes, an argparse.Namespace beside it or not"
        )
        raise WeightsError(message) from exc
    if not isinstance(loaded, dict):
        _refuse(path, f"it holds a {type(loaded).__name__}, not tensors by name")
    parts = released_parts(loaded)
    if not is_released(parts):
        _refuse(path, "it lacks decoders.0.linear.weight, expected the keys of a released TOAST checkpoint")
    return parts


def _check_backbone(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
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


def _check_known(path: Path, state: Mapping[str, Tensor], known: set[str], n_blocks: int) -> None:
    if f"decoders.{n_blocks}.linear.weight" in state:
        _refuse(path, f"it has more decoders than the backbone has blocks, {n_blocks}")
    unknown = sorted(set(state) - known)
    if unknown:
        _refuse(path, f"what its {printable(unknown[0])} does is not known, and without it the features would differ")


def _matrix(path: Path, state: Mapping[str, Tensor], name: str, d: int) -> tuple[Tensor, int]:
    """Return a (d, d) matrix with its low-rank update, and the update's rank, 0 for none."""
    matrix = _take(path, state, f"{name}.weight", (d, d))
    a, b = f"{name}.lora_A", f"{name}.lora_B"
    if a not in state and b not in state:
        return matrix, 0
    rank = len(state[a]) if a in state and state[a].ndim == 2 else 0
    if not 1 <= rank <= d:
        _refuse(path, f"its {a} is {tuple(state[a].shape) if a in state else 'absent'}, expected (rank, {d})")
    update = _take(path, state, b, (d, rank)) @ _take(path, state, a, (rank, d))
    return matrix + (_ALPHA / rank) * update, rank


def _take(path: Path, state: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
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
