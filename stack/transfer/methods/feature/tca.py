"""Transfer component analysis: directions of a kernel space in which the domains' means meet and images still differ.

With the kernel K of images of both domains, ``e`` of 1/n_s and -1/n_t, and the centring H, the components W are the
leading eigenvectors of ``(K e eᵀ K + μ I)⁻¹ K H K``: much variance, little difference of means. Other images enter by
their kernel with these. Of many images a thousand stand for all, drawn by seed: the paper's problem grows with their
cube.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.estimates.kernels import common, common_rows, gaussian, median_gamma
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
        space = domains.once_of_images(self.name, lambda: _find(domains))
        rows = np.concatenate([space.source, space.place(common(domains.target[domains.seen], domains))])
        sizes = sorted({min(k, rows.shape[1]) for k in COMPONENTS})
        strengths = {k: validate(leading_rows(rows[:, :k]), domains) for k in sizes}
        k = min(sizes, key=lambda each: strengths[each].loss)
        tried = fit_validated(rows[:, :k], domains, strength=strengths[k]).fitted
        linear, both = LinearFitted(tried.linear_map, {"components": float(k), **tried.chosen}), moments(domains)
        return OnComponents(both.source_mean, both.scale, replace(space, weights=space.weights[:, :k]), linear)


@dataclass(frozen=True, eq=False)
class Space:
    """Components of two domains.

    Attributes
    ----------
    marks : NDArray[np.float32]
        ``(m, dim)`` images that the kernel is taken with, as of `common_rows`.
    gamma : float
        Of the kernel.
    weights : NDArray[np.float32]
        ``(m, k)`` the components.
    source : NDArray[np.float32]
        ``(n_source, k)`` the source's images there.
    """

    marks: Floats
    gamma: float
    weights: Floats
    source: Floats

    def place(self, rows: Floats) -> Floats:
        """Return ``(n, k)`` where ``(n, dim)`` images are, as of `common_rows`."""
        return gaussian(rows, self.marks, self.gamma) @ self.weights


def _find(domains: Domains) -> Space:
    source, target = common_rows(domains, MOST_IMAGES)
    gamma = median_gamma(source, target, domains.seed)
    marks = np.concatenate([source, target])
    kernel = gaussian(marks, marks, gamma).astype(np.float64)
    weights = components(kernel, len(source), max(COMPONENTS), TRADE_OFF).astype(np.float32)
    found = Space(marks, gamma, weights, np.empty((0, weights.shape[1]), np.float32))
    return replace(found, source=found.place(common(domains.source, domains)))


class OnComponents(Fitted):
    """A linear classifier of components.

    Parameters
    ----------
    mean, scale : NDArray[np.float64]
        ``(dim,)`` by which features are standardised.
    space : Space
        The components.
    linear : LinearFitted
        Of the components.
    """

    def __init__(self, mean: Doubles, scale: Doubles, space: Space, linear: LinearFitted) -> None:
        self._mean, self._scale, self._space, self._linear = mean, scale, space, linear
        self.chosen = linear.chosen
        self.linear_map: LinearMap | None = None

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the probabilities of the linear classifier."""
        rows = standardise(features, self._mean, self._scale)
        return self._linear.predict_proba(self._space.place(rows))


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
