"""Two learners of all layers of a network that ``stack`` does not have, for bench/layers.py to compare with it.

`score_attentive` lets learnt queries attend over the tokens of all blocks, and classifies what they see linearly (the
attentive fusion of layers of Ciernik et al. 2026, arXiv 2601.09322, with as few numbers as it can have: queries and a
bias for each token, no key or value projections). `score_selected` ranks single columns of all layers by a group lasso
over classes, keeps the best, and classifies these (Head2Toe: Evci et al. 2022, arXiv 2201.03529). Each chooses its
strength by inner folds of the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

Matrix = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.int64]

ATTENTIVE_GRID = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
SELECTED_GRID = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.5)
_ROUNDS = 4  # of the group lasso
_MAX_ITER = 150


@dataclass(frozen=True)
class Shape:
    """Sizes of an attentive classifier: tokens an image, their width, queries, classes."""

    n_tokens: int
    dim: int
    n_queries: int
    n_classes: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers the queries, the biases of tokens, the coefficients and the intercepts are."""
        m, d = self.n_queries, self.dim
        return m * d, m * self.n_tokens, m * d * self.n_classes, self.n_classes

    def parts(self, theta: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Return (M, d) queries, (M, T) biases, (M * d, K) coefficients, (K,) intercepts."""
        m, d = self.n_queries, self.dim
        queries, biases, coef, intercept = np.split(theta, np.cumsum(self.sizes)[:-1])
        return queries.reshape(m, d), biases.reshape(m, -1), coef.reshape(m * d, -1), intercept

    def start(self, seed: int) -> Doubles:
        """Return numbers to start from: random queries, so that these differ, and no coefficients."""
        rng = np.random.default_rng(seed)
        theta = np.zeros(sum(self.sizes))
        theta[: sum(self.sizes[:2])] = rng.standard_normal(sum(self.sizes[:2]))
        return theta


def attend(theta: Doubles, z: NDArray[np.floating], shape: Shape) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return ``(n, T, M)`` attention and the ``(n, M * d)`` sums that it makes of ``(n, T, d)`` tokens."""
    queries, biases, _, _ = shape.parts(theta.astype(z.dtype))
    scores = z @ (queries.T / z.dtype.type(np.sqrt(shape.dim))) + biases.T
    attention = softmax(scores, axis=1)
    return attention, (attention.transpose(0, 2, 1) @ z).reshape(len(z), -1)


def decide(theta: Doubles, z: NDArray[np.floating], shape: Shape) -> NDArray[np.floating]:
    """Return the ``(n, K)`` logits of ``(n, T, d)`` tokens."""
    _, _, coef, intercept = shape.parts(theta.astype(z.dtype))
    decided: NDArray[np.floating] = attend(theta, z, shape)[1] @ coef + intercept
    return decided


def objective(theta: Doubles, z: NDArray[np.floating], codes: Codes, shape: Shape, c: float) -> tuple[float, Doubles]:
    """Return the mean log-loss, with ½‖·‖² / (C n) of all numbers but the intercepts, and its gradient."""
    n, own = len(z), (np.arange(len(z)), codes)
    _, _, coef, intercept = shape.parts(theta.astype(z.dtype))
    attention, seen = attend(theta, z, shape)
    log_probability = log_softmax(seen @ coef + intercept, axis=1)
    slope = np.exp(log_probability)
    slope[own] -= 1
    slope /= n
    of_seen = (slope @ coef.T).reshape(n, shape.n_queries, shape.dim)
    of_attention = z @ of_seen.transpose(0, 2, 1)  # (n, T, M)
    of_scores = attention * (of_attention - (attention * of_attention).sum(axis=1, keepdims=True))
    of_queries = np.tensordot(of_scores, z, ((0, 1), (0, 1))) / np.sqrt(shape.dim)
    gradients = (of_queries, of_scores.sum(axis=0).T, seen.T @ slope, slope.sum(axis=0))
    penalised = theta.copy()
    penalised[-shape.n_classes :] = 0
    value = -float(log_probability[own].mean(dtype=np.float64)) + float(penalised @ penalised) / (2 * c * n)
    return value, np.concatenate([each.ravel() for each in gradients]).astype(np.float64) + penalised / (c * n)


def fit_attentive(z: Matrix, codes: Codes, shape: Shape, c: float, start: Doubles) -> Doubles:
    """Return the numbers of a local minimum of `objective`."""
    done = minimize(
        objective,
        start,
        (z, codes, shape, c),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MAX_ITER, "ftol": 1e-7},
    )
    found: Doubles = done.x
    return found


def standardised(x: Matrix, train: Codes, widths: Sequence[int]) -> Matrix:
    """Return columns centred and scaled by the training rows, each part by itself, as ``stack --fusion parts`` does."""
    mean, variance = x[train].mean(axis=0, dtype=np.float64), x[train].var(axis=0, dtype=np.float64)
    scale = ColumnParts.alike(*widths).scales(variance[None], len(train), MODERATION)
    scaled: Matrix = ((x - mean) / scale).astype(np.float32)
    return scaled


def log_loss(decided: NDArray[np.floating], codes: Codes) -> float:
    """Return the mean log-loss of logits, in nats."""
    own = (np.arange(len(codes)), codes)
    return -float(log_softmax(decided.astype(np.float64), axis=1)[own].mean())


