"""Ensemble selection with replacement: a mean of the backbones that grows by whichever makes it better, time and again.

Caruana, Niculescu-Mizil, Crew & Ksikes 2004 (ICML, section 2), hill-climbing on out-of-fold scores: of classes by the
log-loss of the mean probability, of numbers by the squared error of the mean prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.targets.each_target import fit_each_target
from stackbone.stack.learners.weighted_mean import choose_step, weigh_probabilities
from stackbone.stack.solvers.linear import LinearMap

ROUNDS = 50
"""Backbones that join the mean, at most: of three, one alone can come to have 96% of it."""

Doubles = NDArray[np.float64]


class GreedyMeta(MetaLearner):
    """See the module and `grow`; how many join is chosen on the inner folds."""

    name = "greedy"
    tasks = ("classification", "regression", "multitarget")
    what = "greedily grown mean"
    averages = True
    place = 16

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Let the mean grow on the out-of-fold scores."""
        if part.n_classes:
            return weigh_probabilities(scores, part, options, _grow_by_log_loss)[1]
        if part.y_train.ndim == 2:
            return fit_each_target(self, scores, part, options)
        said, y = np.column_stack([each.out_of_fold for each in scores]), part.y_train
        counts = np.ones(len(y)) if part.row_weights is None else part.row_weights

        def losses(rows: NDArray[np.int64], sums: Doubles, size: int) -> Doubles:
            sums /= size
            sums -= y[rows, None]
            lost: Doubles = counts[rows] @ np.square(sums, out=sums)
            return lost

        def by_metric(of_folds: list[Doubles]) -> float:
            predicted = np.empty(len(y))
            for fold, weights in zip(part.inner, of_folds, strict=True):
                predicted[fold.test] = said[fold.test] @ weights
            return part.loss(predicted, np.arange(len(y)), probability=False)

        found = choose_step(
            len(y),
            part.inner,
            lambda rows: grow(said[rows], partial(losses, rows)),
            lambda rows, path: counts[rows, None] * np.square(said[rows] @ path.T - y[rows, None]),
            None if part.metric is None else by_metric,
        )
        weights = found.weights.astype(np.float32)[:, None]
        return MetaModel(NUMBERS, None, LinearMap(weights, np.zeros(1, np.float32)), 1.0)


def grow(said: Doubles, losses: Callable[[Doubles, int], Doubles], rounds: int = ROUNDS) -> Doubles:
    """Return the ``(rounds + 1, n_backbones)`` weights of a mean that grows, which are 1 in sum.

    Where the paper begins with the best few, this begins with every backbone once: so no round at all is the plain
    mean, and each round moves the weights by less than the one before.

    Parameters
    ----------
    said : NDArray[np.float64]
        ``(n, n_backbones)`` what the backbones say of each row.
    losses : callable
        From ``(n, n_means)`` sums of what so many of them say, which it may overwrite, and their number to the
        ``(n_means,)`` losses of these means, in sum.
    rounds : int
        How many join.
    """
    n_backbones = said.shape[1]
    counts, total = np.ones(n_backbones), said.sum(axis=1)
    path, sums = [counts / n_backbones], np.empty_like(said)
    for size in range(n_backbones + 1, n_backbones + rounds + 1):
        best = int(np.argmin(losses(np.add(total[:, None], said, out=sums), size)))
        total = total + said[:, best]
        counts = counts + (np.arange(n_backbones) == best)
        path.append(counts / size)
    return np.array(path)


def _grow_by_log_loss(said: Doubles, counts: Doubles) -> Doubles:
    def losses(sums: Doubles, size: int) -> Doubles:
        lost: Doubles = -counts @ np.log(sums, out=sums)  # but for counts.sum() * log(size), which is that of all means
        return lost

    return grow(said, losses)


LEARNER = GreedyMeta()
