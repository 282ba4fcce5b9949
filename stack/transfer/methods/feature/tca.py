"""Transfer component analysis: directions of a kernel space in which the domains' means meet and images still differ.

With the kernel K of images of both domains, ``e`` of 1/n_s and -1/n_t, and the centring H, the components W are the
leading eigenvectors of ``(K e eᵀ K + μ I)⁻¹ K H K``: much variance, little difference of means. Other images enter by
their kernel with these. Of many images a thousand stand for all, drawn by seed: the paper's problem grows with their
cube.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.estimates.kernels import common_rows, draw_rows, gaussian, median_gamma
from stackbone.stack.transfer.estimates.leading import leading_rows
from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.validation import fit_validated, lacking, validate
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Matrix, Method, Probabilities

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

COMPONENTS = (20, 80)
"""How many are tried, where images allow as many."""

MOST_IMAGES = 500
"""Of each domain."""

TRADE_OFF = 1.0
"""μ: what a component's length costs."""


class TransferComponents(Method):
    """See the module."""

    name = "tca"
    family = "feature"
    what = "components of a kernel in which the domains' means meet"
    source = "Pan et al. 2011, Domain Adaptation via Transfer Component Analysis, IEEE Trans. Neural Networks 22(2)"
    place = 40
    is_linear = False

    def fits(self, domains: Domains) -> str | None:
        """Return why not: a domain of one image has no spread."""
        return lacking(domains, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Learn from the components, as many as serve the target best."""
        source, target = common_rows(domains)
        drawn = [each[draw_rows(len(each), MOST_IMAGES, domains.seed)] for each in (source, target)]
        gamma = median_gamma(drawn[0], drawn[1], domains.seed)
        marks = np.concatenate(drawn)
        found = components(gaussian(marks, marks, gamma).astype(np.float64), len(drawn[0]), max(COMPONENTS), TRADE_OFF)
        kernel = gaussian(np.concatenate([source, target[domains.seen]]), marks, gamma)
        both = moments(domains)
        weights = found.astype(np.float32)
        rows = kernel @ weights
        sizes = sorted({min(k, found.shape[1]) for k in COMPONENTS})
        strengths = {k: validate(leading_rows(rows[:, :k]), domains) for k in sizes}
        k = min(sizes, key=lambda each: strengths[each].loss)
        tried = fit_validated(rows[:, :k], domains, strength=strengths[k]).fitted
        linear = LinearFitted(tried.linear_map, {"components": float(k), **tried.chosen})
        return OnComponents(both.source_mean, both.scale, marks, gamma, weights[:, :k], linear)


class OnComponents(Fitted):
    """A linear classifier of components.

    Parameters
    ----------
    mean, scale : NDArray[np.float64]
        ``(dim,)`` by which features are standardised.
    marks : NDArray[np.float32]
        ``(m, dim)`` images that the kernel is taken with.
    gamma : float
        Of the kernel.
    weights : NDArray[np.float32]
        ``(m, k)`` the components.
    linear : LinearFitted
        Of the components.
    """

    def __init__(
        self, mean: Doubles, scale: Doubles, marks: Floats, gamma: float, weights: Floats, linear: LinearFitted
    ) -> None:
        self._mean, self._scale, self._marks = mean, scale, marks
        self._gamma, self._weights, self._linear = gamma, weights, linear
        self.chosen = linear.chosen
        self.linear_map: LinearMap | None = None

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the probabilities of the linear classifier."""
        rows = standardise(features, self._mean, self._scale)
        return self._linear.predict_proba(gaussian(rows, self._marks, self._gamma) @ self._weights)


def components(kernel: Doubles, n_source: int, most: int, mu: float) -> Doubles:
    """Return the ``(n, k)`` components of a kernel, the leading first.

    ``K e eᵀ K + μ I`` has one direction of its own, ``v = K e``; its inverse root is known, and the problem symmetric.

    Parameters
    ----------
    kernel : NDArray[np.float64]
        ``(n, n)``, of the source's images first.
    n_source : int
        How many these are.
    most : int
        Components at most; fewer where the kernel has fewer directions.
    mu : float
        See the module.
    """
    n = len(kernel)
    e = np.where(np.arange(n) < n_source, 1 / n_source, -1 / (n - n_source))
    v = kernel @ e
    length = float(v @ v)
    shrink = (1 - np.sqrt(mu / (mu + length))) / length if length > 0 else 0.0

    def unmix(x: Doubles) -> Doubles:
        """Multiply by ``(μ I + v vᵀ)^(-1/2)``."""
        mixed: Doubles = (x - shrink * np.outer(v, v @ x)) / np.sqrt(mu)
        return mixed

    centred = kernel - kernel.mean(axis=0)
    scatter = centred.T @ centred
    values, vectors = np.linalg.eigh(unmix(unmix(scatter).T))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = max(1, int((values > 1e-10 * values[0]).sum()))
    return unmix(vectors[:, : min(most, kept)])


METHOD = TransferComponents()
