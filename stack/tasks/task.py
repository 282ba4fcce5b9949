"""What a task is: all that depends on what is predicted of an image, in one object.

Nothing outside `stack.tasks` asks which task it has; it asks the task for its part. To add a task is to write one file
in `stack.tasks.kinds`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import UsageError
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.stack.folds.class_folds import Ask
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold, Kept
from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction
from stackbone.stack.tasks.findings import Examined, Findings
from stackbone.stack.tasks.known_labels import KnownLabels, known_classes
from stackbone.stack.tasks.label_form import check_label_form
from stackbone.stack.tasks.learners import LearnersOfTask
from stackbone.stack.tasks.ordered_training import ordered_training
from stackbone.stack.tasks.truth import Truth

Groups = NDArray[np.int64] | None


class Task(LearnersOfTask):
    """What is predicted of an image, and everything that depends on it; attributes of `LearnersOfTask` beside these.

    Attributes
    ----------
    primary_metric : str
        The metric that models are ranked by.
    copies_metric : str
        What near copies are measured by, image by image: see `errors`.
    rare : tuple of str
        What can be done with classes too rare for the folds; ``refuse`` alone where there are no classes.
    can_be_steered : bool
        Whether `stackbone steer` makes this task's cross-validation folds.
    has_class_weights : bool
        Whether there are classes that ``--class-weight`` can weigh.
    averages : bool
        Whether a meta-learner may see the average of the backbones' scores in place of all of them.
    has_thresholds : bool
        Whether its models hold probabilities from which on an image is said to have a label.
    knows_chance : bool
        Whether it is known what shuffled labels may score: see `check_at_chance`.
    label_form : str
        Of the datasets that it reads: see `cache.records.indexes.index.DatasetIndex`.
    classes_are : tuple of str
        What `Truth.classes` are, as people say it: one of them, and several.
    """

    primary_metric: str
    copies_metric: str
    rare: tuple[str, ...] = ("refuse",)
    can_be_steered: bool = False
    has_class_weights: bool = False
    averages: bool = False
    has_thresholds: bool = False
    knows_chance: bool = False
    label_form: str = ""
    classes_are: tuple[str, str] = ("class", "classes")

    def check_options(self, options: StackOptions) -> None:
        """Refuse options that mean nothing for this task, by a `UsageError`."""

    def check_metric(self, truth: Truth, folds: Sequence[Fold], metric: str | None) -> None:
        """Raise `StackError` if the test part of a fold does not allow a metric, whatever is predicted."""

    def advice(self, truth: Truth, options: StackOptions) -> list[str]:
        """Return what a reader of the scores should know of the labels, in sentences; by default nothing."""
        return []

    # What is true

    def check_index(self, index: DatasetIndex) -> None:
        """Raise `UsageError` if the labels of a dataset are of another form than `label_form`."""
        check_label_form(self.name, self.label_form, index)

    @abstractmethod
    def read(self, labels: NDArray[Any]) -> Truth:
        """Return what ``(n_images,)`` labels say; a `StackError` says why they cannot be learnt."""

    @abstractmethod
    def check(self, truth: Truth) -> None:
        """Raise `StackError` unless there is something to predict."""

    def read_known(self, labels: NDArray[np.str_], classes: Sequence[str]) -> KnownLabels:
        """Return what ``(n_images,)`` labels say in terms of a saved model: by default one class each.

        `classes` are the classes, labels or several numbers that the model predicts, in its order.

        A `StackError` says why the model cannot be tested on them.
        """
        return known_classes(labels, classes)

    # Who trains, who tests

    @abstractmethod
    def divide(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
        """Return outer folds whose training parts can be divided again, or raise `StackError`."""

    def without_rare(self, labels: NDArray[np.str_], groups: Groups, cv: int) -> Kept:
        """Return what is left without what is too rare for `cv` folds; by default everything."""
        return Kept(np.arange(len(labels)), labels, None)

    @abstractmethod
    def ways_out(self, labels: NDArray[np.str_], units: Units, ask: Ask) -> str:
        """Return what can be done where `divide` was refused, for the end of a message."""

    @abstractmethod
    def check_split(self, labels: NDArray[np.str_], units: Units, folds: list[Fold], ask: Ask) -> None:
        """Raise `StackError` unless the dataset's own split can be scored, and its training part divided again."""

    @abstractmethod
    def check_folds(self, truth: Truth, groups: Groups, folds: Sequence[Fold]) -> None:
        """Raise `StackError` unless these outer folds can be scored fairly."""

    @abstractmethod
    def inner_folds(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Divide a training part, the `rows` of all images, into at most so many inner folds."""

    def divide_training(self, truth: Truth, rows: NDArray[np.int64], units: Units, seed: int, most: int) -> list[Fold]:
        """Return the inner folds of a training part: `inner_folds`, or where units have times, folds in their order.

        Of the latter those count before which every class of the training part was seen.

        Raises
        ------
        StackError
            If it cannot be divided so that a meta-learner can learn from it.
        """
        own = units.take(rows)
        if own.times is None:
            return self.inner_folds(truth, rows, units, seed, most)
        return ordered_training(truth, rows, own, most, lambda fold: self.check_folds(truth, None, [fold]))

    @abstractmethod
    def steps(self, n: int, units: Units, ask: Ask) -> int:
        """Return about how many steps of `stack.folds.trials.Trials` it takes to divide `n` rows."""

    def unknown(self, labels: NDArray[np.str_], tested: NDArray[np.bool_]) -> NDArray[np.str_]:
        """Return the classes that a split tests and does not teach; none where numbers are predicted."""
        return labels[:0]

    # What labels that mean nothing may score

    def learnable(self, labels: NDArray[np.str_], groups: Groups, folds: Sequence[Fold]) -> Kept:
        """Return what folds that were made for other labels can learn and test of these; by default everything."""
        return Kept(np.arange(len(labels)), labels, None)

    def check_at_chance(
        self, evaluation: Evaluation, truth: Truth, folds: Sequence[Fold], groups: NDArray[np.int64]
    ) -> str:
        """Return in a sentence that no model does better on shuffled labels than luck; `StackError` if one does.

        `groups` are those that swapped labels as a whole, ``(n_images,)``.
        """
        message = f"chance is not known of {self.name}"
        raise TypeError(message)

    # What models say

    @abstractmethod
    def predict(self, scores: BaseScores) -> Prediction:
        """Return what one base learner says of the test part."""

    @abstractmethod
    def mean(self, scores: Sequence[BaseScores]) -> Prediction:
        """Return the mean of what the backbones say of the test part."""

    @abstractmethod
    def combine(self, meta: MetaModel, scores: Sequence[NDArray[Any]]) -> Prediction:
        """Return what a meta-learner makes of the backbones' scores, one array of the same rows for each."""

    def as_scores(self, decision: NDArray[Any]) -> NDArray[Any]:
        """Return the ``(n, n_outputs)`` values of a base learner's map as `combine` takes them: by default as is."""
        return decision

    def add_to_graph(self, graph: Graph, meta: MetaModel, scores: Sequence[str], n_outputs: int) -> None:
        """Give out of a graph what `combine` returns, and what is said of it.

        Parameters
        ----------
        graph : Graph
            To be added to.
        meta : MetaModel
            With the thresholds of labels, where there are any.
        scores : sequence of str
            ``(n, n_outputs)`` values of the base learners' maps, in the order of the fit.
        n_outputs : int
            Classes, labels or numbers.

        Raises
        ------
        UsageError
            If this task, which another package added, cannot be written so.
        """
        message = f"models of the task {self.name} cannot be written as ONNX: use `stackbone predict`"
        raise UsageError(message)

    @abstractmethod
    def shares(self, meta: MetaModel, scores: Sequence[BaseScores]) -> NDArray[np.float64] | None:
        """Return the ``(n_backbones,)`` shares of a meta-learner's weight; None where it cannot be told."""

    @abstractmethod
    def measure(
        self, truth: NDArray[Any], prediction: Prediction, *, weights: Weights = None, asked: str | None = None
    ) -> dict[str, float]:
        """Return the metrics of the predictions of rows whose truth is given; among them the one that was asked for."""

    @abstractmethod
    def say(self, prediction: Prediction, names: Sequence[str]) -> list[str] | list[float]:
        """Return what is predicted of each image, as its label would say it; `names` are `Truth.columns`."""

    @abstractmethod
    def errors(self, truth: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``(n,)`` hits (1 or 0), or errors in the labels' unit, whose mean is `copies_metric`."""

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
        """Measure one model's predictions, fold by fold, to be ranked by `metric` or else by `primary_metric`.

        `weights` is ``(n_images,)`` what each image counts for. `StackError`: a fold does not allow the metric.
        """
        each = []
        for prediction, fold in zip(predictions, folds, strict=True):
            own = None if weights is None else weights[fold.test]
            each.append(self.measure(truth.values[fold.test], prediction, weights=own, asked=metric))
        return ModelScore.of_folds(model, each, metric or self.primary_metric)

    # What it means

    @abstractmethod
    def compare_on_split(self, a: str, b: str, examined: Examined) -> Difference | None:
        """Return how far one model is above another on a single split; None where it cannot be told."""

    @abstractmethod
    def loss(self, full: ModelScore, without: ModelScore, difference: Difference | None) -> Difference | float:
        """Return what a stack loses without a backbone, as `Findings.ablation` holds it."""

    @abstractmethod
    def find_errors(self, common: Findings, examined: Examined) -> Findings:
        """Return what every task finds with what this one knows of the model's errors."""

    # What is saved

    @abstractmethod
    def classes_problem(self, classes: Sequence[str]) -> str | None:
        """Return what is wrong with a saved model's class names, if anything."""

    def targets_problem(self, targets: Sequence[str]) -> str | None:
        """Return what is wrong with a saved model's names of several numbers; by default any name."""
        return f"it names numbers, {', '.join(targets)}, and its task is {self.name}" if targets else None
