"""What a regression teaches beyond its scores: is the gain real, what each backbone adds, where it errs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.findings import mean_sizes
from stackbone.stack.folds.folds import Fold
from stackbone.stack.metrics.compare import Difference, paired_difference
from stackbone.stack.tasks.regression import RegressionEvaluation
from stackbone.stack.tasks.targets import mean_targets

_MOST = 20  # largest errors that are listed


@dataclass(frozen=True)
class TargetError:
    """An image whose number a model missed by far: often the label is wrong.

    Attributes
    ----------
    path : str
        Of the image, as the dataset lists it.
    label, predicted : float
        Its number, and what the model says; of several repeats their mean.
    """

    path: str
    label: float
    predicted: float


@dataclass(frozen=True)
class TargetFindings:
    """What the scores of a regression mean.

    Attributes
    ----------
    stack, single : str
        The stack and the best model of a single backbone, by mean R².
    difference : Difference, optional
        R² of the first less that of the second; None on a single split, whose one number has no spread.
    ablation : dict of str to float
        Mean R² that ``stack:oof`` loses without each backbone; negative where it is better off without.
    worst : list of TargetError
        The largest errors of ``stack:oof``.
    """

    stack: str
    single: str
    difference: Difference | None
    ablation: dict[str, float]
    worst: list[TargetError]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)


def find_targets(
    evaluation: RegressionEvaluation, y: NDArray[np.float64], folds: Sequence[Fold], paths: Sequence[str]
) -> TargetFindings:
    """Compare models and look at the errors of a regression.

    Parameters
    ----------
    evaluation : RegressionEvaluation
        Of these folds.
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    folds : sequence of Fold
        The outer folds.
    paths : sequence of str
        ``n_images`` paths.
    """
    stack = evaluation.score("stack:oof")
    single = max((s for s in evaluation.results if s.model.startswith("ridge:")), key=lambda each: each.mean)
    difference = paired_difference(stack.folds, single.folds, *mean_sizes(folds)) if len(folds) > 1 else None
    predictions = evaluation.predictions["stack:oof"]
    tested, values = mean_targets(predictions)
    order = np.argsort(-np.abs(values - y[tested]), kind="stable")[:_MOST]
    return TargetFindings(
        stack=stack.model,
        single=single.model,
        difference=difference,
        ablation={name: stack.mean - each.mean for name, each in evaluation.without.items()},
        worst=[TargetError(paths[tested[i]], float(y[tested[i]]), float(values[i])) for i in order],
    )
