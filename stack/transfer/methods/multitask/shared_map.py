"""Two classifiers, of the source and of the target, with a linear map in common.

``W_source = W + V_source`` and ``W_target = W + V_target`` are learnt together: minimised is ``C`` times the log-loss
of both domains plus ``½ ‖W‖² + ½ k (‖V_source‖² + ‖V_target‖²)`` (Evgeniou & Pontil 2004, equation 6; with k of 1 it is
the feature augmentation of Daumé III 2007). Intercepts share and differ likewise. A large k leaves one classifier for
both, a small one two that share nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.transfer.classifier import WITHOUT_FOLDS, inner_folds, log_losses
from stackbone.stack.transfer.estimates.leading import leading_directions
from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.search import SEARCH_TOL
from stackbone.stack.transfer.estimates.validation import first_near_best, labelled, lacking, pooled_strength
from stackbone.stack.transfer.method import Codes, Domains, Fitted, LinearFitted, Method

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

COUPLINGS = (30.0, 3.0, 0.3)
"""k that are tried."""


class SharedMap(Method):
    """See the module."""

    name = "multitask"
    family = "multi-task"
    what = "a classifier of each domain, with a linear map in common"
    source = "Evgeniou & Pontil 2004, Regularized Multi-Task Learning, KDD"
    statistics = "the target's mean and both domains' scale"
    place = 0

    def fits(self, domains: Domains) -> str | None:
        """Return why not: each domain is a task, and has labels."""
        return lacking(domains, target_labels=True, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Learn both, with the coupling of the least log-loss on inner folds of the target's labelled images."""
        both, strength = moments(domains), pooled_strength(domains).c
        seen = domains.seen
        source = standardise(domains.source, both.source_mean, both.scale)
        target = standardise(domains.target[seen], both.target_mean, both.scale)
        present, codes = np.unique(labelled(domains).codes, return_inverse=True)
        own, other = codes[: len(source)], codes[len(source) :]
        coupling, by = _choose(domains, source, own, target, other, strength)
        coef, intercept = fit_both(source, own, target, other, len(present), strength, coupling)
        wide, at_mean = np.zeros((len(coef), domains.n_classes)), np.full(domains.n_classes, -50.0)
        wide[:, present], at_mean[present] = coef / both.scale[:, None], intercept
        chosen: dict[str, float | str] = {"coupling": coupling, "C": strength, "by": by}
        return LinearFitted(LinearMap.rounded(wide, at_mean, both.target_mean), chosen)


def _choose(
    domains: Domains, source: Floats, own: Codes, target: Floats, other: Codes, strength: float
) -> tuple[float, str]:
    """Return the coupling, and how it was chosen: in the leading directions, on inner folds of the target's labels."""
    groups = None if domains.target_groups is None else domains.target_groups[domains.seen]
    folds = inner_folds(other, domains.seed, groups)
    if folds is None:
        return 1.0, str(WITHOUT_FOLDS["by"])
    directions = leading_directions(np.concatenate([source, target]))
    if directions is not None:
        source, target = source @ directions, target @ directions
    rows, codes = np.arange(len(own)), np.concatenate([own, other])
    n_classes, tested = int(codes.max()) + 1, np.concatenate([fold.test for fold in folds])
    losses = []
    for k in COUPLINGS:
        x = augment(source, target, k)
        subsets = [np.concatenate([rows, len(rows) + fold.train]) for fold in folds]
        maps = LinearPath(x, codes, n_classes, subsets, loss="log", standardise=False, tol=SEARCH_TOL).solve(strength)
        each = np.empty(len(other))
        for fold, linear in zip(folds, maps, strict=True):
            each[fold.test] = log_losses(linear.decide(x[len(rows) + fold.test]), other[fold.test])
        losses.append(each[tested])
    # Few images are little reason for two classifiers in place of one.
    return COUPLINGS[first_near_best(losses)], "log-loss on inner folds of the target, one standard error rule"


def fit_both(
    source: Floats, source_codes: Codes, target: Floats, target_codes: Codes, n_classes: int, c: float, k: float
) -> tuple[Doubles, Doubles]:
    """Return the target's ``(dim, n_classes)`` coefficients and ``(n_classes,)`` intercepts.

    Parameters
    ----------
    source, target : NDArray[np.float32]
        ``(n_source, dim)`` and ``(n_target, dim)`` standardised rows.
    source_codes, target_codes : NDArray[np.int64]
        Their class codes.
    n_classes : int
        Number of classes.
    c, k : float
        See the module.
    """
    codes = np.concatenate([source_codes, target_codes])
    # The rows are not held here: the path has a copy of them.
    path = LinearPath(
        augment(source, target, k), codes, n_classes, [np.arange(len(codes))], loss="log", standardise=False
    )
    (found,) = path.solve(c)
    coef, intercept = found.uncentred()
    of_mean, of_half = _factors(k)
    dim = source.shape[1]
    return of_mean * coef[:dim] - of_half * coef[dim:-1], intercept - of_half * coef[-1]


def augment(source: Floats, target: Floats, k: float) -> Floats:
    """Return rows of both domains whose plain ridge is the penalty of two classifiers with a map in common.

    The common part that fits two given classifiers best is ``W = k (W_source + W_target) / (1 + 2 k)``; with it the
    penalty is one of their mean and of their half difference, and what these are multiplied by makes it plain. The mean
    of the intercepts goes unpenalised.

    Parameters
    ----------
    source, target : NDArray[np.float32]
        ``(n_source, dim)`` and ``(n_target, dim)`` standardised rows.
    k : float
        See the module.

    Returns
    -------
    NDArray[np.float32]
        ``(n_source + n_target, 2 dim + 1)``: what the mean is multiplied by, then the half difference, last that of the
        intercepts.
    """
    dim = source.shape[1]
    of_mean, of_half = _factors(k)
    x = np.empty((len(source) + len(target), 2 * dim + 1), np.float32)
    for rows, own, side in ((x[: len(source)], source, 1), (x[len(source) :], target, -1)):
        np.multiply(own, of_mean, out=rows[:, :dim])
        np.multiply(own, side * of_half, out=rows[:, dim:-1])
        rows[:, -1] = side * of_half
    return x


def _factors(k: float) -> tuple[float, float]:
    """Return what rows are multiplied by for the mean m, and for the half difference h.

    ``½ min_W (‖W‖² + k ‖m + h - W‖² + k ‖m - h - W‖²) = k ‖h‖² + k / (1 + 2k) ‖m‖²``.
    """
    return float(np.sqrt((1 + 2 * k) / (2 * k))), float(np.sqrt(1 / (2 * k)))


METHOD = SharedMap()
