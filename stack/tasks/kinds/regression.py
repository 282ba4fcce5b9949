"""Regression: one number of every image, in the unit of its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted, typed
from stackbone.stack.folds.class_folds import Ask
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.folds.target_folds import check_target_folds, divide_targets
from stackbone.stack.folds.trials import target_steps
from stackbone.stack.folds.ways_out import ways_for_targets
from stackbone.stack.graphs.answers import numbers
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.weight_shares import target_shares
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import METRICS, regression_metrics, typed_metric
from stackbone.stack.metrics.model_scores import ModelScore, Prediction
from stackbone.stack.tasks.findings import Examined, Findings, compare_resampled
from stackbone.stack.tasks.known_labels import KnownLabels, known_numbers
from stackbone.stack.tasks.target_findings import find_target_errors
from stackbone.stack.tasks.targets import check_groups_apart, check_targets, parse_targets
from stackbone.stack.tasks.task import Groups, Task
from stackbone.stack.tasks.truth import Truth

_OF_SPREAD = {"r2": "mae", "mean_r2": "mean-mae"}
"""Metrics of how much of the spread of numbers is explained, each with one that asks for no spread."""


class Regression(Task):
    """See the module."""

    name = "regression"
    primary_metric = "r2"
    copies_metric = "mae"
    said = "predictions"
    base = "ridge"

    @property
    def saved_learners(self) -> Sequence[str]:
        """Every meta-learner is saved as a linear map of the backbones' predictions."""
        return ("linear",)

    @property
    def recipes(self) -> Mapping[str, str]:
        """Each recipe with the row of the table that scores it; the plain baselines are recipes too."""
        return {**super().recipes, "mean": "mean", "concat": "concat"}

    def check_options(self, options: StackOptions) -> None:
        """Refuse the options of classifiers."""
        meta = options.meta
        if options.c is not None or (meta.scores, meta.combine) != ("probability", "concat"):
            message = (
                "--c, --meta-scores and --meta-combine are for classification: leave them out, or use "
                "--task classification"
            )
            raise UsageError(message)

    def read(self, labels: NDArray[Any]) -> Truth:
        """Return the numbers that the labels spell."""
        values = labels.astype(np.float64) if labels.dtype.kind == "f" else parse_targets(labels)
        return Truth(values, np.empty(0, np.str_))

    def read_known(self, labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
        """Return the numbers that the labels spell."""
        return known_numbers(labels)

    def check_metric(self, truth: Truth, folds: Sequence[Fold], metric: str | None) -> None:
        """Refuse R² of a test part whose images all have one number: there is nothing to explain."""
        if metric not in _OF_SPREAD:
            return
        for number, fold in enumerate(folds, start=1):
            alike = np.ptp(truth.values[fold.test], axis=0) == 0
            if np.any(alike):
                which = f" {str(truth.targets[int(np.argmax(alike))])!r}" if len(truth.targets) else ""
                part = f" in fold {number} of {len(folds)}" if len(folds) > 1 else ""
                message = (
                    f"--metric {typed_metric(METRICS[metric])} cannot be told{part}: its "
                    f"{counted(len(fold.test), 'tested image')} {'has' if len(fold.test) == 1 else 'all have'} one "
                    f"number{which}, so that nothing varies. "
                    f"Use --metric {typed(_OF_SPREAD[metric])}, or test more images"
                )
                raise StackError(message)

    def check(self, truth: Truth) -> None:
        """Require numbers that vary."""
        check_targets(truth.values)

    def divide(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
        """Return shuffled folds."""
        return divide_targets(len(labels), units, ask)

    def ways_out(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> str:
        """Return other numbers of folds, or more images."""
        return ways_for_targets(len(labels), units, ask)

    def check_split(self, labels: NDArray[np.str_], units: Units, folds: list[Fold], ask: Ask) -> None:
        """Require enough images on both sides."""
        check_target_folds(folds, units, len(labels))

    def check_folds(self, truth: Truth, groups: Groups, folds: Sequence[Fold]) -> None:
        """Require enough images on both sides, and no group on both."""
        n = len(truth.values)
        check_target_folds(folds, Units(groups), n)
        check_groups_apart(folds, resolve_groups(groups, n))

    def inner_folds(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Return shuffled inner folds, as many as there are rows (or groups) if these are fewer."""
        part = units.take(rows)
        own = part.ids(len(rows))
        n_groups = len(np.unique(own))
        # A row each: so a message speaks of images and not of groups.
        kept = None if n_groups == len(rows) else own
        most = max(2, min(most, n_groups))
        return regression_folds(truth.values[rows], most, seed, groups=kept, digests=part.digests)

    def steps(self, n: int, units: Units, ask: Ask) -> int:
        """Count rows: no group is weighed."""
        return target_steps(n, ask)

    def predict(self, scores: BaseScores) -> Prediction:
        """Return the numbers as they are."""
        return Prediction(scores.test, probability=False)

    def mean(self, scores: Sequence[BaseScores]) -> Prediction:
        """Return the mean prediction."""
        return Prediction(np.mean([each.test for each in scores], axis=0), probability=False)

    def combine(self, meta: MetaModel, scores: Sequence[NDArray[Any]]) -> Prediction:
        """Return the weighted sum of the predictions."""
        return Prediction(self.as_scores(meta.numbers(scores)), probability=False)

    def add_to_graph(self, graph: Graph, meta: MetaModel, scores: Sequence[str], n_outputs: int) -> None:
        """Give out the weighted sum of the predictions."""
        column = graph.op("Squeeze", numbers(graph, meta, scores), graph.constant(np.array([1], np.int64)))
        graph.add_output("values", column, (), about="predicted number, in the unit of the labels")

    def as_scores(self, decision: NDArray[Any]) -> NDArray[Any]:
        """Return the one column."""
        return decision[:, 0]

    def shares(self, meta: MetaModel, scores: Sequence[BaseScores]) -> NDArray[np.float64] | None:
        """Return how much of the predictions each backbone moves."""
        alone = [each.test for each in scores]
        return target_shares(meta.values(alone), np.column_stack(alone))

    def measure(
        self, truth: NDArray[Any], prediction: Prediction, *, weights: Weights = None, asked: str | None = None
    ) -> dict[str, float]:
        """Return R² and the other metrics of numbers."""
        return regression_metrics(truth, prediction.scores.astype(np.float64), weights=weights, asked=asked)

    def errors(self, truth: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return absolute errors."""
        errors: NDArray[np.float64] = np.abs(scores - truth)
        return errors

    def say(self, prediction: Prediction, names: Sequence[str]) -> list[str] | list[float]:
        """Return the numbers as they are."""
        said: list[float] = prediction.scores.tolist()
        return said

    def compare_on_split(self, a: str, b: str, examined: Examined) -> Difference | None:
        """Return the paired bootstrap of the metric that was asked for; by default nothing: one R² has no spread."""
        return None if examined.metric is None else compare_resampled(METRICS[examined.metric], a, b, examined)

    def loss(self, full: ModelScore, without: ModelScore, difference: Difference | None) -> float:
        """Return the difference of the means."""
        return full.merit - without.merit

    def find_errors(self, common: Findings, examined: Examined) -> Findings:
        """Add the images that are furthest off."""
        return find_target_errors(common, examined)

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Require that there are none."""
        return "it is a regression and has class names" if classes else None


TASK = Regression()
