"""Where a regression errs: on which images the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from stackbone.stack.metrics.model_scores import pool
from stackbone.stack.tasks.findings import SHOWN, Examined, Findings, Lesson

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


@dataclass(frozen=True, eq=False)
class TargetFindings(Findings):
    """What the scores of a regression mean.

    Attributes
    ----------
    ablation : mapping of str to float
        As of every task; without an interval.
    worst : list of TargetError
        The largest errors.
    """

    ablation: Mapping[str, float]
    worst: list[TargetError]

    def error_lessons(self) -> list[Lesson]:
        """Return the images that are furthest off."""
        return [
            Lesson(
                f"{each.path} is labelled {each.label:g}, taken for {each.predicted:.4g}",
                "furthest off, or mislabelled",
            )
            for each in self.worst[:SHOWN]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {**super().to_dict(), "worst": [asdict(each) for each in self.worst]}


def find_target_errors(common: Findings, examined: Examined) -> TargetFindings:
    """Look for the largest errors of a regression.

    Parameters
    ----------
    common : Findings
        What every task finds.
    examined : Examined
        The predictions.
    """
    y = examined.truth.values
    tested, values = pool(examined.evaluation.predictions[common.stack], examined.folds)
    order = np.argsort(-np.abs(values - y[tested]), kind="stable")[:_MOST]
    worst = [TargetError(examined.paths[tested[i]], float(y[tested[i]]), float(values[i])) for i in order]
    return TargetFindings(
        common.stack, common.single, common.difference, cast("Mapping[str, float]", common.ablation), worst
    )
