"""Regression of several numbers of every image, each in its own unit: what is true of one number is true of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.labels.numbers import NUMBERS, join_numbers, name_problem
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.graphs.answers import numbers
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.weight_shares import target_shares
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import target_metrics
from stackbone.stack.metrics.model_scores import ModelScore, Prediction
from stackbone.stack.tasks.findings import Examined, Findings
from stackbone.stack.tasks.kinds.regression import Regression
from stackbone.stack.tasks.known_labels import KnownLabels, known_several
from stackbone.stack.tasks.target_findings import find_number_errors, score_each
from stackbone.stack.tasks.targets import check_several, parse_several
from stackbone.stack.tasks.truth import Truth


class Multitarget(Regression):
    """See the module."""

    name = "multitarget"
    primary_metric = "mean_r2"
    copies_metric = "mean_mae"
    base = "ridges"
    label_form = NUMBERS
    classes_are = ("number", "numbers")

    def read(self, labels: NDArray[Any]) -> Truth:
        """Return the numbers that the labels spell, or ``(n_images, n_targets)`` numbers as they are."""
        if labels.dtype.kind not in "fiu":
            names, values = parse_several(labels)
            return Truth(values, np.empty(0, np.str_), names)
        if labels.ndim != 2:
            message = f"targets have shape {labels.shape}; expected a column for each number, (n_images, n_targets)"
            raise StackError(message)
        names = np.array([str(number + 1) for number in range(labels.shape[1])], np.str_)
        return Truth(labels.astype(np.float64), np.empty(0, np.str_), names)

    def read_known(self, labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
        """Return what the labels spell of the model's numbers."""
        return known_several(labels, classes)

    def check(self, truth: Truth) -> None:
        """Require numbers each of which varies."""
        check_several(truth.targets, truth.values)

    def inner_folds(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Return shuffled inner folds, which no number decides."""
        return super().inner_folds(Truth(truth.values[:, 0], truth.classes), rows, units, seed, most)

    def as_scores(self, decision: NDArray[Any]) -> NDArray[Any]:
        """Return a column for each number."""
        return decision

    def add_to_graph(self, graph: Graph, meta: MetaModel, scores: Sequence[str], n_outputs: int) -> None:
        """Give out the weighted sum of the predictions of each number."""
        about = "predicted numbers, in the order of the metadata's targets, each in its own unit"
        graph.add_output("values", numbers(graph, meta, scores), (n_outputs,), about=about)

    def shares(self, meta: MetaModel, scores: Sequence[BaseScores]) -> NDArray[np.float64] | None:
        """Return how much of the predictions each backbone moves, in the mean over the numbers."""
        alone = np.stack([each.test for each in scores], axis=2)
        stacked = meta.numbers([each.test for each in scores])
        each = (target_shares(stacked[:, number], alone[:, number]) for number in range(stacked.shape[1]))
        told = [shares for shares in each if shares is not None]
        return np.mean(told, axis=0) if told else None

    def measure(
        self, truth: NDArray[Any], prediction: Prediction, *, weights: Weights = None, asked: str | None = None
    ) -> dict[str, float]:
        """Return the mean over the numbers of R² and of the errors of each."""
        return target_metrics(truth, prediction.scores.astype(np.float64), weights=weights, asked=asked)

    def score(
        self,
        model: str,
        truth: Truth,
        predictions: Sequence[Prediction],
        folds: Sequence[Fold],
        *,
        weights: Weights = None,
        metric: str | None = None,
    ) -> ModelScore:
        """Measure as every task does, and each number by itself beside: ``r2:NAME``, ``mae:NAME``, ``rmse:NAME``."""
        whole = super().score(model, truth, predictions, folds, weights=weights, metric=metric)
        of_each = {
            f"{name}:{each.model}": values
            for each in score_each(truth, predictions, folds, weights)
            for name, values in each.numbers.items()
        }
        return replace(whole, metrics={**whole.metrics, **of_each})

    def errors(self, truth: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean over the numbers of absolute errors."""
        errors: NDArray[np.float64] = super().errors(truth, scores).mean(axis=1)
        return errors

    def say(self, prediction: Prediction, names: Sequence[str]) -> list[str] | list[float]:
        """Return the numbers as a label spells them."""
        return [join_numbers(names, [f"{number:.7g}" for number in row]) for row in prediction.scores.tolist()]

    def find_errors(self, common: Findings, examined: Examined) -> Findings:
        """Add each number, and the images that are furthest off in one."""
        return find_number_errors(common, examined)

    def targets_problem(self, targets: Sequence[str]) -> str | None:
        """Require distinct names, one or more, that labels can be written with."""
        if not all(targets) or any(name_problem(name) for name in targets):
            return "a name of a number is empty, or holds what stands between names and numbers"
        if targets and len(set(targets)) == len(targets):
            return None
        return f"it has {len(targets)} names of numbers, {len(set(targets))} of them distinct; expected one or more"


TASK = Multitarget()