def score_attentive(
    x: Matrix, codes: Codes, fold: Fold, inner: Sequence[Fold], n_tokens: int, n_queries: int, seed: int = 0
) -> tuple[Matrix, Doubles, float]:
    """Choose C by inner folds, fit, and classify the test part.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n_images, n_tokens * d)`` tokens side by side.
    codes : NDArray[np.int64]
        ``(n_images,)`` classes.
    fold : Fold
        Of the images.
    inner : sequence of Fold
        Over the rows of its training part.
    n_tokens, n_queries : int
        Tokens of an image, and how many queries attend over them.
    seed : int
        Of the queries that the fit starts from.

    Returns
    -------
    decided : NDArray[np.float32]
        ``(n_test, K)`` logits.
    attention : NDArray[np.float64]
        ``(n_tokens,)`` mean attention that each token of the test part gets, over queries.
    c : float
        The chosen strength.
    """
    shape = Shape(n_tokens, x.shape[1] // n_tokens, n_queries, int(codes.max()) + 1)
    widths = (shape.dim,) * n_tokens
    thetas = [shape.start(seed) for _ in inner]
    made = []
    for own in inner:
        rows = fold.train[own.train]
        made.append((standardised(x, rows, widths).reshape(len(x), n_tokens, -1), rows, fold.train[own.test]))
    best, least, tried = ATTENTIVE_GRID[0], np.inf, []
    for c in ATTENTIVE_GRID:
        thetas = [
            fit_attentive(z[rows], codes[rows], shape, c, t) for (z, rows, _), t in zip(made, thetas, strict=True)
        ]
        losses = [
            log_loss(decide(theta, z[held_out], shape), codes[held_out])
            for theta, (z, _, held_out) in zip(thetas, made, strict=True)
        ]
        tried.append(c)
        if np.mean(losses) >= least:
            break
        best, least = c, float(np.mean(losses))
    z = standardised(x, fold.train, widths).reshape(len(x), n_tokens, -1)
    theta = shape.start(seed)
    for c in tried[: tried.index(best) + 1]:
        theta = fit_attentive(z[fold.train], codes[fold.train], shape, c, theta)
    attention, _ = attend(theta, z[fold.test], shape)
    decided = decide(theta, z[fold.test], shape).astype(np.float32)
    return decided, attention.mean(axis=(0, 2), dtype=np.float64), best


def rank_columns(z: Matrix, codes: Codes, c: float) -> Doubles:
    """Return ``(dim,)`` how long each column's coefficients are under a group lasso over classes.

    ‖w‖ is the least ½(‖w‖²/η + η), at η = ‖w‖: ridge fits of columns multiplied by √η in turn (Bach et al. 2012,
    *Optimization with Sparsity-Inducing Penalties*, section 5).
    """
    n_classes, everyone = int(codes.max()) + 1, [np.arange(len(codes))]
    factors = np.ones(z.shape[1])
    lengths = factors
    for _ in range(_ROUNDS):
        scaled = (z * factors).astype(np.float32)
        (found,) = LinearPath(scaled, codes, n_classes, everyone, loss="log", standardise=False).solve(c)
        lengths = np.linalg.norm(found.coef * factors[:, None], axis=1)
        factors = np.sqrt(lengths / lengths.mean())
    return lengths


def score_selected(
    x: Matrix, codes: Codes, fold: Fold, inner: Sequence[Fold], widths: Sequence[int], c: float
) -> tuple[Matrix, Doubles, float]:
    """Rank columns, choose by inner folds how many to keep and C, fit these, and classify the test part.

    Parameters
    ----------
    x, codes, fold, inner
        As of `score_attentive`; the columns are of parts.
    widths : sequence of int
        Columns of each part.
    c : float
        Strength of the group lasso: what a logistic regression of all columns has.

    Returns
    -------
    decided : NDArray[np.float32]
        ``(n_test, K)`` logits.
    kept : NDArray[np.float64]
        ``(n_parts,)`` share of each part's columns that is kept.
    fraction : float
        The chosen share of all columns.
    """
    n_classes = int(codes.max()) + 1
    losses = np.zeros((len(FRACTIONS), len(SELECTED_GRID)))
    for own in inner:
        rows, held_out = fold.train[own.train], fold.train[own.test]
        z = standardised(x, rows, widths)
        order = np.argsort(-rank_columns(z[rows], codes[rows], c), kind="stable")
        for i, fraction in enumerate(FRACTIONS):
            kept = z[:, order[: max(1, round(fraction * len(order)))]]
            path = LinearPath(kept, codes, n_classes, [rows], loss="log", standardise=False)
            for j, strength in enumerate(SELECTED_GRID):
                (found,) = path.solve(strength)
                losses[i, j] += log_loss(found.decide(kept[held_out]), codes[held_out])
    i, j = (int(place) for place in np.unravel_index(losses.argmin(), losses.shape))
    z = standardised(x, fold.train, widths)
    order = np.argsort(-rank_columns(z[fold.train], codes[fold.train], c), kind="stable")
    chosen = order[: max(1, round(FRACTIONS[i] * len(order)))]
    path = LinearPath(z[:, chosen], codes, n_classes, [fold.train], loss="log", standardise=False)
    (found,) = path.solve(SELECTED_GRID[j])
    place = np.searchsorted(np.cumsum(widths), chosen, side="right")
    share = np.bincount(place, minlength=len(widths)) / np.asarray(widths)
    return found.decide(z[fold.test][:, chosen]), share, FRACTIONS[i]
