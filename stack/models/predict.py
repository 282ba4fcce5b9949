"""What a model says about images, and how well that agrees with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import Digests
from stackbone.cache.labels.numbers import as_number, split_numbers
from stackbone.cache.labels.sets import split_names
from stackbone.cache.text import counted
from stackbone.stack.models.answers import Answer
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.unlike.reading import further_than


@dataclass(frozen=True)
class Agreement:
    """How well answers agree with the labels that images happen to have.

    Attributes
    ----------
    n
        Images with a label.
    metric
        ``accuracy``, ``MAE`` of numbers, or ``micro-F1`` of labels that an image can have several of.
    value
        The share of labels that are right, or F1, 0 to 1; or the mean absolute error in the labels' unit, of several
        numbers the mean of theirs.
    each
        Of several numbers, the mean absolute error of each by name, in its own unit.
    """

    n: int
    metric: str
    value: float
    each: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-able object."""
        told = asdict(self)
        return told if self.each else {key: value for key, value in told.items() if key != "each"}

    def line(self) -> str:
        """Return it in words."""
        each = ", ".join(f"{name} {value:.3f}" for name, value in self.each.items())
        return f"{self.metric} {each or f'{self.value:.3f}'} on {counted(self.n, 'labelled image')}"


def agreement(answers: Sequence[Answer], labels: Sequence[str]) -> Agreement | None:
    """Return how well answers agree with the labels of the same images, '' for none; None where no image has one."""
    pairs = [(answer, label) for answer, label in zip(answers, labels, strict=True) if label]
    sets = [(set(answer.labels), set(split_names(label))) for answer, label in pairs if answer.labels is not None]
    if sets:
        total = sum(len(said) + len(true) for said, true in sets)
        shared = sum(len(said & true) for said, true in sets)
        return Agreement(len(sets), "micro-F1", 2 * shared / total if total else 1.0)
    off = _off([(answer.values, label) for answer, label in pairs if answer.values is not None])
    if off:
        each = {name: sum(errors) / len(errors) for name, errors in off.items()}
        return Agreement(max(map(len, off.values())), "MAE", sum(each.values()) / len(each), each)
    numbers = [(answer.value, as_number(label)) for answer, label in pairs]
    errors = [abs(value - truth) for value, truth in numbers if value is not None and truth is not None]
    if errors:
        return Agreement(len(errors), "MAE", sum(errors) / len(errors))
    right = [answer.ranked[0][0] == label for answer, label in pairs if answer.ranked]
    return Agreement(len(right), "accuracy", sum(right) / len(right)) if right else None


def _off(pairs: Sequence[tuple[Mapping[str, float], str]]) -> dict[str, list[float]]:
    """Return by how much predicted numbers miss those that labels spell, by name; of numbers that both have."""
    found: dict[str, list[float]] = {}
    for values, label in pairs:
        for name, cell in split_numbers(label).items():
            truth = as_number(cell)
            if name in values and truth is not None:
                found.setdefault(name, []).append(abs(values[name] - truth))
    return found


def predict(
    model: StackModel,
    paths: Sequence[str],
    blocks: Mapping[str, NDArray[np.float32]],
    *,
    top: int = 3,
    digests: Digests | None = None,
) -> list[Answer]:
    """Return what the model says about each image.

    Parameters
    ----------
    model
        Of any task.
    paths
        The n images.
    blocks
        As of `StackModel.log_probabilities`: ``(n, dim)`` features by backbone name, in the order of `paths`.
    top
        Classes to name for each image, at most; of equally probable ones the first in the model's order.
    digests
        ``(n, 32)`` SHA-256 of the images, by which those are found that the model was fitted on.

    Raises
    ------
    ModelError
        If the features are not what the model takes.
    """
    outputs = np.exp(model.log_probabilities(blocks)) if model.classes else model.predict_values(blocks)
    return _with_shares(_answers(model, paths, outputs, top, digests), further_than(model, blocks))


def predict_from(
    model: StackModel,
    paths: Sequence[str],
    decisions: Sequence[NDArray[np.float32]],
    *,
    top: int = 3,
    digests: Digests | None = None,
    shares: NDArray[np.float64] | None = None,
) -> list[Answer]:
    """Return what `predict` does, of the decisions and shares that `stack.models.unlike.reading.read_out` returns."""
    outputs = model.combined(decisions)
    answers = _answers(model, paths, np.exp(outputs) if model.classes else outputs, top, digests)
    return _with_shares(answers, shares)


def _answers(
    model: StackModel, paths: Sequence[str], outputs: NDArray[np.float64], top: int, digests: Digests | None
) -> list[Answer]:
    known = None if digests is None else model.knows(digests)
    trained_on: list[bool | None] = [None] * len(paths) if known is None else known.tolist()
    if model.targets:
        return [
            Answer(path, [], None, is_known, values=dict(zip(model.targets, map(_rounded, row), strict=True)))
            for path, row, is_known in zip(paths, outputs, trained_on, strict=True)
        ]
    if not model.classes:
        rows = zip(paths, outputs, trained_on, strict=True)
        return [Answer(path, [], _rounded(value), is_known) for path, value, is_known in rows]
    if model.thresholds is not None:
        return [
            Answer(
                path,
                [(name, round(float(p), 6)) for name, p in zip(model.classes, row, strict=True)],
                trained_on=is_known,
                labels=[
                    name for name, is_there in zip(model.classes, row >= model.thresholds, strict=True) if is_there
                ],
            )
            for path, row, is_known in zip(paths, outputs, trained_on, strict=True)
        ]
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :top]
    return [
        Answer(path, [(model.classes[code], round(float(row[code]), 6)) for code in codes], trained_on=is_known)
        for path, row, codes, is_known in zip(paths, outputs, order, trained_on, strict=True)
    ]


def _with_shares(answers: list[Answer], shares: NDArray[np.float64] | None) -> list[Answer]:
    if shares is None:
        return answers
    return [replace(each, further_than=round(float(share), 6)) for each, share in zip(answers, shares, strict=True)]


def _rounded(value: np.float64) -> float:
    return float(f"{value:.7g}")  # what single precision knows
