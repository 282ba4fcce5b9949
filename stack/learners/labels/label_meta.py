"""Meta-learners of images with any number of labels: each label by itself, on what the backbones say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from stackbone.stack.learners.labels.near_prior import fit_near
from stackbone.stack.learners.labels.thresholds import choose_thresholds
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.solvers.linear import LinearMap

Doubles = NDArray[np.float64]

GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths, ascending; what is penalised is the distance from the calibrated mean."""

LEAST_LOG_ODDS = 30.0
"""Beyond these float64 tells no probability from 0 or 1."""


def fit_labels(scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
    """Fit a logistic regression of each label on the backbones' out-of-fold logits of this label.

    What is penalised is the distance from the mean of the logits, multiplied by the factor that calibrates it: where a
    label has few images, or the inner folds find nothing better, the stack is that mean. Of each label the C of the
    least log-loss on the inner folds wins, of equals the smallest, and its threshold is that of the highest F1 there.

    Parameters
    ----------
    scores : sequence of BaseScores
        One per backbone, of the same fold and the same inner folds.
    part : Part
        That fold; rows that no inner fold tests take no part.
    options : MetaOptions
        Its C, or None to choose it.

    Returns
    -------
    MetaModel
        One map of all logits side by side, in which each label's output sees this label's columns alone.
    """
    scored = _scored(part)
    logits = np.stack([each.out_of_fold[scored] for each in scores], axis=2).astype(np.float64)
    presence = part.y_train[scored]
    inner = [np.isin(scored, fold.test) for fold in part.inner]
    counts = np.ones(len(scored)) if part.row_weights is None else part.row_weights[scored]
    n_labels, n_backbones = logits.shape[1:]
    coef, intercept = np.zeros((n_backbones, n_labels, n_labels)), np.zeros(n_labels)
    chosen, unseen = np.zeros(n_labels), np.zeros((len(scored), n_labels))
    grid = GRID if options.c is None else (options.c,)
    for label in range(n_labels):
        fitted = _fit_label(logits[:, label], presence[:, label], inner, grid, counts)
        own, chosen[label], unseen[:, label] = fitted
        coef[:, label, label], intercept[label] = own[:-1], own[-1]
    linear = LinearMap(coef.reshape(-1, n_labels).astype(np.float32), intercept.astype(np.float32))
    moved = np.abs(np.einsum("bll->bl", coef)) * logits.std(axis=0).T
    total = moved.sum()
    shares = moved.sum(axis=1) / total if total > 0 else np.full(n_backbones, 1 / n_backbones)
    thresholds = choose_thresholds(expit(unseen), presence, counts)
    named = MetaOptions(options.learner, "decision", "concat", options.c)
    return MetaModel(named, float(np.exp(np.log(chosen).mean())), linear, 1.0, shares, thresholds)


def fit_label_mean(scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
    """Take the mean of the backbones' probabilities, and learn nothing but one calibration factor and thresholds."""
    scored = _scored(part)
    presence = part.y_train[scored]
    odds = mean_log_odds([each.out_of_fold[scored] for each in scores])
    flat = np.column_stack([np.zeros(odds.size), odds.ravel()])
    counts = np.ones(len(scored)) if part.row_weights is None else part.row_weights[scored]
    scale = fit_scale(flat, presence.ravel().astype(np.int64), np.repeat(counts, presence.shape[1]))
    thresholds = choose_thresholds(expit(scale * odds), presence, counts)
    return MetaModel(options, None, None, scale, thresholds=thresholds)


def mean_log_odds(logits: Sequence[NDArray[np.floating]]) -> Doubles:
    """Return the ``(n, n_labels)`` log-odds of the mean probability over backbones, of their logits."""
    mean = np.mean([expit(each.astype(np.float64)) for each in logits], axis=0)
    odds: Doubles = np.clip(logit(mean), -LEAST_LOG_ODDS, LEAST_LOG_ODDS)
    return odds


def log_presence(meta: MetaModel, logits: Sequence[NDArray[np.floating]]) -> Doubles:
    """Return the ``(n, n_labels)`` natural-log probabilities that images have each label.

    Parameters
    ----------
    meta : MetaModel
        Of labels.
    logits : sequence of NDArray
        ``(n, n_labels)`` of each backbone, in the order of the fit.
    """
    odds = mean_log_odds(logits) if meta.linear is None else meta.linear.decide(np.hstack(logits).astype(np.float32))
    log_probability: Doubles = log_expit(meta.scale * odds.astype(np.float64))
    return log_probability


def _scored(part: Part) -> NDArray[np.int64]:
    """Return the ascending rows of the training part that an inner fold tests."""
    return np.sort(np.concatenate([fold.test for fold in part.inner]))


def _fit_label(
    logits: Doubles,
    has: NDArray[np.int8],
    inner: Sequence[NDArray[np.bool_]],
    grid: Sequence[float],
    counts: Doubles,
) -> tuple[Doubles, float, Doubles]:
    """Return the coefficients of one label, its C, and its log-odds of each row by fits that did not see it.

    Where a side of the label has no row, or no row outside an inner fold, nothing is fitted: it keeps its mean.
    """
    n_backbones = logits.shape[1]
    mean, y = logits.mean(axis=1), has.astype(np.float64)
    used = np.array([~tested for tested in inner] + [np.ones(len(y), np.bool_)], np.float64)
    n_with, n_rows = used @ y, used.sum(axis=1)
    if (n_with == 0).any() or (n_with == n_rows).any():
        return np.append(np.full(n_backbones, 1 / n_backbones), 0.0), grid[0], mean
    weights = used * counts
    scale = fit_scale(np.column_stack([np.zeros(len(y)), mean]), has.astype(np.int64), counts)
    prior = np.full(n_backbones, scale)
    prior /= n_backbones
    fits, least = np.tile(np.append(prior, 0.0), (len(weights), 1)), np.inf
    found = fits[-1], grid[0], mean
    for c in grid:
        fits = fit_near(logits, y, weights, prior, fits, c)
        odds = np.empty(len(y))
        for own, tested in zip(fits, inner, strict=False):  # the last is of all rows
            odds[tested] = logits[tested] @ own[:-1] + own[-1]
        loss = float(np.average(np.logaddexp(0, np.where(has == 1, -odds, odds)), weights=counts))
        if loss < least:
            found, least = (fits[-1], c, odds), loss
    return found
