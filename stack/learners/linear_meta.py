"""Linear meta-learners of classes: fitted on out-of-fold scores, drawn towards the mean of the backbones.

`fit_linear` is the meta-learner of the ``oof`` recipe. It sees the training part of one outer fold only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.meta_model import MetaModel, mean_probability, meta_features
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.weight_shares import weight_shares
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.temperature import fit_scale, log_probabilities
from stackbone.stack.solvers.linear import LinearMap, LinearPath

META_C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths of the meta-learner, ascending."""

Loss = Literal["log", "squared_hinge"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """A linear meta-learner whose C was chosen.

    Attributes
    ----------
    c : float
        The inverse regularisation strength.
    linear : LinearMap
        From meta-features to one output for each class that exists.
    scale : float
        The factor that calibrates its outputs: `stack.metrics.temperature`.
    learnt : LinearMap
        The same map to the classes that it learnt alone.
    """

    c: float
    linear: LinearMap
    scale: float
    learnt: LinearMap


def fit_linear(scores: Sequence[BaseScores], part: Part, options: MetaOptions, loss: Loss) -> MetaModel:
    """Fit a meta-learner on out-of-fold scores, choose its C and calibrate it, all on inner folds.

    C is chosen by accuracy, or by the metric of the part, on the inner folds that made the out-of-fold scores: by
    accuracy the smallest, the most regularised, whose errors exceed the fewest by no more than a standard error, by
    a metric the smallest of equals. The meta-learner's own out-of-fold decision
    values at that C then give the calibration factor, so that a linear SVM, which knows no probabilities, gets
    calibrated ones (temperature scaling: `stack.metrics.temperature`). Out-of-fold scores as meta-features: Wolpert
    1992 (Neural Networks 5(2), 241-259). Probabilities and not predicted classes, as Ting & Witten 1999 (JAIR 10,
    271-289) advise; by default not their logarithms either, so that no overconfident backbone can shout.

    What is penalised is not the size of the coefficients but their distance from those that average the backbones
    (`averaging_map`). So the stack is the mean of its members where images are few, or where the inner folds find
    nothing better, and leaves it as far as the labels carry; a class that no inner fold tests keeps its mean.

    The meta-learner's out-of-fold values are so in its own training only: the base scores of its training rows came
    from classifiers that saw labels of the inner fold tested. All of it lies inside the training part of an outer
    fold, whose test part had no say.

    Parameters
    ----------
    scores : sequence of BaseScores
        One per backbone, of the same fold and the same inner folds.
    part : Part
        That fold. Rows that no inner fold tests take no part here.
    options : MetaOptions
        What the meta-learner sees, and its C.
    loss : {"log", "squared_hinge"}
        Multinomial logistic regression, or a linear SVM of one class against the rest.

    Returns
    -------
    MetaModel
        Fitted on all rows that have out-of-fold scores.
    """
    rows, decisions, y = scored(scores, part)
    weights = None if part.row_weights is None else part.row_weights[rows]
    x = meta_features(decisions, options.scores, options.combine)
    mean = meta_features(decisions, options.scores, "average")
    n_averaged = len(decisions) if options.combine == "concat" else 1
    prior = averaging_map(mean, y, n_averaged, loss, weights, are_probabilities=options.scores == "probability")
    inner = [within(rows, fold) for fold in part.inner]
    grid = META_C_GRID if options.c is None else (options.c,)

    def by_metric(said: NDArray[np.float64]) -> float:
        return part.loss(said, rows, probability=True)

    found = choose_linear(x, y, inner, prior, loss, grid, weights, None if part.metric is None else by_metric)
    shares = weight_shares(found.learnt, x, len(scores)) if options.combine == "concat" else None
    return MetaModel(options, found.c, found.linear, found.scale, shares)


def choose_linear(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    inner: Sequence[Fold],
    prior: LinearMap,
    loss: Loss,
    grid: Sequence[float],
    weights: Weights = None,
    criterion: Callable[[NDArray[np.float64]], float] | None = None,
) -> Chosen:
    """Fit a linear meta-learner for every C, keep the best on the inner folds, and calibrate it there.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, n_columns)`` meta-features.
    y : NDArray[np.int64]
        ``(n,)`` class codes, of two classes or more.
    inner : sequence of Fold
        Folds of these rows; every training part has each class.
    prior : LinearMap
        The map that is penalised for leaving, to one output for each class that exists. Classes that `y` lacks keep it.
    loss : {"log", "squared_hinge"}
        What is minimised beside.
    grid : sequence of float
        Values of C, ascending; of those equally good the first, the most regularised, wins: see `criterion`.
    weights : NDArray[np.float64], optional
        ``(n,)`` how often each row counts, more than 0.
    criterion : callable, optional
        Of ``(n, n_classes)`` calibrated natural-log probabilities, out of fold: the less, the better. By default
        accuracy decides, by the one standard error rule: the first wins whose errors exceed the fewest by no more than
        the standard error of that difference, told by its spread over rows (Breiman, Friedman, Olshen & Stone 1984,
        Classification and Regression Trees, section 3.4.3).

    Returns
    -------
    Chosen
        Of all rows.
    """
    classes, codes = np.unique(y, return_inverse=True)
    subsets = [*(fold.train for fold in inner), np.arange(len(y))]
    own = LinearMap(prior.coef[:, classes], prior.intercept[classes])
    path = LinearPath(
        x, codes.astype(np.int64), len(classes), subsets, loss=loss, standardise=False, prior=own, weights=weights
    )
    tried = []
    for c in grid:
        *maps, whole = path.solve(c)
        decision = prior.decide(x)
        for fold, linear in zip(inner, maps, strict=True):
            decision[np.ix_(fold.test, classes)] = linear.decide(x[fold.test])
        tried.append((c, whole, decision))
    if criterion is None:
        count = np.ones(len(y)) if weights is None else weights
        losses = np.stack([count * (decision.argmax(axis=1) != y) for *_, decision in tried])
        more = losses - losses[losses.sum(axis=1).argmin()]
        chosen = int(np.argmax(more.sum(axis=1) <= np.sqrt(len(y)) * more.std(axis=1)))
    else:
        told = [criterion(log_probabilities(own, fit_scale(own, y, weights))) for *_, own in tried]
        chosen = told.index(min(told))
    c, whole, decision = tried[chosen]
    linear = LinearMap(prior.coef.copy(), prior.intercept.copy())
    linear.coef[:, classes], linear.intercept[classes] = whole.uncentred()
    return Chosen(c, linear, fit_scale(decision, y, weights), whole)


def fit_mean(scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
    """Take the mean of the backbones' probabilities, and learn nothing but its calibration.

    Parameters and errors are those of `fit_linear`.
    """
    rows, decisions, y = scored(scores, part)
    weights = None if part.row_weights is None else part.row_weights[rows]
    return MetaModel(options, None, None, fit_scale(mean_probability(decisions), y, weights))


def averaging_map(
    mean: NDArray[np.float32],
    codes: NDArray[np.int64],
    n_averaged: int,
    loss: Loss,
    weights: Weights = None,
    *,
    are_probabilities: bool,
) -> LinearMap:
    """Return the map that averages over backbones, in the unit of the meta-learner's decision values.

    Parameters
    ----------
    mean : NDArray[np.float32]
        ``(n, n_classes)`` mean over backbones of what the meta-learner sees, of rows that they had not seen.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    n_averaged : int
        Backbones side by side in the meta-features; 1 where they are averaged before.
    loss : {"log", "squared_hinge"}
        Of a logistic regression, the mean is multiplied by the factor that calibrates it. An SVM's targets are -1 and
        1: probabilities become 2p - 1, other scores the line through them that is nearest to the targets, never
        falling.
    weights : NDArray[np.float64], optional
        ``(n,)`` how often each row counts.
    are_probabilities : bool
        Whether the meta-learner sees probabilities.

    Returns
    -------
    LinearMap
        From the meta-features to ``n_classes`` outputs.
    """
    n_classes = mean.shape[1]
    slope, intercept = 2.0, -1.0
    if loss == "log":
        slope, intercept = fit_scale(mean, codes, weights), 0.0
    elif not are_probabilities:
        target = np.where(codes[:, None] == np.arange(n_classes), 1.0, -1.0)
        own = None if weights is None else np.repeat(weights, n_classes)
        covariance = float(np.cov(mean.ravel(), target.ravel(), aweights=own)[0, 1])
        slope = max(covariance / max(_variance(mean, own), float(np.finfo(np.float32).tiny)), 0.0)
        intercept = float(np.average(target.ravel(), weights=own) - slope * np.average(mean.ravel(), weights=own))
    coef = np.tile(np.eye(n_classes), (n_averaged, 1)) * (slope / n_averaged)
    return LinearMap(coef.astype(np.float32), np.full(n_classes, intercept, np.float32))


def _variance(values: NDArray[np.float32], weights: Weights) -> float:
    """Return the population variance of all values, each of which counts for its weight."""
    flat = values.ravel()
    return float(values.var() if weights is None else np.cov(flat, aweights=weights, ddof=0))


def scored(
    scores: Sequence[BaseScores], part: Part
) -> tuple[NDArray[np.int64], list[NDArray[np.float32]], NDArray[np.int64]]:
    """Return the rows that a meta-learner is fitted on, the backbones' out-of-fold scores of them, and their codes."""
    rows = scored_rows(part.y_train, part.n_classes, part.inner)
    return rows, [each.out_of_fold[rows] for each in scores], part.y_train[rows]


def scored_rows(y: NDArray[np.int64], n_classes: int, folds: Sequence[Fold]) -> NDArray[np.int64]:
    """Return the ascending rows that a meta-learner is fitted on.

    They have out-of-fold scores, and are of a class that it meets in the training part of every inner fold. A class
    of few groups can be tested in one inner fold and have no scored row outside it.
    """
    tested = [np.bincount(y[fold.test], minlength=n_classes) for fold in folds]
    learnable = np.all(np.sum(tested, axis=0) > tested, axis=0)
    if learnable.sum() < 2:
        message = (
            f"{learnable.sum()} of {n_classes} classes have images in two inner folds or more; a meta-classifier "
            "learns from at least 2: add images (or groups) until two inner folds or more test each of 2 classes"
        )
        raise StackError(message)
    rows = np.concatenate([fold.test for fold in folds])
    return np.sort(rows[learnable[y[rows]]])


def within(rows: NDArray[np.int64], fold: Fold) -> Fold:
    """Return a fold as positions in the ascending `rows`, without what is not among them."""
    train, test = (np.searchsorted(rows, np.intersect1d(part, rows)) for part in (fold.train, fold.test))
    return Fold(train, test)
