"""L2-SP: the target's classifier is penalised for leaving the source's.

Minimised on the target's labelled images is ``C Σ log-loss + ½ ‖W - W_source‖²``, intercepts among W, in place of
``½ ‖W‖²``: with C near 0 it is the source's classifier, with a large C the target's own. C is chosen on them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.classifier import STRENGTHS, WITHOUT_FOLDS, inner_folds, log_losses
from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.softmax import descend, log_loss
from stackbone.stack.transfer.estimates.validation import first_near_best, lacking
from stackbone.stack.transfer.method import Codes, Domains, Fitted, LinearFitted, Method
from stackbone.stack.transfer.methods.baselines.source_only import METHOD as SOURCE_ONLY

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


class StartingPoint(Method):
    """See the module."""

    name = "l2sp"
    family = "model"
    what = "the target's classifier, drawn towards the source's"
    source = "Li, Grandvalet & Davoine 2018, Explicit Inductive Bias for Transfer Learning, ICML"
    statistics = "the target's mean and both domains' scale"
    place = 0

    def fits(self, domains: Domains) -> str | None:
        """Return why not: both domains need labels of two classes."""
        if len(np.unique(domains.source_labels)) < 2:
            return "needs source images of two classes"
        return lacking(domains, target_labels=True)

    def fit(self, domains: Domains) -> Fitted:
        """Learn from the target's labelled images; a class that none of them has stays as the source knows it."""
        seen, both = domains.seen, moments(domains)
        source = SOURCE_ONLY.fit(domains).linear_map
        if source is None:
            message = "the source's classifier is no linear map"
            raise TypeError(message)
        x = standardise(domains.target[seen], both.target_mean, both.scale)
        # The source's map of these standardised rows; a column without a scale moves nothing.
        coef, intercept = source.uncentred()
        scale = np.where(np.isfinite(both.scale), both.scale, 0.0)
        start = np.vstack([coef * scale[:, None], intercept + both.target_mean @ coef])
        codes = domains.target_labels[seen]
        groups = None if domains.target_groups is None else domains.target_groups[seen]
        c, by = _choose(x, codes, start, domains.seed, groups)
        v = learn_near(x, codes, start, start, c)
        mapped = LinearMap.rounded(v[:-1] / both.scale[:, None], v[-1], both.target_mean)
        return LinearFitted(mapped, {"C": c, "by": by})


def learn_near(x: Floats, codes: Codes, prior: Doubles, start: Doubles, c: float) -> Doubles:
    """Minimise ``C Σ log-loss + ½ ‖V - prior‖²``.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, dim)`` standardised rows.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    prior, start : NDArray[np.float64]
        ``(dim + 1, n_classes)`` coefficients, the intercepts last; from where the search begins.
    c : float
        Weight of the loss.
    """

    def objective(v: Doubles) -> tuple[float, Doubles]:
        value, slope = log_loss(x, codes, v)
        return c * value + float(np.square(v - prior).sum()) / 2, c * slope + v - prior

    return descend(objective, start)


def _choose(x: Floats, codes: Codes, prior: Doubles, seed: int, groups: Codes | None) -> tuple[float, str]:
    """Return C, and how it was chosen: on inner folds of the target's labelled images.

    Of all C whose log-loss exceeds the least by no more than the standard error of that difference over images, the
    smallest: few images are little reason to leave the source (Breiman et al. 1984, section 3.4.3).
    """
    folds = inner_folds(codes, seed, groups)
    if folds is None:
        return float(WITHOUT_FOLDS["C"]), str(WITHOUT_FOLDS["by"])
    losses = []
    found = [prior] * len(folds)
    for c in STRENGTHS:
        found = [learn_near(x[f.train], codes[f.train], prior, v, c) for f, v in zip(folds, found, strict=True)]
        losses.append(
            np.concatenate(
                [log_losses(x[f.test] @ v[:-1] + v[-1], codes[f.test]) for f, v in zip(folds, found, strict=True)]
            )
        )
    return STRENGTHS[first_near_best(losses)], "log-loss on inner folds of the target, one standard error rule"


METHOD = StartingPoint()
