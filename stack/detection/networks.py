"""Small networks as tensors of a file, and the way back: nothing of a file is believed that its facts do not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import ModelError
from stackbone.stack.detection.head import Tensors

if TYPE_CHECKING:
    from torch import nn

    _Network = TypeVar("_Network", bound=nn.Module)

_SHOWN = 3


def to_tensors(network: nn.Module) -> Tensors:
    """Return a network's parameters and buffers, float32, by name."""
    return {name: np.ascontiguousarray(each.numpy()) for name, each in network.state_dict().items()}


def from_tensors(head: str, make: Callable[[], _Network], tensors: Mapping[str, NDArray[np.float32]]) -> _Network:
    """Return the network that `to_tensors` gave the tensors of, ready to find objects.

    Parameters
    ----------
    head : str
        Whose network it is, for messages.
    make : callable
        Returns such a network, as its facts tell; it is called where no parameter takes memory.
    tensors : mapping of str to NDArray[np.float32]
        By name.

    Raises
    ------
    ModelError
        If the facts tell no network, or the tensors are not its own, or not finite.
    """
    import torch

    try:
        with torch.device("meta"):
            network = make()
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as exc:
        message = f"the facts of a `{head}` head do not describe one ({exc!r}). Train it and save it again"
        raise ModelError(message) from exc
    expected = {name: tuple(each.shape) for name, each in network.state_dict().items()}
    found = {name: array.shape for name, array in tensors.items()}
    if found != expected or not all(np.isfinite(array).all() for array in tensors.values()):
        message = (
            f"the tensors of a `{head}` head are {_differing(found, expected)}; expected finite ones of the shapes "
            "that its facts tell. Train it and save it again"
        )
        raise ModelError(message)
    state = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in tensors.items()}
    network.load_state_dict(state, assign=True)
    return network.eval()


def _differing(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    told = [f"{name} {found.get(name, 'absent')} for {expected.get(name, 'none')}" for name in names[:_SHOWN]]
    return "; ".join(told) or "not finite"
