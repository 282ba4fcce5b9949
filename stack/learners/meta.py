"""Meta-learners: from what every backbone says to one answer, with probabilities that mean something.

`fit_meta` is the meta-learner of the ``oof`` recipe, `mean_probability` the baseline that learns nothing. Each sees the
training part of one outer fold only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from stackbone.cache.errors import StackError
from stackbone.stack.folds.checks import check_choice
from stackbone.stack.folds.folds import Fold
from stackbone.stack.learners.base import ClassScores
from stackbone.stack.learners.weight_shares import weight_shares
from stackbone.stack.metrics.calibrate import fit_scale, log_probabilities
from stackbone.stack.solvers.linear import LinearMap, LinearPath

META_C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths of the meta-learner, ascending."""

LEARNERS = ("svm", "lr", "mean")
SCORES = ("probability", "log-probability", "decision")
COMBINE = ("concat", "average")


@dataclass(frozen=True)
class MetaOptions:
    """How the backbones' scores are joined.

    Attributes
    ----------
    learner : str
        ``svm`` (linear, one against the rest, squared hinge), ``lr`` (multinomial logistic regression) or
        ``mean`` (of the probabilities; learns nothing but its calibration).
    scores : str
        What it sees of each backbone: ``probability``, ``log-probability`` or ``decision`` (the logits).
    combine : str
        ``concat``, side by side, or ``average`` over backbones.
    c : float, optional
        Its inverse regularisation strength; chosen inside the training part by default.
    """

    learner: str = "svm"
    scores: str = "probability"
    combine: str = "concat"
    c: float | None = None


def check_meta(options: MetaOptions) -> None:
    """Raise `UsageError` unless all names are known."""
    check_choice("meta-learner", options.learner, LEARNERS)
    check_choice("kind of scores", options.scores, SCORES)
    check_choice("way to combine", options.combine, COMBINE)


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
    """

    options: MetaOptions
    c: float | None
    linear: LinearMap | None
    scale: float
    shares: NDArray[np.float64] | None = None

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


def fit_meta(
    scores: Sequence[ClassScores],
    y_train: NDArray[np.int64],
    n_classes: int,
    folds: Sequence[Fold],
    options: MetaOptions | None = None,
) -> MetaModel:
    """Fit a meta-learner on out-of-fold scores, choose its C and calibrate it, all on inner folds.

    C is chosen by accuracy on the inner folds that made the out-of-fold scores; of equals the smallest, the
    most regularised, wins. The meta-learner's own out-of-fold decision
    values at that C then give the calibration factor, so that a linear SVM, which knows no probabilities, gets
    calibrated ones (temperature scaling: `stack.metrics.calibrate`). Out-of-fold scores as meta-features: Wolpert 1992
    (Neural Networks 5(2), 241-259). Probabilities and not predicted classes, as Ting & Witten 1999 (JAIR 10,
    271-289) advise; by default not their logarithms either, so that no overconfident backbone can shout.

    What is penalised is not the size of the coefficients but their distance from those that average the backbones
    (`averaging_map`). So the stack is the mean of its members where images are few, or where the inner folds find
    nothing better, and leaves it as far as the labels carry; a class that no inner fold tests keeps its mean.

    The meta-learner's out-of-fold values are so in its own training only: the base scores of its training rows came
    from classifiers that saw labels of the inner fold tested. All of it lies inside the training part of an outer
    fold, whose test part had no say.

    Parameters
    ----------
    scores : sequence of ClassScores
        One per backbone, of the same fold and the same inner folds.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes, 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    folds : sequence of Fold
        The inner folds over the training part. Rows of no inner test part take no part here.
    options : MetaOptions, optional
        The learner and what it sees.

    Returns
    -------
    MetaModel
        Fitted on all rows that have out-of-fold scores.
    """
    options = options or MetaOptions()
    check_meta(options)
    scored = _scored_rows(y_train, n_classes, folds)
    decisions = [each.out_of_fold[scored] for each in scores]
    y = y_train[scored]
    if options.learner == "mean":
        return MetaModel(options, None, None, fit_scale(mean_probability(decisions), y))
    classes, codes = np.unique(y, return_inverse=True)
    x = meta_features(decisions, options.scores, options.combine)
    inner = [_within(scored, fold) for fold in folds]
    subsets = [*(fold.train for fold in inner), np.arange(len(scored))]
    loss: Literal["log", "squared_hinge"] = "squared_hinge" if options.learner == "svm" else "log"
    prior = averaging_map(decisions, y, options)
    own = LinearMap(prior.coef[:, classes], prior.intercept[classes])
    path = LinearPath(x, codes.astype(np.int64), len(classes), subsets, loss=loss, standardise=False, prior=own)
    tried = []
    for c in META_C_GRID if options.c is None else (options.c,):
        *maps, whole = path.solve(c)
        decision = prior.decide(x)
        for fold, linear in zip(inner, maps, strict=True):
            decision[np.ix_(fold.test, classes)] = linear.decide(x[fold.test])
        tried.append((int((decision.argmax(axis=1) == y).sum()), c, whole, decision))
    _, c, whole, decision = max(tried, key=lambda each: each[0])
    scale = fit_scale(decision, y)
    shares = weight_shares(whole, x, len(scores)) if options.combine == "concat" else None
    linear = LinearMap(prior.coef.copy(), prior.intercept.copy())
    linear.coef[:, classes], linear.intercept[classes] = whole.uncentred()
    return MetaModel(options, c, linear, scale, shares)


def averaging_map(
    decisions: Sequence[NDArray[np.float32]], codes: NDArray[np.int64], options: MetaOptions
) -> LinearMap:
    """Return the map that averages over backbones, in the unit of the meta-learner's decision values.

    Parameters
    ----------
    decisions : sequence of NDArray[np.float32]
        ``(n, n_classes)`` decision values of each backbone, of rows that it had not seen.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    options : MetaOptions
        With the learner ``lr``, the mean is multiplied by the factor that calibrates it. An SVM's targets are -1 and 1:
        probabilities become 2p - 1, other scores the line through them that is nearest to the targets, never falling.

    Returns
    -------
    LinearMap
        From the meta-features to ``n_classes`` outputs.
    """
    n_classes = decisions[0].shape[1]
    mean = meta_features(decisions, options.scores, "average")
    slope, intercept = 2.0, -1.0
    if options.learner == "lr":
        slope, intercept = fit_scale(mean, codes), 0.0
    elif options.scores != "probability":
        target = np.where(codes[:, None] == np.arange(n_classes), 1.0, -1.0)
        slope = max(float(np.cov(mean.ravel(), target.ravel())[0, 1] / max(mean.var(), np.finfo(np.float32).tiny)), 0.0)
        intercept = float(target.mean() - slope * mean.mean())
    n_averaged = len(decisions) if options.combine == "concat" else 1
    coef = np.tile(np.eye(n_classes), (n_averaged, 1)) * (slope / n_averaged)
    return LinearMap(coef.astype(np.float32), np.full(n_classes, intercept, np.float32))


def _scored_rows(y: NDArray[np.int64], n_classes: int, folds: Sequence[Fold]) -> NDArray[np.int64]:
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


def _within(rows: NDArray[np.int64], fold: Fold) -> Fold:
    """Return a fold as positions in the ascending `rows`, without what is not among them."""
    train, test = (np.searchsorted(rows, np.intersect1d(part, rows)) for part in (fold.train, fold.test))
    return Fold(train, test)
