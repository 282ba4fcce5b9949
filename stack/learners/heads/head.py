"""Heads: classifiers in closed form, tried at several strengths on the inner folds and calibrated there.

A head sees one backbone, as the logistic regression of ``lr:`` does, and gives scores out of fold too, so that a stack
can be built of it. To add one is to write one file in `stack.learners.bases` with a class that learns from some rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.temperature import fit_scale, log_probabilities
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.solvers.rows import Rows

Codes = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
_Rows = TypeVar("_Rows", NDArray[np.float32], NDArray[np.float64])


class Learnt(ABC):
    """A head that learnt from some rows, at every strength that it tries.

    Attributes
    ----------
    strengths : sequence of float
        Above 0, the strongest (which trusts single rows least) first; empty where there is nothing to choose.
    """

    strengths: Sequence[float]

    @abstractmethod
    def decide(self, x: SideBySide) -> Floats:
        """Return ``(n_strengths, n, n_classes)`` decision values of rows; of no strengths, those of one."""

    def linear_map(self, number: int) -> LinearMap | None:
        """Return the classifier of one strength as a map of raw features; None where it is none."""
        return None


class Head(BaseLearner):
    """A classifier in closed form: see the module."""

    task = "classification"
    by_default = False
    can_be_stacked = True

    @abstractmethod
    def learn(self, x: SideBySide, y: Codes, weights: Doubles, n_classes: int, n_views: int = 1) -> Learnt:
        """Learn from rows.

        Parameters
        ----------
        x : SideBySide
            ``(n, dim)`` raw features.
        y : NDArray[np.int64]
            ``(n,)`` class codes, 0 to ``n_classes - 1``, every class among them.
        weights : NDArray[np.float64]
            ``(n,)`` what each row counts for; an image of several views counts for one.
        n_classes : int
            Number of classes.
        n_views : int
            Rows of each image.
        """

    def fit(self, features: Sequence[Floats], part: Part, options: StackOptions, seed: int) -> BaseScores:
        """Choose the strength of the least log-loss on the inner folds, and learn from the whole part.

        Where the part has a metric, that chooses. All strengths are tried in the same fits, whose scores at the chosen
        one go to the meta-learner; as those of ``lr:`` they are thus slightly optimistic
        (`stack.learners.bases.lr.score_classes`). Decision values are multiplied by the factor that calibrates them out
        of fold (`stack.metrics.temperature`), since a closed form knows how classes differ, and not how sure that makes
        it. Without inner folds, of a few images, the strongest is taken as it is.
        """
        train, n_classes = SideBySide(features, part.fold.train), part.n_classes
        counts = np.ones(train.n) if part.row_weights is None else part.row_weights
        weights = counts * part.weight  # of what is learnt from; what is tested is one row an image

        def learn(rows: NDArray[np.int64]) -> Learnt:
            return self.learn(train.take(rows), part.y_train[rows], weights[rows], n_classes, round(1 / part.weight))

        best, out_of_fold = Strength(0, np.float32(1)), np.full((train.n, n_classes), np.nan, np.float32)
        if part.inner:
            tested = np.concatenate([fold.test for fold in part.inner])

            def by_metric(said: Doubles) -> float:
                return part.loss(said, tested, probability=True)

            found = [learn(fold.train).decide(train.take(fold.test)) for fold in part.inner]
            each = (np.concatenate(said) for said in zip(*found, strict=True))  # one strength after the other
            criterion = None if part.metric is None else by_metric
            best = choose_strength(each, part.y_train[tested], counts[tested], criterion)
            out_of_fold[tested] = np.concatenate([said[best.number] for said in found]) * best.scale
        whole = learn(np.arange(train.n) if part.fitted is None else part.fitted)
        linear = whole.linear_map(best.number)
        if linear is None:
            test = whole.decide(SideBySide(features, part.fold.test))[best.number] * best.scale
        else:
            linear = LinearMap(linear.coef * best.scale, linear.intercept * best.scale, linear.mean)
            test = linear.decide(Rows(features, part.fold.test))
        strength = whole.strengths[best.number] if whole.strengths else 1 / float(best.scale)
        return BaseScores(float(strength), out_of_fold, test, linear)


@dataclass(frozen=True)
class Strength:
    """One of several strengths.

    Attributes
    ----------
    number : int
        Which, from 0.
    scale : np.float32
        The factor that calibrates its decision values.
    """

    number: int
    scale: np.float32


def choose_strength(
    decisions: Iterable[Floats], y: Codes, weights: Doubles, criterion: Callable[[Doubles], float] | None = None
) -> Strength:
    """Return the strength of the least log-loss after calibration, of equals the first.

    Parameters
    ----------
    decisions : iterable of NDArray[np.float32]
        ``(n, n_classes)`` of rows that the classifiers had not seen, for each strength.
    y : NDArray[np.int64]
        ``(n,)`` class codes.
    weights : NDArray[np.float64]
        ``(n,)`` what each row counts for.
    criterion : callable, optional
        Of ``(n, n_classes)`` calibrated natural-log probabilities: the less, the better, and of equals the less
        log-loss.
    """
    own = (np.arange(len(y)), y)
    scales, losses = [], []
    for each in decisions:
        scale = fit_scale(each, y, weights)
        logs = log_probabilities(each, scale)
        log_loss = -float(np.average(logs[own], weights=weights))
        scales.append(scale)
        losses.append((0.0 if criterion is None else criterion(logs), log_loss))
    number = losses.index(min(losses))
    return Strength(number, np.float32(scales[number]))


def unit_length(x: _Rows) -> _Rows:
    """Return ``(n, dim)`` rows divided by their lengths; rows of zeros stay."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    divided: _Rows = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    return divided
