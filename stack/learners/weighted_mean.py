"""Weighted means of what the backbones say, with weights that are chosen on out-of-fold scores.

A way of finding weights makes a path of them, from the plain mean on: the further, the freer. How far to go is chosen
on the inner folds that made the scores, by the one standard error rule: the nearest to the mean wins that is no worse
than the best by more than chance has it. Few labels leave the mean as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.linear_meta import scored, within
from stackbone.stack.learners.meta_model import MetaModel, mean_probability
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.metrics.temperature import fit_scale, log_probabilities, row_blocks

Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]

LEAST_PROBABILITY = 1e-12
"""What a backbone gives to a true class at least: one sure error of one of them is not to decide alone."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weights that were chosen.

    Attributes
    ----------
    step : int
        How far on the path they lie; 0 is its beginning.
    weights : NDArray[np.float64]
        ``(n_backbones,)``, 0 or more and 1 in sum, found on all rows.
    of_folds : list of NDArray[np.float64]
        Those found on each inner fold's training part, at the same step.
    """

    step: int
    weights: Doubles
    of_folds: list[Doubles]


def choose_step(
    n: int,
    inner: Sequence[Fold],
    find: Callable[[Positions], Doubles],
    loss: Callable[[Positions, Doubles], Doubles],
    criterion: Callable[[list[Doubles]], float] | None = None,
) -> Weighted:
    """Return the weights of the first step that is as good on the inner folds as the best, or nearly so.

    Nearly: its losses exceed those of the best by no more than the standard error of that difference, which is told by
    its spread over rows (Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4.3).

    Parameters
    ----------
    n : int
        Number of rows.
    inner : sequence of Fold
        Inner folds over them.
    find : callable
        From rows to learn from to a path of ``(n_steps, n_backbones)`` weights.
    loss : callable
        From rows and a path to the ``(n_rows, n_steps)`` losses on these rows.
    criterion : callable, optional
        From the ``(n_backbones,)`` weights of each inner fold to a loss that decides instead, among the steps up to the
        one of the least `loss`; of equals the first wins. So it never leaves the plain mean further than that does.
    """
    paths = [find(fold.train) for fold in inner]
    n_steps = len(paths[0])
    each = [[path[step] for path in paths] for step in range(n_steps)]
    lost = np.concatenate([loss(fold.test, path) for fold, path in zip(inner, paths, strict=True)])
    best = int(lost.sum(axis=0).argmin())
    if criterion is None:
        more = lost - lost[:, [best]]
        step = int(np.argmax(more.sum(axis=0) <= np.sqrt(len(lost)) * more.std(axis=0)))
    else:
        losses = [criterion(own) for own in each[: best + 1]]
        step = losses.index(min(losses))
    return Weighted(step, find(np.arange(n))[step], each[step])


def weigh_probabilities(
    scores: Sequence[BaseScores], part: Part, options: MetaOptions, find: Callable[[Doubles, Doubles], Doubles]
) -> tuple[int, MetaModel]:
    """Fit a weighted mean of probabilities by its log-loss, and calibrate it on the inner folds.

    Parameters
    ----------
    scores : sequence of BaseScores
        One per backbone, of the same fold and the same inner folds.
    part : Part
        That fold. Rows that no inner fold tests take no part. Its metric, if it has one, chooses how far to go, though
        no further than the least log-loss does.
    options : MetaOptions
        How the model was made.
    find : callable
        From the ``(n, n_backbones)`` probabilities that the backbones give to the true class of rows, and the ``(n,)``
        that each row counts for, to a path of ``(n_steps, n_backbones)`` weights.

    Returns
    -------
    step : int
        How far on the path it was best to go.
    model : MetaModel
        Fitted on all rows that have out-of-fold scores.
    """
    rows, decisions, y = scored(scores, part)
    inner = [within(rows, fold) for fold in part.inner]
    counts = np.ones(len(rows)) if part.row_weights is None else part.row_weights[rows]
    said = true_probabilities(decisions, y)

    def out_of_fold(of_folds: list[Doubles]) -> Doubles:
        decision = np.empty(decisions[0].shape)
        for fold, weights in zip(inner, of_folds, strict=True):
            decision[fold.test] = mean_probability([each[fold.test] for each in decisions], weights)
        return decision

    def by_metric(of_folds: list[Doubles]) -> float:
        decision = out_of_fold(of_folds)
        return part.loss(log_probabilities(decision, fit_scale(decision, y, counts)), rows, probability=True)

    found = choose_step(
        len(y),
        inner,
        lambda learnt: find(said[learnt], counts[learnt]),
        lambda tested, path: -counts[tested, None] * np.log(said[tested] @ path.T),
        None if part.metric is None else by_metric,
    )
    scale = fit_scale(out_of_fold(found.of_folds), y, counts)
    return found.step, MetaModel(options, None, None, scale, shares=found.weights, weights=found.weights)


def true_probabilities(decisions: Sequence[NDArray[np.float32]], y: NDArray[np.int64]) -> Doubles:
    """Return the ``(n, n_backbones)`` probability that each backbone gives to the true class of each row.

    Parameters
    ----------
    decisions : sequence of NDArray[np.float32]
        ``(n, n_classes)`` decision values, one matrix per backbone.
    y : NDArray[np.int64]
        ``(n,)`` class codes.
    """
    logs = [_log_softmax_of(each, y) for each in decisions]
    found: Doubles = np.maximum(np.exp(np.column_stack(logs)), LEAST_PROBABILITY)
    return found


def _log_softmax_of(decision: NDArray[np.float32], y: NDArray[np.int64]) -> Doubles:
    """Return the ``(n,)`` log-softmax of each row's own column, to the bit what the whole matrix would have there."""
    found = np.empty(len(y))
    for rows in row_blocks(*decision.shape):
        values = decision[rows].astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        own = values[np.arange(len(values)), y[rows]]
        found[rows] = own - np.log(np.exp(values, out=values).sum(axis=1))
    return found
