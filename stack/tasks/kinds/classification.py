"""Classification: one class of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted, typed
from stackbone.stack.folds.class_folds import Ask, check_inner, divide_and_check
from stackbone.stack.folds.class_labels import check_labels, find_rare, too_few
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold, Kept, check_fold_classes
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.folds.trials import class_steps
from stackbone.stack.folds.ways_out import ways_for_classes
from stackbone.stack.graphs.answers import class_probabilities
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.learner import BaseScores, MetaLearner
from stackbone.stack.learners.meta_model import MetaModel, mean_probability
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.metrics.chance.accuracy import check_at_chance
from stackbone.stack.metrics.compare import Difference, bootstrap_difference
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import METRICS, class_metrics, typed_metric
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
from stackbone.stack.tasks.class_findings import find_class_errors
from stackbone.stack.tasks.findings import Examined, Findings, compare_resampled
from stackbone.stack.tasks.task import Groups, Task
from stackbone.stack.tasks.truth import Truth

UNEVEN = 10
"""Times as many images of the commonest class as of the rarest, beyond which accuracy is said to tell little."""

_SEEN = {"probability": "probabilities", "log-probability": "log-probabilities", "decision": "decision values"}


class Classification(Task):
    """See the module."""

    name = "classification"
    primary_metric = "accuracy"
    copies_metric = "accuracy"
    said = "probabilities"
    base = "lr"
    rare = ("refuse", "drop", "keep")
    can_be_steered = True
    has_class_weights = True
    averages = True
    knows_chance = True

    @property
    def recipes(self) -> Mapping[str, str]:
        """Each recipe with the row of the table that scores it; the plain baselines are recipes too."""
        return {**super().recipes, "mean": "mean", "concat": "concat"}

    def check_options(self, options: StackOptions) -> None:
        """Refuse means of anything but probabilities."""
        meta = options.meta
        if META_LEARNERS[meta.learner].averages and (meta.scores, meta.combine) != ("probability", "concat"):
            message = (
                f"--meta {typed(meta.learner)} is a mean of the probabilities: leave --meta-scores and "
                "--meta-combine out"
            )
            raise UsageError(message)

    def check_metric(self, truth: Truth, folds: Sequence[Fold], metric: str | None) -> None:
        """Refuse a metric that is not defined in a test part, such as one of a single class."""
        if metric is None:
            return
        for number, fold in enumerate(folds, start=1):
            codes = truth.values[fold.test]
            perfect = log_softmax(np.where(codes[:, None] == np.arange(truth.n_classes), 5.0, 0.0), axis=1)
            if METRICS[metric].measure(codes, perfect, probability=True) is None:
                tested = np.unique(truth.classes[codes])
                of_several = len(folds) > 1
                part = f" in fold {number} of {len(folds)}, which tests" if of_several else " of"
                other = "folds that test" if of_several else "test images of"
                message = (
                    f"--metric {typed_metric(METRICS[metric])} cannot be told{part} {counted(len(codes), 'image')} of "
                    f"{counted(len(tested), 'class', 'classes')} ({', '.join(map(str, tested[:5]))}): choose another "
                    f"metric, or {other} several classes"
                )
                raise StackError(message)

    def advice(self, truth: Truth, options: StackOptions) -> list[str]:
        """Say what to type where classes are so uneven that accuracy tells little of the rare ones."""
        sizes = np.bincount(truth.values, minlength=truth.n_classes)
        most, least = int(sizes.argmax()), int(sizes.argmin())
        if options.metric not in (None, self.primary_metric) or sizes[most] <= UNEVEN * sizes[least]:
            return []
        weigh = " and --class-weight balanced to learn from each as much" if options.class_weight is None else ""
        return [
            f"{sizes[most]:,} images of {truth.classes[most]!s} and {sizes[least]:,} of {truth.classes[least]!s}: of "
            "classes so uneven, accuracy tells little of the rare ones. Use --metric balanced-accuracy to count all "
            f"classes alike{weigh}"
        ]

    def read(self, labels: NDArray[Any]) -> Truth:
        """Return class names and codes."""
        check_labels(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        return Truth(codes.astype(np.int64), classes)

    def check(self, truth: Truth) -> None:
        """Accept what `read` returns."""

    def divide(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
        """Return stratified folds."""
        return divide_and_check(labels, units, ask)

    def without_rare(self, labels: NDArray[np.str_], groups: Groups, cv: int) -> Kept:
        """Return the images of the other classes."""
        names = find_rare(labels, cv, groups)
        if not len(names):
            return super().without_rare(labels, groups, cv)
        kept = np.flatnonzero(~np.isin(labels, names))
        return Kept(kept, labels[kept], too_few("left out", len(labels) - len(kept), cv, names))

    def learnable(self, labels: NDArray[np.str_], groups: Groups, folds: Sequence[Fold]) -> Kept:
        """Return the images of the classes that no fold tests without having them in its training part."""
        lost = [np.setdiff1d(labels[fold.test], labels[fold.train]) for fold in folds]
        rows = np.flatnonzero(~np.isin(labels, np.concatenate(lost)))
        return Kept(rows, labels[rows], None)

    def check_at_chance(
        self, evaluation: Evaluation, truth: Truth, folds: Sequence[Fold], groups: NDArray[np.int64]
    ) -> str:
        """Compare accuracies with the share of the largest class."""
        return check_at_chance(evaluation.results, truth.names, folds, groups)

    def ways_out(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> str:
        """Return other numbers of folds, fewer classes, more images."""
        return ways_for_classes(labels, units, ask)

    def check_split(self, labels: NDArray[np.str_], units: Units, folds: list[Fold], ask: Ask) -> None:
        """Require that the training part knows every class, and can be divided into inner folds."""
        check_labels(labels)
        check_fold_classes(labels, folds[0], "the training part")
        check_inner(labels, units, folds, ask)

    def check_folds(self, truth: Truth, groups: Groups, folds: Sequence[Fold]) -> None:
        """Require that every training part knows the classes that its test part asks for."""
        for number, fold in enumerate(folds, start=1):
            check_fold_classes(truth.names, fold, f"the training part of fold {number} of {len(folds)}")

    def inner_folds(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Return stratified inner folds, of which every training part has every class."""
        own = units.take(rows)
        codes = truth.values[rows]
        return inner_folds(codes, truth.classes, seed, groups=own.groups, digests=own.digests, n_splits=most)

    def steps(self, n: int, units: Units, ask: Ask) -> int:
        """Count what a splitter weighs."""
        return class_steps(n, units, ask)

    def unknown(self, labels: NDArray[np.str_], tested: NDArray[np.bool_]) -> NDArray[np.str_]:
        """Return the classes of the test part that the training part lacks."""
        lacking: NDArray[np.str_] = np.setdiff1d(labels[tested], labels[~tested])
        return lacking

    def predict(self, scores: BaseScores) -> Prediction:
        """Return log-probabilities."""
        return Prediction(log_softmax(scores.test.astype(np.float64), axis=1), probability=True)

    def mean(self, scores: Sequence[BaseScores]) -> Prediction:
        """Return the log of the mean probability."""
        return Prediction(mean_probability([each.test for each in scores]), probability=True)

    def combine(self, meta: MetaModel, scores: Sequence[NDArray[Any]]) -> Prediction:
        """Return calibrated log-probabilities."""
        return Prediction(meta.log_probabilities(scores), probability=True)

    def add_to_graph(self, graph: Graph, meta: MetaModel, scores: Sequence[str], n_outputs: int) -> None:
        """Give out calibrated probabilities, and the place of the class that has the highest, the first of equals."""
        probabilities = class_probabilities(graph, meta, scores)
        about = "calibrated probability of each class, in the order of the metadata's classes"
        graph.add_output("probabilities", probabilities, (n_outputs,), about=about)
        best = graph.op("ArgMax", probabilities, axis=1, keepdims=0)
        about = "place of the most probable class among the metadata's classes, from 0"
        graph.add_output("class", best, (), "int64", about=about)

    def shares(self, meta: MetaModel, scores: Sequence[BaseScores]) -> NDArray[np.float64] | None:
        """Return what the fit found."""
        return meta.shares

    def measure(
        self, truth: NDArray[Any], prediction: Prediction, *, weights: Weights = None, asked: str | None = None
    ) -> dict[str, float]:
        """Return accuracy and the other metrics of classes."""
        return class_metrics(truth, prediction.scores, probability=prediction.probability, weights=weights, asked=asked)

    def errors(self, truth: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return hits."""
        hits: NDArray[np.float64] = (scores.argmax(axis=1) == truth).astype(np.float64)
        return hits

    def say(self, prediction: Prediction, names: Sequence[str]) -> list[str]:
        """Return the class of the highest score, the first of equals."""
        return [names[code] for code in prediction.scores.argmax(axis=1)]

    def compare_on_split(self, a: str, b: str, examined: Examined) -> Difference | None:
        """Return the paired bootstrap over images, or over groups of them."""
        if examined.metric not in (None, self.primary_metric) or examined.weights is not None:
            return compare_resampled(METRICS[examined.metric or self.primary_metric], a, b, examined)
        rows = examined.tested
        true, groups = examined.truth.values[rows], examined.groups
        right = (examined.joined(model).argmax(axis=1) == true for model in (a, b))
        return bootstrap_difference(*right, seed=examined.seed, groups=None if groups is None else groups[rows])

    def loss(self, full: ModelScore, without: ModelScore, difference: Difference | None) -> Difference | float:
        """Return the difference with its interval."""
        return full.merit - without.merit if difference is None else difference

    def find_errors(self, common: Findings, examined: Examined) -> Findings:
        """Add classes, confusions, images that are surely wrong, and calibration."""
        fitted = {name.partition(":")[0] for name in examined.evaluation.predictions}
        members = self.base if self.base in fitted else common.single.partition(":")[0]  # of a saved model of heads
        return find_class_errors(common, examined, f"{members}:")

    def describe_stack(self, learner: MetaLearner, options: MetaOptions) -> str:
        """Return what the meta-learner is, and what it sees."""
        if learner.averages or not learner.has_weights:
            return f"calibrated {learner.what} of the backbones' probabilities"
        averaged = "averaged " if options.combine == "average" else ""
        return f"{learner.what} on {averaged}out-of-fold {_SEEN[options.scores]}"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Require two distinct names or more."""
        n_classes, n_names = len(classes), len(set(classes))
        if 2 <= n_names == n_classes:
            return None
        return f"it has {n_classes} class names, {n_names} of them distinct; expected two or more"


TASK = Classification()
