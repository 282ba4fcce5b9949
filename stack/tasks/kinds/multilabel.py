"""Multi-label: any number of labels of every image, each there or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.labels.sets import BAR, SETS, join_names, split_names
from stackbone.stack.folds.class_folds import Ask
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold, Kept, check_fold_groups
from stackbone.stack.folds.labels.label_folds import (
    divide_inner_labels,
    divide_labels,
    label_steps,
    ways_for_labels,
)
from stackbone.stack.folds.labels.presence import check_both_sides, find_rare_labels, read_presence, say_rare
from stackbone.stack.graphs.answers import label_probabilities
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.labels.label_meta import log_presence, mean_log_odds
from stackbone.stack.learners.learner import BaseScores, MetaLearner
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.metrics.chance.ranking import check_ranked_at_chance
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import METRICS, label_metrics
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
from stackbone.stack.tasks.findings import Examined, Findings, compare_resampled
from stackbone.stack.tasks.known_labels import KnownLabels, known_sets
from stackbone.stack.tasks.label_findings import find_label_errors
from stackbone.stack.tasks.task import Groups, Task
from stackbone.stack.tasks.truth import Truth


class Multilabel(Task):
    """See the module."""

    name = "multilabel"
    primary_metric = "mean_ap"
    copies_metric = "label accuracy"
    said = "probabilities"
    base = "ovr"
    rare = ("refuse", "drop")
    has_thresholds = True
    knows_chance = True
    label_form = SETS
    classes_are = ("label", "labels")

    def check_options(self, options: StackOptions) -> None:
        """Refuse the options of meta-learners of classes."""
        meta = options.meta
        if (meta.scores, meta.combine) != ("probability", "concat"):
            message = (
                "--meta-scores and --meta-combine are for classification: leave them out; the stack of labels sees the "
                "backbones' log-odds side by side"
            )
            raise UsageError(message)

    def read(self, labels: NDArray[Any]) -> Truth:
        """Return the names of the labels, and which image has which."""
        names, presence = read_presence(labels)
        return Truth(presence, names)

    def read_known(self, labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
        """Return which of the model's labels each image has."""
        return known_sets(labels, classes)

    def check(self, truth: Truth) -> None:
        """Require labels that some images have and others lack."""
        check_both_sides(truth.classes, truth.values, f"the dataset of {len(truth.values):,} images")

    def divide(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
        """Return iteratively stratified folds."""
        names, presence = read_presence(labels)
        return divide_labels(names, presence, units, ask)

    def ways_out(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> str:
        """Return other numbers of folds, or fewer labels."""
        names, presence = read_presence(labels)
        return ways_for_labels(names, presence, units, ask)

    def check_split(self, labels: NDArray[np.str_], units: Units, folds: list[Fold], ask: Ask) -> None:
        """Require that the training part knows both sides of every label, and can be divided into inner folds."""
        names, presence = read_presence(labels)
        train = folds[0].train
        check_both_sides(names, presence[train], "the training part")
        divide_inner_labels(presence[train], units.take(train), ask.seed, ask.inner_splits, "the training part")

    def without_rare(self, labels: NDArray[np.str_], groups: Groups, cv: int) -> Kept:
        """Return all images without the labels that fewer than `cv` of them have, or lack."""
        names, presence = read_presence(labels)
        group = resolve_groups(groups, len(labels))
        rare = find_rare_labels(presence, group, cv)
        if not rare.any():
            return super().without_rare(labels, groups, cv)
        note = f"labels left out, too rare or too common for {cv} folds: {say_rare(names, presence, group, cv)}"
        return Kept(np.arange(len(labels)), _without(labels, names[rare]), note)

    def learnable(self, labels: NDArray[np.str_], groups: Groups, folds: Sequence[Fold]) -> Kept:
        """Return all images without the labels that a training part could not divide again."""
        names, presence = read_presence(labels)
        group = resolve_groups(groups, len(labels))
        each = [find_rare_labels(presence[fold.train], group[fold.train], 2) for fold in folds]
        return Kept(np.arange(len(labels)), _without(labels, names[np.logical_or.reduce(each)]), None)

    def check_at_chance(
        self, evaluation: Evaluation, truth: Truth, folds: Sequence[Fold], groups: NDArray[np.int64]
    ) -> str:
        """Look label by label how well images are ranked."""
        scored = {each.model: evaluation.predictions[each.model] for each in evaluation.results}
        return check_ranked_at_chance(scored, truth.values, truth.classes, folds, groups)

    def check_folds(self, truth: Truth, groups: Groups, folds: Sequence[Fold]) -> None:
        """Require that every training part knows both sides of every label, and no group on both sides of a fold."""
        for number, fold in enumerate(folds, start=1):
            where = f"fold {number} of {len(folds)}"
            check_both_sides(truth.classes, truth.values[fold.train], f"the training part of {where}")
            if not truth.values[fold.test].any():
                others = "test on another split" if len(folds) == 1 else "draw other folds (--seed)"
                message = f"no image that {where} tests has a label; average precision needs one: {others}"
                raise StackError(message)
            if groups is not None:
                check_fold_groups(resolve_groups(groups, len(truth.values)), fold, where)

    def inner_folds(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Return iteratively stratified inner folds, of which every training part has both sides of every label."""
        return divide_inner_labels(truth.values[rows], units.take(rows), seed, most, "a training part")

    def steps(self, n: int, units: Units, ask: Ask) -> int:
        """Count the units that are dealt."""
        return label_steps(n, units, ask)

    def predict(self, scores: BaseScores) -> Prediction:
        """Return log-probabilities of each label by itself, with the thresholds of the training part."""
        return Prediction(log_expit(scores.test.astype(np.float64)), probability=True, thresholds=scores.thresholds)

    def mean(self, scores: Sequence[BaseScores]) -> Prediction:
        """Return the log of the mean probability, and the mean of the thresholds: the sum of the margins decides."""
        odds = mean_log_odds([each.test for each in scores])
        thresholds = [each.thresholds for each in scores if each.thresholds is not None]
        return Prediction(log_expit(odds), probability=True, thresholds=np.mean(thresholds, axis=0))

    def combine(self, meta: MetaModel, scores: Sequence[NDArray[Any]]) -> Prediction:
        """Return calibrated log-probabilities of each label by itself."""
        return Prediction(log_presence(meta, scores), probability=True, thresholds=meta.thresholds)

    def add_to_graph(self, graph: Graph, meta: MetaModel, scores: Sequence[str], n_outputs: int) -> None:
        """Give out the calibrated probability of each label, and whether it is said to be there."""
        probabilities = label_probabilities(graph, meta, scores)
        about = "calibrated probability of each label, in the order of the metadata's classes"
        graph.add_output("probabilities", probabilities, (n_outputs,), about=about)
        present = graph.op("GreaterOrEqual", probabilities, graph.constant(np.asarray(meta.thresholds, np.float32)))
        graph.add_output("present", present, (n_outputs,), "bool", about="whether the image is said to have each label")

    def shares(self, meta: MetaModel, scores: Sequence[BaseScores]) -> NDArray[np.float64] | None:
        """Return what the fit found."""
        return meta.shares

    def measure(
        self, truth: NDArray[Any], prediction: Prediction, *, weights: Weights = None, asked: str | None = None
    ) -> dict[str, float]:
        """Return mean average precision and the other metrics of labels."""
        return label_metrics(truth, prediction.scores, prediction.present, weights=weights, asked=asked)

    def errors(self, truth: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return the share of each image's labels that are right, those that are not there too, said from one half."""
        right: NDArray[np.float64] = ((np.exp(scores) >= 0.5) == (truth == 1)).mean(axis=1)
        return right

    def say(self, prediction: Prediction, names: Sequence[str]) -> list[str]:
        """Return the labels that each image is said to have, with bars between them."""
        return [join_names(names[code] for code in np.flatnonzero(row).tolist()) for row in prediction.present]

    def compare_on_split(self, a: str, b: str, examined: Examined) -> Difference | None:
        """Return the paired bootstrap of the metric that was asked for; by default nothing, as it takes a while."""
        return None if examined.metric is None else compare_resampled(METRICS[examined.metric], a, b, examined)

    def loss(self, full: ModelScore, without: ModelScore, difference: Difference | None) -> Difference | float:
        """Return the difference with its interval, where there is one."""
        return full.merit - without.merit if difference is None else difference

    def find_errors(self, common: Findings, examined: Examined) -> Findings:
        """Add each label, and the images that are surely wrong about one."""
        return find_label_errors(common, examined)

    def describe_stack(self, learner: MetaLearner, options: MetaOptions) -> str:
        """Return what the meta-learner is, and what it sees."""
        if not learner.has_weights:
            return f"calibrated {learner.what} of the backbones' probabilities"
        return f"{learner.what} on its out-of-fold log-odds"

    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Require distinct names, one or more, that a set of them can be written with."""
        if not all(classes) or any(BAR in name for name in classes):
            return f"a name of a label is empty or holds {BAR!r}, which stands between labels"
        if classes and len(set(classes)) == len(classes):
            return None
        return f"it has {len(classes)} names of labels, {len(set(classes))} of them distinct; expected one or more"


def _without(labels: NDArray[np.str_], names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the labels of images without some."""
    dropped = set(names.tolist())
    distinct, kind = np.unique(labels, return_inverse=True)
    texts = [join_names(name for name in split_names(str(text)) if name not in dropped) for text in distinct]
    return np.array(texts, np.str_)[kind]


TASK = Multilabel()
