"""A trainer takes up a checkpoint of its own network, and starts anew from any other, whatever its checksum says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stackbone.extract.steering.training_state import parse_training_state

SHAPES = {"a": (2, 3), "head.bias": (2,)}
FACTS: dict[str, Any] = {"history": [{"loss": 1.0, "accuracy": 0.5, "lr": 0.1}] * 2, "best": 0}
State = tuple[dict[str, Any], dict[str, Any]]


def sound() -> State:
    tensors = {
        f"{part}.{name}": np.ones(shape, np.float32) for part in ("now", "best") for name, shape in SHAPES.items()
    }
    for name, shape in SHAPES.items():
        tensors |= {f"optimiser.{entry}.{name}": np.ones(shape, np.float32) for entry in ("exp_avg", "exp_avg_sq")}
        tensors[f"optimiser.step.{name}"] = np.array(2, np.float32)
    return copy.deepcopy(FACTS), tensors


def test_a_whole_state_is_parsed() -> None:
    facts, tensors = sound()
    state = parse_training_state(facts, tensors, SHAPES, "adamw")
    assert state is not None
    assert (state.history, state.best) == (FACTS["history"], 0)
    assert state.tensors.keys() == state.best_tensors.keys() == state.optimiser.keys() == SHAPES.keys()
    assert set(state.optimiser["a"]) == {"step", "exp_avg", "exp_avg_sq"}


def test_where_the_last_epoch_is_the_best_it_is_kept_once() -> None:
    facts, tensors = sound()
    facts["best"] = 1
    tensors = {name: array for name, array in tensors.items() if name.startswith("now")}
    state = parse_training_state(facts, tensors, SHAPES, "sgd")
    assert state is not None
    np.testing.assert_array_equal(state.best_tensors["a"], tensors["now.a"])


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "no history": lambda facts, _: facts.pop("history"),
    "history of text": lambda facts, _: facts.update(history="x"),
    "history of numbers": lambda facts, _: facts.update(history=[1, 2]),
    "no epoch": lambda facts, _: facts.update(history=[]),
    "an unknown fact": lambda facts, _: facts["history"].append({"loss": 1.0, "\x1b": 1.0}),
    "a fact of text": lambda facts, _: facts["history"].append({"loss": "1", "accuracy": 0.5, "lr": 0.1}),
    "a number beyond any float": lambda facts, _: facts["history"].append(
        {"loss": 10**400, "accuracy": 0.5, "lr": 0.1}
    ),
    "a number below any float": lambda facts, _: facts["history"].append(
        {"loss": -(10**400), "accuracy": 0.5, "lr": 0.1}
    ),
    "not a number": lambda facts, _: facts["history"].append({"loss": float("nan"), "accuracy": 0.5, "lr": 0.1}),
    "best is none": lambda facts, _: facts.update(best=None),
    "best is true": lambda facts, _: facts.update(best=True),
    "best too late": lambda facts, _: facts.update(best=2),
    "best before the first": lambda facts, _: facts.update(best=-1),
    "a tensor gone": lambda _, tensors: tensors.pop("now.a"),
    "a best one gone": lambda _, tensors: tensors.pop("best.a"),
    "one too many": lambda _, tensors: tensors.update({"now.b": np.ones(1, np.float32)}),
    "of no part": lambda _, tensors: tensors.update({"x": np.ones(1, np.float32)}),
    "another shape": lambda _, tensors: tensors.update({"now.a": np.ones((3, 2), np.float32)}),
    "another type": lambda _, tensors: tensors.update({"now.a": np.ones((2, 3), np.float64)}),
    "not finite": lambda _, tensors: tensors.update({"now.a": np.full((2, 3), np.nan, np.float32)}),
    "an optimiser's entry gone": lambda _, tensors: tensors.pop("optimiser.exp_avg.a"),
    "an unknown entry": lambda _, tensors: tensors.update({"optimiser.x.a": np.ones((2, 3), np.float32)}),
    "a step of many": lambda _, tensors: tensors.update({"optimiser.step.a": np.ones((2, 3), np.float32)}),
    "a step before the first": lambda _, tensors: tensors.update({"optimiser.step.a": np.array(0, np.float32)}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_cannot_be_of_this_network_is_not_taken_up(change: Callable[..., Any]) -> None:
    facts, tensors = sound()
    change(facts, tensors)
    assert parse_training_state(facts, tensors, SHAPES, "adamw") is None


def test_the_state_of_another_optimiser_is_not_taken_up() -> None:
    assert parse_training_state(*sound(), SHAPES, "sgd") is None
