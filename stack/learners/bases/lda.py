"""A Gaussian for each class, all with one covariance, shrunk: linear discriminant analysis in closed form.

Wang et al. 2024 (ICLR, arXiv 2402.04087) found it hard to beat on frozen features. Their precision matrix, the
ridge-like estimate of Kubokawa & Srivastava 2008 (J. Multivariate Analysis 99(9), 1906-1928), is one of those that are
tried here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.heads.head import Head
from stackbone.stack.learners.heads.scatter import ClassMoments, LinearLearnt
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.solvers.scales import MODERATION

RATIOS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Ridges that are tried, as multiples of that of Kubokawa & Srivastava; descending."""

_ROUNDING = 1e-12  # share of the squares of standardised rows, below which those about the classes' means are rounding


class GaussianDiscriminant(Head):
    """See `learn_gaussians`."""

    name = "lda"
    what = "shrunk linear discriminant on {name}"
    can_be_saved = True
    place = 3

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "lda", "ratios": RATIOS, "moderation": MODERATION}

    def learn(
        self, x: SideBySide, y: NDArray[np.int64], weights: NDArray[np.float64], n_classes: int, n_views: int = 1
    ) -> LinearLearnt:
        """Learn from rows; see `learn_gaussians`."""
        return learn_gaussians(ClassMoments.of(x, y, weights, n_classes), RATIOS)


def learn_gaussians(of: ClassMoments, ratios: tuple[float, ...] = RATIOS) -> LinearLearnt:
    """Return the discriminants of classes that share a covariance, for every ridge.

    With S the scatter of n standardised rows about their classes' means and ``alpha = ratio · trace(S) / (n - 1)``, the
    covariance is ``(S + alpha I) / n``, divided by ``1 + alpha · dim / trace(S)`` so that its trace stays: it is the
    mean of S / n and of the multiple of the identity with the same trace, of which the second counts for the shrinkage,
    a share from 0 to 1. Ratio 1 is the precision matrix of arXiv 2402.04087, equation 6, but for a factor. The classes'
    shares are their prior probabilities.

    Returns
    -------
    LinearLearnt
        Its strengths are the shrinkages.
    """
    n, dim = float(of.weights.sum()), int(np.isfinite(of.scale).sum())
    scatter, alphas = of.within_classes(), np.array(ratios)
    trace, apart = scatter.trace, of.sums / of.mass[:, None] / of.scale
    if trace > _ROUNDING * n * dim:
        alphas = alphas * (trace / max(n - 1, n / 2))  # weights may add up to 1 row or less
        shares = alphas * dim / (trace + alphas * dim)
        precision = n * (1 + alphas * dim / trace)
    else:  # one row a class, equal ones, or constant columns: the classes' means are all there is to know
        shares, precision = np.ones(len(alphas)), np.full(len(alphas), n)
    coef = scatter.divide(apart.T, alphas) * precision[:, None]
    intercept = np.log(of.mass / n) - np.einsum("kd,dak->ak", apart, coef) / 2
    return LinearLearnt(shares.tolist(), coef / of.scale[:, None, None], intercept, of.mean)


LEARNER = GaussianDiscriminant()
