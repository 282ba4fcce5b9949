"""What an evaluation finds: predictions, scores per fold, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.lazy import later
from stackbone.cache.text import counted
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.metrics import METRICS


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one model says of one fold's test part.

    Attributes
    ----------
    scores : NDArray[np.floating]
        ``(n_test, n_classes)`` natural-log probabilities, or decision values of a linear SVM; where numbers are
        predicted, ``(n_test,)`` of them in the labels' unit, or ``(n_test, n_targets)`` of several, each in its own.
        Where an image can have several labels, ``(n_test, n_labels)`` natural-log probabilities of each by itself.
    probability : bool
        Whether they are log-probabilities.
    thresholds : NDArray[np.float64], optional
        ``(n_labels,)`` probabilities from which on an image is said to have each label, where it can have several.
    """

    scores: NDArray[np.floating]
    probability: bool
    thresholds: NDArray[np.float64] | None = None

    @property
    def present(self) -> NDArray[np.bool_]:
        """``(n_test, n_labels)`` whether each image is said to have each label."""
        thresholds = np.full(self.scores.shape[1], 0.5) if self.thresholds is None else self.thresholds
        present: NDArray[np.bool_] = np.exp(self.scores) >= thresholds
        return present


@dataclass(frozen=True)
class ModelScore:
    """How one model did on each outer fold.

    Attributes
    ----------
    model : str
        ``lr:BACKBONE``, ``svm:BACKBONE``, ``mean``, ``concat``, ``stack:oof`` or ``stack:published``; for
        regression ``ridge:BACKBONE`` in place of the first two.
    folds : list of float
        The metric that models are ranked by, one per fold: accuracy (the share of the test rows classified correctly, 0
        to 1) or R², unless another was asked for.
    metrics : dict of str to list of float
        The other numbers of `stack.metrics.metrics`, one per fold.
    primary_metric : str
        Its name, such as ``accuracy`` or ``r2``.
    """

    model: str
    folds: list[float]
    metrics: dict[str, list[float]] = field(default_factory=dict)
    primary_metric: str = "accuracy"

    @classmethod
    def of_folds(cls, model: str, numbers: Sequence[Mapping[str, float]], primary: str) -> ModelScore:
        """Return the score of a model of its metrics on each fold; what some folds lack is left out.

        Raises
        ------
        StackError
            If that is the primary metric.
        """
        for number, each in enumerate(numbers, start=1):
            if primary not in each:
                of_several = len(numbers) > 1
                part = f" in fold {number} of {len(numbers)}" if of_several else ""
                message = (
                    f"the {METRICS[primary].title or primary} of {model} cannot be told{part}: its predictions or the "
                    f"tested images do not allow it. Choose another --metric, or "
                    f"{'other folds' if of_several else 'test other images'}"
                )
                raise StackError(message)
        shared = [name for name in numbers[0] if all(name in each for each in numbers)]
        metrics = {name: [each[name] for each in numbers] for name in shared}
        return cls(model, metrics.pop(primary), metrics, primary)

    @property
    def mean(self) -> float:
        """Mean of the primary metric over folds."""
        return float(np.mean(self.folds))

    @property
    def merits(self) -> list[float]:
        """The primary metric of each fold as a number of which more is better."""
        return [METRICS[self.primary_metric].merit(each) for each in self.folds]

    @property
    def merit(self) -> float:
        """The mean as a number of which more is better."""
        return METRICS[self.primary_metric].merit(self.mean)

    @property
    def std(self) -> float:
        """Population standard deviation over folds (``ddof=0``, as ``scores.std()`` prints it).

        It describes the spread of these folds; it is not a standard error, since the folds share
        training rows.
        """
        return float(np.std(self.folds))

    @property
    def numbers(self) -> dict[str, list[float]]:
        """Every metric, one number per fold, the primary one first."""
        return {self.primary_metric: self.folds, **self.metrics}

    def to_dict(self) -> dict[str, object]:
        """Return the score as one entry of the ``results`` of ``stack --json``."""
        return {
            "model": self.model,
            **{
                name: {"mean": float(np.mean(each)), "std": float(np.std(each)), "folds": each}
                for name, each in self.numbers.items()
            },
        }


