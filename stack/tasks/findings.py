"""What an evaluation teaches beyond its scores, whatever the task: is the gain real, what does each backbone add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.metrics.resample import Resampled, resampled, resampled_difference
from stackbone.stack.tasks.truth import Truth

SHOWN = 3
"""Classes, confusions and errors that a lesson lists; the result file has more."""


def is_perfect(score: float) -> bool:
    """Return whether a share, shown with two digits, is 1: nobody learns from it what to mend."""
    return round(score, 2) >= 1


@dataclass(frozen=True)
class Lesson:
    """Something that an experiment teaches.

    Attributes
    ----------
    text : str
        The lesson.
    topic : str, optional
        What it is about; None where the text says so itself.
    """

    text: str
    topic: str | None = None

    def __str__(self) -> str:
        return self.text if self.topic is None else f"{self.topic}: {self.text}"


@dataclass(frozen=True, eq=False)
class Findings:
    """What the scores mean; each task adds what it knows of errors.

    Attributes
    ----------
    stack : str
        The model that all of this is about, named before its score was known.
    single : str
        The best model of a single backbone, by mean score.
    difference : Difference, optional
        By how much the first is the better in the metric that models are ranked by: its value less that of the second,
        or, of a metric of which less is better, the other way round. None where nothing tells how sure it is.
    ablation : mapping of str to (Difference or float)
        What ``stack:oof`` loses without each backbone, in that metric; negative where it is better off without.
    """

    stack: str
    single: str
    difference: Difference | None
    ablation: Mapping[str, Difference | float]

    def error_lessons(self) -> list[Lesson]:
        """Return where the model errs, most telling first; by default nothing."""
        return []

    def by_class(self) -> list[dict[str, object]]:
        """Return the scores of each class or label, JSON-able; by default there are none."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        losses = {
            name: each.to_dict() if isinstance(each, Difference) else each for name, each in self.ablation.items()
        }
        difference = None if self.difference is None else self.difference.to_dict()
        return {"stack": self.stack, "single": self.single, "difference": difference, "ablation": losses}


@dataclass(frozen=True, eq=False)
class Examined:
    """What a task looks at to say where a model errs.

    Attributes
    ----------
    evaluation : Evaluation
        With the predictions.
    truth : Truth
        Of every image.
    folds : sequence of Fold
        The outer folds.
    paths : sequence of str
        ``n_images`` paths.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups.
    seed : int
        Of whatever is drawn at random.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for where it is tested.
    metric : str, optional
        Name of the metric that was asked for.
    drawn : dict of (str, str) to Resampled
        What was measured before on draws of the tested images, by metric and model: a stack is compared with many.
    """

    evaluation: Evaluation
    truth: Truth
    folds: Sequence[Fold]
    paths: Sequence[str]
    groups: NDArray[np.int64] | None
    seed: int
    weights: Weights = None
    metric: str | None = None
    drawn: dict[tuple[str, str], Resampled] = field(default_factory=dict)

    @property
    def tested(self) -> NDArray[np.int64]:
        """Rows of all test parts, fold after fold."""
        return np.concatenate([fold.test for fold in self.folds])

    def joined(self, model: str) -> NDArray[np.floating]:
        """Return one model's predictions of all folds, in the order of `tested`."""
        return np.concatenate([each.scores for each in self.evaluation.predictions[model]])


def compare_resampled(metric: Metric, a: str, b: str, examined: Examined) -> Difference | None:
    """Return by how much one model is better than another on a single split, by drawing its images again and again."""
    rows, weights, groups = examined.tested, examined.weights, examined.groups
    for model in (a, b):
        if (metric.name, model) not in examined.drawn:
            examined.drawn[metric.name, model] = resampled(
                metric,
                examined.truth.values[rows],
                examined.evaluation.predictions[model][0],
                seed=examined.seed,
                weights=None if weights is None else weights[rows],
                groups=None if groups is None else groups[rows],
            )
    return resampled_difference(metric, *(examined.drawn[metric.name, model] for model in (a, b)))
