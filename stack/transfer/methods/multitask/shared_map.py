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
from stackbone.stack.solvers.rows import LazyRows, Matrix, Rows, RowsOfTwo, some_rows
from stackbone.stack.transfer.classifier import WITHOUT_FOLDS, inner_folds, log_losses
from stackbone.stack.transfer.estimates.alignment import Aligned
from stackbone.stack.transfer.estimates.leading import leading_directions
from stackbone.stack.transfer.estimates.moments import DomainMap, MappedRows, moments
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
        centred = Aligned(DomainMap(both.source_mean, both.scale), DomainMap(both.target_mean, both.scale))
        source = MappedRows(domains.source, centred.source)
        target = MappedRows(Rows([domains.target], domains.seen), centred.target)
        present, codes = np.unique(labelled(domains).codes, return_inverse=True)
        own, other = codes[: len(source)], codes[len(source) :]
        coupling, by = _choose(domains, centred, own, other, strength)
        coef, intercept = fit_both(source, own, target, other, len(present), strength, coupling)
        wide, at_mean = np.zeros((len(coef), domains.n_classes)), np.full(domains.n_classes, -50.0)
        wide[:, present], at_mean[present] = coef / both.scale[:, None], intercept
        chosen: dict[str, float | str] = {"coupling": coupling, "C": strength, "by": by}
        return LinearFitted(LinearMap.rounded(wide, at_mean, both.target_mean), chosen)


def _choose(domains: Domains, centred: Aligned, own: Codes, other: Codes, strength: float) -> tuple[float, str]:
    """Return the coupling, and how it was chosen: in the leading directions, on inner folds of the target's labels."""
    groups = None if domains.target_groups is None else domains.target_groups[domains.seen]
    folds = inner_folds(other, domains.seed, groups)
    if folds is None:
        return 1.0, str(WITHOUT_FOLDS["by"])
    both = centred.labelled(domains)
    directions = leading_directions(both)
    if directions is not None:
        both = both @ directions
    rows, codes = np.arange(len(own)), np.concatenate([own, other])
    n_classes, tested = int(codes.max()) + 1, np.concatenate([fold.test for fold in folds])
    losses = []
    for k in COUPLINGS:
        x = CoupledRows(both, len(rows), k)
        subsets = [np.concatenate([rows, len(rows) + fold.train]) for fold in folds]
        maps = LinearPath(x, codes, n_classes, subsets, loss="log", standardise=False, tol=SEARCH_TOL).solve(strength)
        each = np.empty(len(other))
        for fold, linear in zip(folds, maps, strict=True):
            each[fold.test] = log_losses(linear.decide(x[len(rows) + fold.test]), other[fold.test])
        losses.append(each[tested])
    # Few images are little reason for two classifiers in place of one.
    return COUPLINGS[first_near_best(losses)], "log-loss on inner folds of the target, one standard error rule"


def fit_both(
    source: Matrix, source_codes: Codes, target: Matrix, target_codes: Codes, n_classes: int, c: float, k: float
) -> tuple[Doubles, Doubles]:
    """Return the target's ``(dim, n_classes)`` coefficients and ``(n_classes,)`` intercepts.

    Parameters
    ----------
    source, target : NDArray[np.float32] or LazyRows
        ``(n_source, dim)`` and ``(n_target, dim)`` standardised rows.
    source_codes, target_codes : NDArray[np.int64]
        Their class codes.
    n_classes : int
        Number of classes.
    c, k : float
        See the module.
    """
    codes = np.concatenate([source_codes, target_codes])
    x = CoupledRows(RowsOfTwo(source, target), len(source_codes), k)
    path = LinearPath(x, codes, n_classes, [np.arange(len(codes))], loss="log", standardise=False)
    (found,) = path.solve(c)
    coef, intercept = found.uncentred()
    of_mean, of_half = _factors(k)
    dim = source.shape[1]
    return of_mean * coef[:dim] - of_half * coef[dim:-1], intercept - of_half * coef[-1]


class CoupledRows(LazyRows):
    """Rows of both domains whose plain ridge is the penalty of two classifiers with a map in common.

    The common part that fits two given classifiers best is ``W = k (W_source + W_target) / (1 + 2 k)``; with it the
    penalty is one of their mean and of their half difference, and what these are multiplied by makes it plain. The mean
    of the intercepts goes unpenalised. Of ``2 dim + 1`` columns, ``dim`` are multiplied by the mean, as many by the
    half difference, and the last by that of the intercepts.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, dim)`` standardised rows, those of the source first.
    sides : int or NDArray[np.float32]
        How many these are; or ``(n,)`` 1 for a row of the source, -1 for one of the target.
    k : float
        See the module.
    """

    def __init__(self, x: Matrix, sides: int | Floats, k: float) -> None:
        if isinstance(sides, int):
            sides = np.where(np.arange(len(x)) < sides, 1, -1).astype(np.float32)
        self._x, self._sides, self._k = x, sides, k
        self.shape = (len(x), 2 * x.shape[1] + 1)

    def __getitem__(self, index: NDArray[np.int64] | slice | int | np.integer) -> Floats:
        """Return these rows; of one row, ``(2 dim + 1,)``."""
        rows, (of_mean, of_half) = self._x[index], _factors(self._k)
        side = np.asarray(of_half * self._sides[index], np.float32)[..., None]
        return np.concatenate([np.float32(of_mean) * rows, side * rows, side], axis=-1)

    def take(self, rows: NDArray[np.int64]) -> CoupledRows:
        """Return some of the rows."""
        return CoupledRows(some_rows(self._x, rows), self._sides[rows], self._k)


def _factors(k: float) -> tuple[float, float]:
    """Return what rows are multiplied by for the mean m, and for the half difference h.

    ``½ min_W (‖W‖² + k ‖m + h - W‖² + k ‖m - h - W‖²) = k ‖h‖² + k / (1 + 2k) ‖m‖²``.
    """
    return float(np.sqrt((1 + 2 * k) / (2 * k))), float(np.sqrt(1 / (2 * k)))


METHOD = SharedMap()
