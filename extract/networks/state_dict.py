"""The tensors of a weights file, read from the very bytes that were hashed; no code in it is ever run."""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stackbone.cache import WeightsError
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.text import printable, typed
from stackbone.extract.networks.released import is_released, released_parts

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Where a training's checkpoint keeps its weights, the best place first, as timm looks for them."""

_MOST_INFLATION = 4
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FOUND = "WeightsUnpickler error: "

_SAFETENSORS_HEADER = slice(8, 9)  # after the length of the header, its JSON begins


def read_hashed(path: Path, identity: str) -> bytes:
    """Return the bytes of a file whose SHA-256 is known.

    Parameters
    ----------
    identity
        ``sha256:`` and the hex digest that the bytes must have.

    Raises
    ------
    WeightsError
        If the file cannot be read, or holds other bytes: it was changed since it was hashed.
    """
    try:
        content = read_regular(path)
    except OSError as exc:
        message = f"{path} cannot be read: {exc.strerror or exc}. Nothing was computed with it; check the file"
        raise WeightsError(message) from exc
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != identity:
        message = (
            f"{path} was changed since it was looked at: it had {identity}, and now has {found}. Nothing was computed "
            "with it. Run again, once nothing writes to the file any more"
        )
        raise WeightsError(message)
    return content


def read_state_dict(name: str, path: Path, identity: str) -> dict[str, Tensor]:
    """Return the tensors of a backbone's weights file by name.

    Parameters
    ----------
    name
        Of the backbone, for messages.
    path
        safetensors, or a state dict that ``torch.load(weights_only=True)`` takes, bare or in a training's checkpoint;
        of a checkpoint that TOAST's authors released, the tensors of its ViT are taken.
    identity
        As of `read_hashed`.

    Raises
    ------
    WeightsError
        As of `read_hashed`; also if the file is not a checkpoint that can be loaded safely, or holds no tensors.
    """
    from timm.models import clean_state_dict

    try:
        loaded = load_content(read_hashed(path, identity))
        released = released_parts(loaded)
        if not isinstance(loaded, Mapping):
            message = (
                f"--weights {typed(name)}: {path} holds a {type(loaded).__name__}. Expected tensors by name: a state "
                "dict, bare or in the checkpoint of a training"
            )
            raise WeightsError(message)
        wrapper = next((key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        bare = released.vit if is_released(released) else loaded if wrapper is None else loaded[wrapper]
        state: Mapping[str, Any] = clean_state_dict(bare)
    except WeightsError:
        raise
    except Exception as exc:  # safetensors, torch and zipfile each raise their own
        message = (
            f"--weights {typed(name)}: {path} is not a checkpoint that can be loaded safely "
            f"({reason(exc)}). "
            "Expected safetensors, or a state dict that torch.load(weights_only=True) takes"
        )
        raise WeightsError(message) from exc
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        message = f"--weights {typed(name)}: {path} holds no tensors"
        raise WeightsError(message)
    return tensors


def load_content(content: bytes) -> Any:  # noqa: ANN401 - whatever was saved
    """Return what safetensors or ``torch.load(weights_only=True)`` makes of a file's bytes, on the CPU."""
    if content[_SAFETENSORS_HEADER] == b"{":
        from safetensors.torch import load

        return load(content)
    _check_inflation(content)
    # A namespace of a training's own options lies in many checkpoints; to load one runs nothing.
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def reason(exc: Exception) -> str:
    """Return in a line, and without what commands a terminal, why `load_content` failed.

    torch prints what to do about it, which is to run the file's code; what it found comes last.
    """
    text = _COLOUR.sub("", str(exc))
    text = text.partition(_FOUND)[2] or text
    first = text.strip().split("\n")[0].partition(". Please ")[0]
    return f"{type(exc).__name__}: {printable(first)}"


def first_mismatch(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Return in what tensors of a file first differ from those that a network has, by name or shape; else empty."""
    for name, wanted in expected.items():
        found = state.get(name)
        if found is not None and found.shape != wanted.shape:
            return f"the tensor {name} has shape {tuple(found.shape)}, expected {tuple(wanted.shape)}"
    for name, wanted in expected.items():
        if name not in state and not name.endswith("num_batches_tracked"):
            return f"it lacks the tensor {name} {tuple(wanted.shape)}"
    for name in state:
        if name not in expected:
            return f"it has a tensor {name} that the network lacks"
    return ""


def _check_inflation(content: bytes) -> None:
    """Refuse an archive that would take far more memory than its file: torch stores tensors as they are."""
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return
    size = sum(each.file_size for each in zipfile.ZipFile(stream).infolist())
    if size > _MOST_INFLATION * len(content):
        message = f"its {len(content):,} bytes would become {size:,}"
        raise ValueError(message)
