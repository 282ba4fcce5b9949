"""A fitted meta-learner: from what every backbone says to one answer, with probabilities that mean something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.metrics.temperature import log_probabilities, row_blocks
from stackbone.stack.solvers.linear import LinearMap

NUMBERS = MetaOptions("linear", "decision", "concat")
"""The options of every meta-learner of numbers: it is a linear map of the backbones' predictions."""

_LEAST_EXACT = 1e-290
"""Below it a double loses digits."""


@dataclass(frozen=True, eq=False)
class MetaModel:
    """A fitted meta-learner.

    Attributes
    ----------
    options : MetaOptions
        How it was made.
    c : float, optional
        The inverse regularisation strength used, of ``convex`` the inverse of the rows that the plain mean counts for;
        None for ``mean`` and ``greedy``, and of a regression but for ``ridge`` and ``svr``.
    linear : LinearMap, optional
        From meta-features to class scores; None for means of probabilities.
    scale : float
        The calibration factor: softmax of ``scale`` times the class scores gives the probabilities.
    shares : NDArray[np.float64], optional
        ``(n_members,)`` share of the weight that is on each member's columns, 0 to 1; None for ``mean`` and
        ``average``, which tell no member from another, and of a model read from a file. A member is a head of a
        backbone: each backbone where there is one head, and else all heads of the first, then those of the next.
    thresholds : NDArray[np.float64], optional
        ``(n_labels,)`` probabilities from which on an image is said to have each label, where it can have several.
    weights : NDArray[np.float64], optional
        ``(n_members,)`` weights of a weighted mean of probabilities, 0 or more and 1 in sum; None for any other.
    """

    options: MetaOptions
    c: float | None
    linear: LinearMap | None
    scale: float
    shares: NDArray[np.float64] | None = None
    thresholds: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    def log_probabilities(self, decisions: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return ``(n, n_classes)`` calibrated natural-log probabilities.

        Parameters
        ----------
        decisions : sequence of NDArray[np.float32]
            ``(n, n_classes)`` decision values, one matrix per backbone, in the order of the fit.
        """
        if self.linear is None:
            return log_probabilities(mean_probability(decisions, self.weights), self.scale)
        features = meta_features(decisions, self.options.scores, self.options.combine)
        return log_probabilities(self.linear.decide(features), self.scale)

    def numbers(self, predictions: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the ``(n, n_targets)`` numbers that a regression predicts.

        Parameters
        ----------
        predictions : sequence of NDArray[np.floating]
            ``(n,)`` or ``(n, n_targets)`` predicted numbers, one array per backbone, in the order of the fit.
        """
        if self.linear is None:
            message = "a meta-learner of classes predicts no numbers"
            raise ValueError(message)
        return self.linear.decide(np.column_stack(predictions).astype(np.float32)).astype(np.float64)

    def values(self, predictions: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the ``(n,)`` numbers that a regression of one of each image predicts: see `numbers`."""
        return self.numbers(predictions)[:, 0]


@dataclass(frozen=True, eq=False)
class FinalFit:
    """A model fitted on every image, as `stack.models.model.StackModel` holds it.

    Attributes
    ----------
    bases : list of LinearMap
        ``(dim, n_classes)`` of each backbone, or ``(dim, 1)``; of several heads side by side.
    meta : MetaModel
        What makes one answer of theirs.
    members : list of int, optional
        How many bases in a row add up to one member that `meta` sees; None where each is one.
    """

    bases: list[LinearMap]
    meta: MetaModel
    members: list[int] | None = None


def mean_probability(
    decisions: Sequence[NDArray[np.float32]], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the ``(n, n_classes)`` natural log of the mean probability over backbones.

    Parameters
    ----------
    decisions : sequence of NDArray[np.float32]
        ``(n, n_classes)`` decision values, one matrix per backbone.
    weights : NDArray[np.float64], optional
        ``(n_backbones,)`` what each counts for, not all 0; by default all alike.
    """
    if weights is not None:
        n, n_classes = decisions[0].shape
        weighted = np.empty((n, n_classes))
        for rows in row_blocks(n, n_classes):
            weighted[rows] = _log_weighted([each[rows] for each in decisions], weights / weights.sum())
        return weighted
    each = [log_softmax(decision.astype(np.float64), axis=1) for decision in decisions]
    mean: NDArray[np.float64] = logsumexp(each, axis=0) - np.log(len(each))
    return mean


def _log_weighted(decisions: Sequence[NDArray[np.float32]], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of a weighted mean of probabilities; `shares` are 1 in sum."""
    mean = np.zeros(decisions[0].shape)
    for decision, share in zip(decisions, shares, strict=True):
        values = decision.astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values *= share / values.sum(axis=1, keepdims=True)
        mean += values
    if mean.min(initial=1) < _LEAST_EXACT:  # too little for a double, and yet it has a logarithm
        logs = [log_softmax(each.astype(np.float64), axis=1) for each in decisions]
        exact: NDArray[np.float64] = logsumexp(logs, axis=0, b=shares[:, None, None])
        return exact
    return np.log(mean, out=mean)


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
