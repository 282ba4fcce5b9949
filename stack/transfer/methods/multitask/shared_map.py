"""Two classifiers, of the source and of the target, with a linear map in common.

``W_source = W + V_source`` and ``W_target = W + V_target`` are learnt together: minimised is ``C`` times the log-loss
of both domains plus ``½ ‖W‖² + ½ k (‖V_source‖² + ‖V_target‖²)`` (Evgeniou & Pontil 2004, equation 6; with k of 1 it is
the feature augmentation of Daumé III 2007). Intercepts share and differ likewise. A large k leaves one classifier for
both, a small one two that share nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.classifier import inner_folds
from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.softmax import descend, log_loss
from stackbone.stack.transfer.estimates.validation import first_near_best, fit_pooled, labelled, lacking
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
        both, strength = moments(domains), fit_pooled(domains).strength
        seen = domains.seen
        source = standardise(domains.source, both.source_mean, both.scale)
        target = standardise(domains.target[seen], both.target_mean, both.scale)
        present, codes = np.unique(labelled(domains).codes, return_inverse=True)
        own, other = codes[: len(source)], codes[len(source) :]
        groups = None if domains.target_groups is None else domains.target_groups[seen]
        _, dense = np.unique(other, return_inverse=True)
        folds = inner_folds(dense, domains.seed, groups)
        by, coupling = "default: too few images to choose by", 1.0
        if folds is not None:
            by, losses = "log-loss on inner folds of the target, one standard error rule", []
            for k in COUPLINGS:
                each = np.empty(len(other))
                for fold in folds:
                    coef, intercept = fit_both(
                        source, own, target[fold.train], other[fold.train], len(present), strength, k
                    )
                    logs = log_softmax(target[fold.test] @ coef + intercept, axis=1)
                    each[fold.test] = -logs[np.arange(len(fold.test)), other[fold.test]]
                losses.append(each[np.concatenate([fold.test for fold in folds])])
            coupling = COUPLINGS[first_near_best(losses)]  # few images are little reason for two in place of one
        coef, intercept = fit_both(source, own, target, other, len(present), strength, coupling)
        wide, at_mean = np.zeros((len(coef), domains.n_classes)), np.full(domains.n_classes, -50.0)
        wide[:, present], at_mean[present] = coef / both.scale[:, None], intercept
        chosen: dict[str, float | str] = {"coupling": coupling, "C": strength, "by": by}
        return LinearFitted(LinearMap.rounded(wide, at_mean, both.target_mean), chosen)


def fit_both(
    source: Floats, source_codes: Codes, target: Floats, target_codes: Codes, n_classes: int, c: float, k: float
) -> tuple[Doubles, Doubles]:
    """Return the target's ``(dim, n_classes)`` coefficients and ``(n_classes,)`` intercepts.

    The common part that fits two given classifiers best is ``W = k (W_source + W_target) / (1 + 2 k)``; with it the
    penalty is one of their mean and of their difference, and these two are what is sought: the problem has one minimum,
    and is well scaled. The mean of the intercepts goes unpenalised.

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
    # With mean m and half difference h: ½ min_W (‖W‖² + k ‖m+h-W‖² + k ‖m-h-W‖²) = k ‖h‖² + k / (1 + 2k) ‖m‖².
    for_mean = k / (1 + 2 * k)

    def objective(both: Doubles) -> tuple[float, Doubles]:
        mean, half = both
        mine, of_source = log_loss(source, source_codes, mean + half)
        theirs, of_target = log_loss(target, target_codes, mean - half)
        value = c * (mine + theirs) + for_mean * np.square(mean[:-1]).sum() + k * np.square(half).sum()
        by_mean, by_half = c * (of_source + of_target), c * (of_source - of_target) + 2 * k * half
        by_mean[:-1] += 2 * for_mean * mean[:-1]
        return float(value), np.stack([by_mean, by_half])

    mean, half = descend(objective, np.zeros((2, source.shape[1] + 1, n_classes)))
    v: Doubles = mean - half
    return v[:-1], v[-1]


METHOD = SharedMap()
