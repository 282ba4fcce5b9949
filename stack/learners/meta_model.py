"""A fitted meta-learner: from what every backbone says to one answer, with probabilities that mean something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.metrics.temperature import log_probabilities
from stackbone.stack.solvers.linear import LinearMap

NUMBERS = MetaOptions("linear", "decision", "concat")
"""The options of every meta-learner of numbers: it is a linear map of the backbones' predictions."""


@dataclass(frozen=True, eq=False)
class MetaModel:
    """A fitted meta-learner.

    Attributes
    ----------
    options : MetaOptions
        How it was made.
    c : float, optional
        The inverse regularisation strength used; None for ``mean``.
    linear : LinearMap, optional
        From meta-features to class scores; None for ``mean``.
    scale : float
        The calibration factor: softmax of ``scale`` times the class scores gives the probabilities.
    shares : NDArray[np.float64], optional
        ``(n_backbones,)`` share of the weight that is on each backbone's columns, 0 to 1; None
        for ``mean`` and ``average``, which tell no backbone from another, and of a model read from a file.
    thresholds : NDArray[np.float64], optional
        ``(n_labels,)`` probabilities from which on an image is said to have each label, where it can have several.
    """

    options: MetaOptions
    c: float | None
    linear: LinearMap | None
    scale: float
    shares: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None

    def log_probabilities(self, decisions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return ``(n, n_classes)`` calibrated natural-log probabilities.

        Parameters
        ----------
        decisions : sequence of NDArray[np.float32]
            ``(n, n_classes)`` decision values, one matrix per backbone, in the order of the fit.
        """
        if self.linear is None:
            return log_probabilities(mean_probability(decisions), self.scale)
        features = meta_features(decisions, self.options.scores, self.options.combine)
        return log_probabilities(self.linear.decide(features), self.scale)

    def values(self, predictions: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the ``(n,)`` numbers that a regression predicts.

        Parameters
        ----------
        predictions : sequence of NDArray[np.floating]
            ``(n,)`` predicted numbers, one vector per backbone, in the order of the fit.
        """
        if self.linear is None:
            message = "a meta-learner of classes predicts no numbers"
            raise ValueError(message)
        return self.linear.decide(np.column_stack(predictions).astype(np.float32))[:, 0].astype(np.float64)


def mean_probability(decisions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the ``(n, n_classes)`` natural log of the mean probability over backbones.

    Parameters
    ----------
    decisions : sequence of NDArray[np.float32]
        ``(n, n_classes)`` decision values, one matrix per backbone.
    """
    each = [log_softmax(decision.astype(np.float64), axis=1) for decision in decisions]
    mean: NDArray[np.float64] = logsumexp(each, axis=0) - np.log(len(each))
    return mean


def meta_features(decisions: Sequence[NDArray[np.float32]], scores: str, combine: str) -> NDArray[np.float32]:
    """Turn the backbones' decision values into what a meta-learner sees.

    Parameters
    ----------
    decisions : sequence of NDArray[np.float32]
        ``(n, n_classes)`` decision values, one matrix per backbone.
    scores : str
        One of `SCORES`.
    combine : str
        One of `COMBINE`.

    Returns
    -------
    NDArray[np.float32]
        ``(n, n_backbones * n_classes)``, or ``(n, n_classes)`` for ``average``.
    """
    seen = list(decisions)
    if scores != "decision":
        seen = [log_softmax(decision, axis=1) for decision in seen]
    if scores == "probability":
        seen = [np.exp(each) for each in seen]
    return np.hstack(seen) if combine == "concat" else np.mean(seen, axis=0)
