"""What a metric is: one number of what a model predicts against the truth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores

Weights = NDArray[np.float64] | None
"""``(n,)`` what each row counts for, above 0; None where all rows count alike."""


class Metric(ABC):
    """One number of a task.

    Attributes
    ----------
    name : str
        As result files call it, and as ``--metric`` takes it (with hyphens too).
    title : str
        As people write it; by default the name.
    task : str
        Name of the task whose predictions it measures.
    place : int
        Where it stands among a task's metrics, ascending.
    aliases : tuple of str
        What else ``--metric`` takes for it, such as the name of scikit-learn's scorer.
    least, most : float
        Its lowest and highest possible values.
    lower_is_better : bool
        Whether the best model is the one of the lowest value.
    needs_probability : bool
        Whether decision values cannot be measured by it.
    in_points : bool
        Whether differences are given in percentage points.
    least_classes : int
        Of a classification: from so many classes on it is among the numbers of every model.
    on_request : bool
        Whether it is measured where ``--metric`` names it alone, and not of every model of every experiment.
    note : str
        What it is, in a sentence, where its title does not say it.
    of_decisions : bool
        Whether it measures which labels are said to be there, and not how likely they are: its scores are then 1 or 0.
    """

    name: str
    task: str
    title: str = ""
    place: int = 100
    aliases: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf
    lower_is_better: bool = False
    needs_probability: bool = False
    in_points: bool = False
    least_classes: int = 0
    on_request: bool = False
    note: str = ""
    of_decisions: bool = False

    @abstractmethod
    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number, never NaN; None where these scores or rows do not allow it.

        Parameters
        ----------
        truth : NDArray[np.int64], NDArray[np.int8] or NDArray[np.float64]
            ``(n,)`` class codes, or numbers; ``(n, n_targets)`` of several numbers; ``(n, n_labels)`` ones and zeros
            where an image can have several labels.
        scores : NDArray of float
            ``(n, n_classes)`` natural-log probabilities or decision values; ``(n,)`` predicted numbers, or
            ``(n, n_targets)`` of several; checked.
        probability : bool
            Whether the scores are log-probabilities.
        weights : NDArray[np.float64], optional
            ``(n,)`` what each row counts for, above 0: a row of weight 2 as if it were there twice.
        """

    def merit(self, value: float) -> float:
        """Return a value as a number of which more is better."""
        return -value if self.lower_is_better else value

    def loss(self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None) -> float:
        """Return the number that `measure` does as one of which less is better; infinity where there is none."""
        value = self.measure(truth, scores, probability=probability, weights=weights)
        return math.inf if value is None else -self.merit(value)