@dataclass(frozen=True)
class PartScore:
    """What one part of a base learner's columns, such as a stage of a network, carries in each fold.

    Attributes
    ----------
    name : str
        Such as ``pooled`` or ``stage4``.
    width : int
        Columns.
    factors : list of float
        What its standardised columns are multiplied by, as the training part chose: 1 where all parts are penalised
        alike; the larger, the freer its coefficients.
    shares : list of float
        Its share of the decision values' squares, 0 to 1.
    losses : list of float
        What the loss rises by where the part is replaced by its mean, and nothing fitted again: log-loss in nats; of
        numbers the squared error as a share of their variance. Taken, as `shares`, on inner folds' test parts.
    """

    name: str
    width: int
    factors: list[float]
    shares: list[float]
    losses: list[float]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The scores of several models on the same folds, and the predictions that they are of.

    Attributes
    ----------
    results : list of ModelScore
        One per model, in the table's order.
    predictions : dict of str to list of Prediction
        By model, one per fold; also of ``without:BACKBONE``, the stacks that lack one.
    without : dict of str to ModelScore
        ``stack:oof`` with one backbone dropped, by the name of that backbone; empty for a single backbone or
        without that recipe.
    chosen : dict of str to list of float
        The regularisation (C, or alpha of a ridge) that each model chose in each fold.
    warnings : dict of str to list of str
        What the solvers warned of, by model, with the number of fits that it concerns.
    n_from_cache : int
        Fits whose scores an earlier run had left.
    shares : mapping of str to float
        Share of ``stack:oof``'s weight that is on each backbone, mean over folds; empty where it has no weights.
    parts : mapping of str to list of PartScore
        What the parts of each backbone's columns carry, by its name; of backbones with several parts alone.
    solved_on : list of str
        The devices, in words, that the fits were solved on, those of earlier runs too; empty where all were on a CPU.
    """

    results: list[ModelScore]
    predictions: dict[str, list[Prediction]]
    without: dict[str, ModelScore]
    chosen: dict[str, list[float]]
    warnings: dict[str, list[str]] = field(default_factory=dict, kw_only=True)
    n_from_cache: int = field(default=0, kw_only=True)
    shares: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    parts: Mapping[str, list[PartScore]] = field(default_factory=dict, kw_only=True)
    solved_on: list[str] = field(default_factory=list, kw_only=True)

    def __repr__(self) -> str:
        best = max(self.results, key=lambda each: each.mean)
        return (
            f"<Evaluation of {counted(len(self.results), 'model')} on {counted(len(best.folds), 'fold')}: "
            f"{best.model} is best, {best.primary_metric} {best.mean:.3f}>"
        )

    def _repr_html_(self) -> str:
        """Return the scores as a table, means over folds, for Jupyter."""
        return str(later("stackbone.stack.display.tables.evaluation_html")(self))

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each model and fold: ``model``, ``fold`` from 1, and every metric."""
        return later("stackbone.stack.display.tables.evaluation_frame")(self)

    def score(self, model: str) -> ModelScore:
        """Return the score of one model."""
        return next(each for each in self.results if each.model == model)

    def best(self, *prefixes: str) -> ModelScore | None:
        """Return the best score among models whose names start so, the first of equals; None if none do."""
        found = [each for each in self.results if each.model.startswith(prefixes)]
        return max(found, key=lambda each: each.merit, default=None)


def pool(predictions: Sequence[Prediction], folds: Sequence[Fold]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Join one model's predictions of all folds.

    Parameters
    ----------
    predictions : sequence of Prediction
        One per fold.
    folds : sequence of Fold
        Their folds. With repeats a row is tested several times: its scores are averaged (probabilities as such).

    Returns
    -------
    rows : NDArray[np.int64]
        ``(n_scored,)`` ascending rows that a fold tests.
    scores : NDArray[np.float64]
        ``(n_scored, n_classes)`` natural-log probabilities or decision values, or ``(n_scored,)`` numbers.
    """
    probability = predictions[0].probability
    tested = np.concatenate([fold.test for fold in folds])
    rows, position, counts = np.unique(tested, return_inverse=True, return_counts=True)
    stacked = np.concatenate([each.scores for each in predictions]).astype(np.float64)
    total = np.zeros((len(rows), *stacked.shape[1:]))
    np.add.at(total, position, np.exp(stacked) if probability else stacked)
    mean = (total.T / counts).T
    if not probability:
        return rows, mean
    tiny = np.finfo(np.float64).tiny  # where a probability underflowed
    return rows, np.log(np.maximum(mean, tiny))
