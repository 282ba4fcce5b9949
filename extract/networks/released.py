"""What a checkpoint of TOAST's authors holds, told apart: the ViT's own tensors and those that steer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

_PLACES = ("model", "model_state_dict", "state_dict", "model_ema")
"""Where a checkpoint keeps its tensors, the one that is read first: the authors load ``model``, not its average."""
_BESIDE = ("model_ema", "args", "optimizer", "epoch")
_WRAPPED = ("module.", "model.")
_TUNED = "enc."
"""How every name begins in the checkpoint of a network that was tuned, but for its head's."""
_LAYERS = "decoders."
_TOP_DOWN = ("prompt", "top_down_transform")


@dataclass(frozen=True)
class ReleasedParts:
    """The tensors of a checkpoint by name, without prefixes.

    Attributes
    ----------
    vit
        Of the network itself, its head's maybe among them.
    top_down
        Of TOAST: ``prompt``, ``top_down_transform`` and ``decoders.N...``; empty if it is no checkpoint of TOAST.
    read
        Where in the file they were found, in words.
    """

    vit: Mapping[str, Tensor]
    top_down: Mapping[str, Tensor]
    read: str


def released_parts(loaded: object) -> ReleasedParts:
    """Return the parts of what a checkpoint's file holds; of what holds no tensors by name, empty ones."""
    place, state = _find(loaded)
    prefix = ""
    for each in _WRAPPED:
        if state and all(name.startswith(each) for name in state):
            state = {name.removeprefix(each): tensor for name, tensor in state.items()}
    if any(name.startswith(_TUNED + _LAYERS) for name in state):
        prefix = _TUNED
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    top_down = {name: each for name, each in state.items() if name in _TOP_DOWN or name.startswith(_LAYERS)}
    vit = {name: each for name, each in state.items() if name not in top_down}
    beside = [name for name in _BESIDE if isinstance(loaded, dict) and name in loaded and name != place]
    read = f"its {place}" if place else "its tensors, which no name encloses"
    read += f", of that the names under {prefix}" if prefix else ""
    read += f"; not {', '.join(beside)} beside it" if place and beside else ""
    return ReleasedParts(vit, top_down, read)


def is_released(parts: ReleasedParts) -> bool:
    """Return whether they are of TOAST."""
    return any(name.startswith(_LAYERS) for name in parts.top_down)


def _find(loaded: object) -> tuple[str, dict[str, Tensor]]:
    """Return the first place that holds tensors, in the one before it or at the top, and these."""
    place = ""
    while isinstance(loaded, Mapping):
        inner = next((each for each in _PLACES if isinstance(loaded.get(each), Mapping)), None)
        if inner is None:
            return place, _tensors(loaded)
        place, loaded = inner, loaded[inner]
    return place, {}


def _tensors(loaded: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
