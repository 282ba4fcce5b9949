"""The weighted mean of the backbones' probabilities that has the least log-loss: weights of 0 or more that sum to one.

A linear opinion pool stacked by the log score: Yao, Vehtari, Simpson & Gelman 2018 (Bayesian Analysis 13(3), 917-1007,
section 2); convex combinations of out-of-fold predictions: van der Laan, Polley & Hubbard 2007 (Super Learner,
Statistical Applications in Genetics and Molecular Biology 6(1), article 25).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.weighted_mean import weigh_probabilities

PRIORS = (np.inf, 1e4, 1e3, 1e2, 1e1, 1.0)
"""Rows that the plain mean counts for, descending; one of them is chosen on the inner folds."""

_MOST_C = 1e6  # beyond which what the plain mean counts for is lost in rounding
_MOST_STEPS = 100
_DECREASE = 1e-10  # of the objective, in nats, below which a step is the last
_SUFFICIENT = 1e-4  # share of the decrease that a step promises and must keep (Armijo)

Doubles = NDArray[np.float64]


class ConvexMeta(MetaLearner):
    """See the module and `convex_weights`."""

    name = "convex"
    tasks = ("classification",)
    what = "weighted mean"
    averages = True
    place = 15

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose how many rows the plain mean counts for, and fit; a C that was asked for is the inverse of that."""
        priors = PRIORS if options.c is None else (1 / min(options.c, _MOST_C),)
        step, model = weigh_probabilities(
            scores, part, options, lambda said, counts: convex_weights(said, priors, counts)
        )
        return replace(model, c=1 / priors[step])


def convex_weights(said: Doubles, priors: Sequence[float] = PRIORS, counts: Doubles | None = None) -> Doubles:
    """Return the ``(n_priors, n_backbones)`` weights of the least log-loss.

    Minimised over weights w of 0 or more that sum to 1 is ``-Σ_i c_i log Σ_b w_b p_ib - (a / B) Σ_b log w_b``: the
    log-loss of the mixture, with `a` rows added that each of the B backbones explains alike often. An infinite `a`
    gives the plain mean. The function is convex. With ``(Σ_i c_i + a) Σ_b w_b`` added, its minimum over all positive w
    is the same (multiply the gradient by w), so that Newton's method finds it without constraints.

    Parameters
    ----------
    said : NDArray[np.float64]
        ``(n, n_backbones)`` positive probabilities of the true class of each row.
    priors : sequence of float
        Values of `a`, descending: each starts where the last one ended.
    counts : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, c_i; 1 by default.
    """
    n_backbones = said.shape[1]
    weights, found = np.full(n_backbones, 1 / n_backbones), []
    for prior in priors:
        if np.isfinite(prior):
            weights = _minimise(said, prior, weights, np.ones(len(said)) if counts is None else counts)
        found.append(weights)
    return np.array(found)


def _minimise(said: Doubles, prior: float, weights: Doubles, counts: Doubles) -> Doubles:
    each = prior / len(weights)
    total = counts.sum() + prior

    def objective(w: Doubles) -> float:
        if w.min() <= 0:
            return np.inf
        return float(total * w.sum() - counts @ np.log(said @ w) - each * np.log(w).sum())

    value = objective(weights)
    for _ in range(_MOST_STEPS):
        ratios = said / (said @ weights)[:, None]
        gradient = total - counts @ ratios - each / weights
        hessian = ratios.T @ (counts[:, None] * ratios) + np.diag(each / np.square(weights))
        step = -np.linalg.solve(hessian, gradient)
        promised, length = float(gradient @ step), 1.0
        while (reached := objective(weights + length * step)) > value + _SUFFICIENT * length * promised:
            length /= 2
            if length * -promised < _DECREASE:
                length = 0.0
                break
        weights, decrease, value = weights + length * step, value - reached, reached
        if decrease < _DECREASE:
            break
    normalised: Doubles = weights / weights.sum()
    return normalised


LEARNER = ConvexMeta()
