"""What a metric is: one number of what a model predicts against the truth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores


class Metric(ABC):
    """One number of a task.

    Attributes
    ----------
    name : str
        As result files call it.
    title : str
        As people write it; by default the name.
    task : str
        Name of the task whose predictions it measures.
    place : int
        Where it stands among a task's metrics, ascending.
    least : float
        Its lowest possible value.
    in_points : bool
        Whether differences are given in percentage points.
    note : str
        What it is, in a sentence, where its title does not say it.
    of_decisions : bool
        Whether it measures which labels are said to be there, and not how likely they are: its scores are then 1 or 0.
    """

    name: str
    task: str
    title: str = ""
    place: int = 100
    least: float = -math.inf
    in_points: bool = False
    note: str = ""
    of_decisions: bool = False

    @abstractmethod
    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number, never NaN; None where these scores do not allow it.

        Parameters
        ----------
        truth : NDArray[np.int64], NDArray[np.int8] or NDArray[np.float64]
            ``(n,)`` class codes, or numbers; ``(n, n_labels)`` ones and zeros where an image can have several labels.
        scores : NDArray of float
            ``(n, n_classes)`` natural-log probabilities or decision values, or ``(n,)`` predicted numbers; checked.
        probability : bool
            Whether the scores are log-probabilities.
        """
