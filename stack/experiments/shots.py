"""Few images of each class: what is asked for, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from stackbone.cache import UsageError
from stackbone.stack.divisions.division import LOO
from stackbone.stack.tasks.registry import get_task

TRIES = 10

MOST_SHOTS, MOST_TRIES = 10_000, 1_000

C_WITHOUT_FOLDS = 0.01
"""Of a logistic regression, where a class has too few images for inner folds to choose C."""

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ShotScores:
    """One model's scores, learnt from so many images of each class.

    Attributes
    ----------
    model : str
        ``lr:BACKBONE``, ``mean`` or ``stack:oof``.
    shots : int
        Training images of each class.
    tries : list of float
        The primary metric of each try.
    metrics : dict of str to list of float
        The other metrics of each try.
    """

    model: str
    shots: int
    tries: list[float]
    metrics: dict[str, list[float]]

    @property
    def mean(self) -> float:
        """Mean of the primary metric over tries."""
        return float(np.mean(self.tries))

    @property
    def std(self) -> float:
        """Population standard deviation of the primary metric over tries."""
        return float(np.std(self.tries))

    @property
    def reach(self) -> float | None:
        """Half the width of the 95% interval of the mean, by Student's t over tries; None of a single try.

        It tells how much the draw of training images matters. The tries of one fold are tested on the same images,
        whose choice it knows nothing of.
        """
        n = len(self.tries)
        if n < 2:
            return None
        return float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2) * np.std(self.tries, ddof=1) / np.sqrt(n))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {"model": self.model, "shots": self.shots, "tries": self.tries, "metrics": self.metrics}


@dataclass(frozen=True)
class FewShots:
    """What few images teach.

    Attributes
    ----------
    shots : list of int
        Training images of each class, ascending.
    tries : int
        Draws of each number.
    scores : list of ShotScores
        Model by model, each by ascending `shots`.
    without_folds : list of int
        Those of `shots` with a try whose images could not be divided into inner folds: C was not chosen there, and the
        stack is the mean of its members.
    c : float
        The C that was taken then.
    """

    shots: list[int]
    tries: int
    scores: list[ShotScores]
    without_folds: list[int]
    c: float

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the table."""
        return list(dict.fromkeys(each.model for each in self.scores))

    def of(self, model: str) -> list[ShotScores]:
        """Return the scores of one model, by ascending `shots`."""
        return [each for each in self.scores if each.model == model]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        scores = [each.to_dict() for each in self.scores]
        return {"shots": self.shots, "tries": self.tries, "without_folds": self.without_folds, "scores": scores}


def parse_shots(text: str) -> list[int]:
    """Return the ascending numbers of images that ``--shots`` lists.

    Raises
    ------
    UsageError
        If it lists anything else.
    """
    words = [word.strip() for word in text.split(",")]
    numbers = [int(word) for word in words if word.isdecimal() and len(word) < 9]
    if len(numbers) < len(words):
        wrong = next(word for word in words if not (word.isdecimal() and len(word) < 9))
        message = f"--shots lists numbers of images, and {wrong!r} is none. Type --shots 1,2,4,8,16"
        raise UsageError(message)
    return sorted(set(numbers))


def check_shots(task: str, shots: Sequence[int], tries: int, cv: int | str | None = None) -> None:
    """Refuse few-shot options that mean nothing, before the work.

    Raises
    ------
    UsageError
        If a number is out of range, the task knows no classes, or a fold has a single image to test on.
    """
    if not shots or not all(1 <= each <= MOST_SHOTS for each in shots):
        message = f"--shots {','.join(map(str, shots))}: expected numbers from 1 to {MOST_SHOTS:,}, such as 1,2,4,8,16"
        raise UsageError(message)
    if not 1 <= tries <= MOST_TRIES:
        message = f"--tries {tries}: expected a number from 1 to {MOST_TRIES:,}, such as {TRIES}"
        raise UsageError(message)
    kind = get_task(task)
    if "drop" not in kind.rare or kind.label_form:
        message = f"--shots draws images of each class, and {task} has no classes to draw from: leave it out"
        raise UsageError(message)
    if cv == LOO:
        message = (
            f"--shots tests each try on the next fold, and each fold of --cv {LOO} has one image, which tells nothing: "
            "type --cv 10, or use --split"
        )
        raise UsageError(message)
