"""What a checkpoint says of a training, every name, type and shape checked before a trainer takes it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]

_FACTS = {"loss", "accuracy", "lr"}
_VALIDATED = {"validation_loss", "validation_accuracy"}
_STEP = "step"
_LARGEST = 1e30  # no loss of a training that goes on comes near it; a whole number in JSON has no bound of its own
_ENTRIES = {"sgd": {"momentum_buffer"}, "adamw": {_STEP, "exp_avg", "exp_avg_sq"}}


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Where a training stands.

    Attributes
    ----------
    history
        Of each epoch, as of `Steering`.
    best
        The best epoch, 0 the first.
    tensors, best_tensors
        Parameters by name, as they are and as they were after the best epoch.
    optimiser
        Parameter's name to the entries of the optimiser's state: of the parameter's shape, ``step`` a single number.
    """

    history: list[dict[str, float]]
    best: int
    tensors: Tensors
    best_tensors: Tensors
    optimiser: dict[str, Tensors]


def parse_training_state(
    facts: object, tensors: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], optimiser: str
) -> TrainingState | None:
    """Return the state that a checkpoint of a network's training holds; None if it cannot be of that network.

    Parameters
    ----------
    facts, tensors
        As of `cache.trainings.checkpoints.load_checkpoint`.
    shapes
        Of the network's trained parameters, by name.
    optimiser
        ``sgd`` or ``adamw``.
    """
    history = _history(facts)
    if history is None or not isinstance(facts, dict):
        return None
    best = facts["best"]
    if type(best) is not int or not 0 <= best < len(history):
        return None
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in tensors.values()):
        return None
    sets: dict[str, Tensors] = {"now": {}, "best": {}}
    entries: dict[str, Tensors] = {}
    for key, array in tensors.items():
        part, _, name = key.partition(".")
        entry = ""
        if part == "optimiser":
            entry, _, name = name.partition(".")
        expected = () if entry == _STEP else shapes.get(name)
        if array.shape != expected or name not in shapes or (entry and entry not in _ENTRIES[optimiser]):
            return None
        if part == "optimiser" and entry:
            entries.setdefault(name, {})[entry] = array
        elif part in sets:
            sets[part][name] = array
        else:
            return None
    if best == len(history) - 1 and not sets["best"]:
        sets["best"] = sets["now"]
    if any(each.keys() != shapes.keys() for each in sets.values()) or not _is_whole(entries, _ENTRIES[optimiser]):
        return None
    return TrainingState(history, best, sets["now"], sets["best"], entries)


def _history(facts: object) -> list[dict[str, float]] | None:
    if not isinstance(facts, dict) or set(facts) != {"history", "best"} or not isinstance(facts["history"], list):
        return None
    history = facts["history"]
    for epoch in history:
        if not isinstance(epoch, dict) or set(epoch) not in (_FACTS, _FACTS | _VALIDATED):
            return None
        if not all(type(value) in (int, float) and abs(value) <= _LARGEST for value in epoch.values()):
            return None
    if len({frozenset(epoch) for epoch in history}) != 1:  # either every epoch was validated or none was
        return None
    return history


def _is_whole(entries: Mapping[str, Tensors], expected: set[str]) -> bool:
    """Return whether a parameter that has a state has all of it, a step that counts from 1 included."""
    return all(state.keys() == expected and float(state.get(_STEP, 1)) >= 1 for state in entries.values())
