"""What a learner is: base learners see features, meta-learners see what the base learners say.

To add one is to write one file, in `stack.learners.bases` or `stack.learners.meta`, or in a package of one's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import UsageError
from stackbone.cache.progress import Progress
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.meta_model import FinalFit, MetaModel
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.solvers.linear import LinearMap


@dataclass(frozen=True, eq=False)
class Part:
    """One outer fold as the learners see it.

    Attributes
    ----------
    number : int
        Of the fold, from 0.
    fold : Fold
        Its rows of the features.
    y_train : NDArray[np.int64], NDArray[np.int8] or NDArray[np.float64]
        ``(n_train,)`` class codes, 0 to ``n_classes - 1``, or numbers; ``(n_train, n_targets)`` of several numbers;
        ``(n_train, n_classes)``, 1 where an image has a label and else 0, where it can have several.
    n_classes : int
        Number of classes, or labels; 0 where numbers are predicted.
    inner : list of Fold
        Inner folds over the rows of the training part.
    fitted : NDArray[np.int64], optional
        Positions in the training part of what is learnt from; the inner folds alone test the others, and only these.
        None where every row is learnt from and tested. See `stack.evaluation.viewed`.
    weight : float
        What each row learnt from counts for: 1 / V where an image has V of them.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row of the training part counts for beside `weight` where a model learns, above 0 and 1
        in the mean: the weight of its class times that of its image. None where all count alike.
    sample_weights : NDArray[np.float64], optional
        ``(n_train,)`` likewise the weight of its image alone: what it counts for where a metric is measured.
    metric : Metric, optional
        What chooses strengths of regularisation on the inner folds; None where each learner has a way of its own.
    """

    number: int
    fold: Fold
    y_train: NDArray[Any]
    n_classes: int
    inner: list[Fold]
    fitted: NDArray[np.int64] | None = None
    weight: float = 1.0
    row_weights: Weights = None
    sample_weights: Weights = None
    metric: Metric | None = None

    @property
    def fitted_rows(self) -> NDArray[np.int64]:
        """``(n_fitted,)`` rows of the features that are learnt from."""
        return self.fold.train if self.fitted is None else self.fold.train[self.fitted]

    @property
    def tested(self) -> NDArray[np.int64]:
        """Ascending positions in the training part that inner folds test, all of them but in the order of time."""
        return np.unique(np.concatenate([fold.test for fold in self.inner]))

    @property
    def y_fitted(self) -> NDArray[Any]:
        """``(n_fitted,)`` what is to be learnt of them, as `y_train`."""
        return self.y_train if self.fitted is None else self.y_train[self.fitted]

    @property
    def fitted_weights(self) -> Weights:
        """``(n_fitted,)`` the `row_weights` of what is learnt from."""
        return self.row_weights if self.fitted is None or self.row_weights is None else self.row_weights[self.fitted]

    def loss(self, scores: NDArray[Any], rows: NDArray[np.int64], *, probability: bool) -> float:
        """Return how ill `metric` thinks of the scores of some rows of the training part; less is better.

        Parameters
        ----------
        scores : NDArray of float
            ``(n, n_classes)`` natural-log probabilities or decision values; ``(n,)`` numbers, or ``(n, n_targets)`` of
            several.
        rows : NDArray[np.int64]
            ``(n,)`` positions in the training part.
        probability : bool
            Whether the scores are log-probabilities.

        Raises
        ------
        ValueError
            If there is no metric.
        """
        if self.metric is None:
            message = "this part has no metric to choose by"
            raise ValueError(message)
        weights = None if self.sample_weights is None else self.sample_weights[rows]
        return self.metric.loss(self.y_train[rows], scores, probability=probability, weights=weights)


@dataclass(frozen=True, eq=False)
class BaseScores:
    """What one base learner says of one outer fold.

    Of classes these are decision values (logits): their log-softmax gives natural-log probabilities; of labels that an
    image can have several of, the logits of each by itself. Of numbers they are predictions in the labels' unit.

    Attributes
    ----------
    chosen : float
        What was chosen: C of a classifier (of several labels, the geometric mean of theirs), alpha of a ridge
        regression (of several numbers likewise); the shrinkage, k or temperature of a head.
    out_of_fold : NDArray[np.float32] or NDArray[np.float64]
        ``(n_train, n_classes)`` float32, or ``(n_train,)`` or ``(n_train, n_targets)`` float64 numbers; each row by a
        model that never saw it. NaN in the rows that no inner fold tests.
    test : NDArray[np.float32] or NDArray[np.float64]
        ``(n_test, n_classes)``, ``(n_test,)`` or ``(n_test, n_targets)``, by the model of the whole training part.
    linear_map : LinearMap, optional
        That model; None where it is no linear map of raw features.
    parts : NDArray[np.float64], optional
        ``(n_parts, 3)`` what its parts of columns carry: see `stack.learners.part_weights.PartRecord`; None where there
        is one.
    thresholds : NDArray[np.float64], optional
        ``(n_labels,)`` probabilities from which on an image is said to have each label; None where it has one.
    """

    chosen: float
    out_of_fold: NDArray[Any]
    test: NDArray[Any]
    linear_map: LinearMap | None
    parts: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None

    @property
    def linear(self) -> LinearMap:
        """The model of the whole training part; a `TypeError` where it is no linear map."""
        if self.linear_map is None:
            message = "this base learner is no linear map of the features: no file of a model can hold it"
            raise TypeError(message)
        return self.linear_map


BaseOutcome = BaseScores | Prediction
"""What a fit on features gives: scores that a meta-learner can learn from, or predictions of the test part alone."""


class BaseLearner(ABC):
    """A learner that sees features: of one backbone, or of all of them.

    Attributes
    ----------
    name : str
        Its rows of the table are called ``name:BACKBONE``; or, where it sees all backbones, ``stack:name``.
    task : str
        Name of the task that it is for.
    what : str
        What it is, in a few words; of a learner of one backbone with ``{name}`` for that backbone.
    sees_all : bool
        Whether it is fitted on all backbones together. It is then a recipe, run where it is asked for.
    uses_inner_folds : bool
        Whether the inner folds decide its outcome.
    has_probabilities : bool
        Whether what it predicts are probabilities: of a classification, else it has decision values alone, which some
        metrics cannot measure.
    copies_rows : bool
        Whether a fit copies its training rows: of large features such fits run one at a time, with all cores.
    by_default : bool
        Whether it is fitted without being asked for by ``--heads``.
    can_be_stacked : bool
        Whether it sees one backbone and gives `BaseScores`, so that a stack can be built of it.
    can_be_saved : bool
        Whether such a stack can be saved: whether it gives a `BaseScores.linear_map`.
    place : int
        Where its rows stand in the table, ascending.
    """

    name: str
    task: str
    what: str
    sees_all: bool = False
    uses_inner_folds: bool = True
    has_probabilities: bool = True
    copies_rows: bool = True
    by_default: bool = True
    can_be_stacked: bool = False
    can_be_saved: bool = False
    place: int = 100

    def of_parts(self, widths: tuple[int, ...]) -> BaseLearner:
        """Return the learner of features in parts of so many columns each; by default itself: parts do not matter."""
        return self

    @abstractmethod
    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return its name and all settings that decide its outcome, JSON-able: its part of a key of the score cache."""

    def size_settings(self, n_rows: int, dim: int, options: StackOptions) -> dict[str, object]:
        """Return what so many training rows and columns add to its settings; nothing but for fits done another way."""
        return {}

    @abstractmethod
    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseOutcome:
        """Fit on the training part, and predict the test part.

        Parameters
        ----------
        features : sequence of NDArray[np.float32]
            ``(n_images, dim)`` of each backbone that it sees.
        part : Part
            Which rows train and which are predicted.
        options : StackOptions
            What the user decided.
        seed : int
            Of whatever is drawn at random.
        """

    def fit_final(
        self,
        features: Sequence[NDArray[np.float32]],
        part: Part,
        seed: int,
        *,
        n_jobs: int | None = None,
        progress: Progress | None = None,
    ) -> FinalFit:
        """Fit on every image, to be saved; of a learner that sees all backbones.

        Parameters
        ----------
        features, part, seed
            As of `fit`; the training part is everything.
        n_jobs : int, optional
            Fits at a time; all cores by default.
        progress : callable, optional
            Told of each fit.

        Raises
        ------
        UsageError
            If its model cannot be saved.
        """
        message = f"a model of the recipe {self.name} cannot be saved: leave --save out, or use another --recipe"
        raise UsageError(message)


class MetaLearner(ABC):
    """A learner that makes one answer of what the base learners say.

    Attributes
    ----------
    name : str
        What ``--meta`` takes.
    tasks : tuple of str
        Names of the tasks that it is for.
    what : str
        What it is, in a few words.
    has_weights : bool
        Whether it learns how much each backbone counts.
    averages : bool
        Whether it is a mean of the backbones' probabilities, weighted or not.
    place : int
        Of a task's meta-learners the first is the default.
    """

    name: str
    tasks: tuple[str, ...]
    what: str
    has_weights: bool = True
    averages: bool = False
    place: int = 100

    @abstractmethod
    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Fit on the backbones' out-of-fold scores of one training part.

        Parameters
        ----------
        scores : sequence of BaseScores
            One per backbone, of the same fold and the same inner folds.
        part : Part
            That fold; rows that no inner fold tests take no part.
        options : MetaOptions
            What it sees, and its strength of regularisation.
        """
