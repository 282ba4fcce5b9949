"""What a fit's outcome is in the files of kept scores, and what such a file must hold to be that fit's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.records.scores import Arrays
from stackbone.stack.learners.learner import BaseOutcome, BaseScores
from stackbone.stack.learners.part_weights import PartRecord
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.solvers.linear import LinearMap

_NUMBER_BYTES = 8  # at most


@dataclass(frozen=True, eq=False)
class FitKey:
    """What decides a fit's outcome, and the shape that the outcome has.

    Attributes
    ----------
    digest : str
        64 hexadecimal digits.
    feature_sets : tuple of str
        Ids of the feature sets that it sees.
    n_train, n_test, n_classes, dim : int
        Rows of both parts, classes, labels or several numbers (0 for one number), columns of all blocks together.
    tested : NDArray[np.bool_]
        ``(n_train,)``: which rows an inner fold tests.
    has_labels : bool
        Whether an image can have several labels; an outcome then has thresholds.
    has_numbers : bool
        Whether numbers are predicted; an outcome is then in double precision, of a map of the features.
    """

    digest: str
    feature_sets: tuple[str, ...]
    n_train: int
    n_test: int
    n_classes: int
    dim: int
    tested: NDArray[np.bool_]
    has_labels: bool = False
    has_numbers: bool = False


def most_bytes(key: FitKey) -> int:
    """Return how many bytes the arrays of this fit have together, at most."""
    outputs = max(1, key.n_classes)
    of_parts = len(PartRecord._fields) * key.dim  # at most: a part has a column
    return _NUMBER_BYTES * (1 + outputs * (key.n_train + key.n_test + key.dim + 2) + key.dim + of_parts)


def _strength(*, has_numbers: bool) -> str:
    """Return the name under which the chosen strength of regularisation is kept."""
    return "alpha" if has_numbers else "c"


def to_arrays(outcome: BaseOutcome, *, has_numbers: bool) -> Arrays:
    """Return an outcome as named arrays; `has_numbers` is that of its `FitKey`."""
    if isinstance(outcome, Prediction):
        return {"scores": outcome.scores, "probability": np.array(outcome.probability)}
    linear = outcome.linear_map
    return {
        _strength(has_numbers=has_numbers): np.array(outcome.chosen, np.float64),
        "out_of_fold": outcome.out_of_fold,
        "test": outcome.test,
        **({} if linear is None else _of_map(linear)),
        **({} if outcome.parts is None else {"parts": outcome.parts}),
        **({} if outcome.thresholds is None else {"thresholds": outcome.thresholds}),
    }


def _of_map(linear: LinearMap) -> Arrays:
    mean = np.zeros(len(linear.coef), np.float32) if linear.mean is None else linear.mean
    return {"coef": linear.coef, "intercept": linear.intercept, "mean": mean}


def from_arrays(arrays: Arrays, key: FitKey) -> BaseOutcome | None:
    """Return the outcome that arrays hold; None if a name, shape, type or number cannot be that of this fit."""
    n_outputs = max(1, key.n_classes)
    if set(arrays) == {"scores", "probability"}:
        scores, probability = arrays["scores"], arrays["probability"]
        fits = scores.shape == (key.n_test, *([key.n_classes] if key.n_classes else [])) and scores.dtype.kind == "f"
        if not fits or probability.shape or probability.dtype != np.bool_ or not np.isfinite(scores).all():
            return None
        return Prediction(scores, probability=bool(probability))
    strength = _strength(has_numbers=key.has_numbers)
    is_linear = "coef" in arrays or key.has_numbers  # some classifiers are no map of the features
    of_map = {"coef", "intercept", "mean"} if is_linear else set()
    known = set(arrays) - {"parts", "thresholds"} == {strength, "out_of_fold", "test", *of_map}
    if not known or ("thresholds" in arrays) != key.has_labels:
        return None
    columns = (key.n_classes,) if key.n_classes else ()
    number = np.float64 if key.has_numbers else np.float32
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        strength: ((), np.float64),
        "out_of_fold": ((key.n_train, *columns), number),
        "test": ((key.n_test, *columns), number),
        **({"parts": ((*arrays["parts"].shape[:1], len(PartRecord._fields)), np.float64)} if "parts" in arrays else {}),
        **({"thresholds": ((key.n_classes,), np.float64)} if "thresholds" in arrays else {}),
    }
    if is_linear:
        expected["coef"] = ((key.dim, n_outputs), np.float32)
        expected["intercept"] = ((n_outputs,), np.float32)
        expected["mean"] = ((key.dim,), np.float32)
    if any(arrays[name].shape != shape or arrays[name].dtype != dtype for name, (shape, dtype) in expected.items()):
        return None
    out_of_fold = arrays["out_of_fold"]
    scored = np.isfinite(out_of_fold[key.tested]).all() and np.isnan(out_of_fold[~key.tested]).all()
    if not scored or not all(np.isfinite(arrays[name]).all() for name in expected if name != "out_of_fold"):
        return None
    chosen = float(arrays[strength])
    linear = LinearMap(arrays["coef"], arrays["intercept"], arrays["mean"]) if is_linear else None
    is_strength = chosen >= 0 if key.has_numbers else chosen > 0
    if not is_strength:
        return None
    return BaseScores(chosen, out_of_fold, arrays["test"], linear, arrays.get("parts"), arrays.get("thresholds"))
