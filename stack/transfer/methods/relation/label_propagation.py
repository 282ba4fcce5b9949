"""Labels spread along a graph of neighbours in both domains.

Each image is joined to its nearest by cosine in either domain, about the domains' own means; labels flow along
``F = alpha S F + (1 - alpha) Y`` with the normalised graph S (Zhou et al. 2004). An image that was not there gets the
mean of its neighbours (Delalleau, Bengio & Le Roux 2005, AISTATS, equation 6).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from stackbone.stack.transfer.estimates.moments import DomainMap, moments, standardise
from stackbone.stack.transfer.estimates.neighbours import nearest, to_unit_length
from stackbone.stack.transfer.estimates.validation import lacking
from stackbone.stack.transfer.method import Domains, Fitted, Matrix, Method, Probabilities

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

NEIGHBOURS = 10
"""Of each image, in each domain: so that the domains are joined however far apart they are."""

SPREAD = 0.9
"""alpha: what an image takes from its neighbours."""

_ROUNDS = 200
_CLOSE = 1e-6  # the most that a share may still change at the end


class LabelPropagation(Method):
    """See the module."""

    name = "label-propagation"
    family = "relation"
    what = "labels spread along neighbours in both domains"
    source = "Zhou et al. 2004, Learning with Local and Global Consistency, NeurIPS 16"
    place = 10
    is_linear = False

    def fits(self, domains: Domains) -> str | None:
        """Return why not."""
        return lacking(domains, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Spread the labels."""
        both, n = moments(domains), len(domains.source)
        rows = np.empty((n + len(domains.target), domains.source.shape[1]), np.float32)
        DomainMap(both.source_mean, both.scale).apply(domains.source, rows[:n])
        DomainMap(both.target_mean, both.scale).apply(domains.target, rows[n:])
        to_unit_length(rows)
        graph = domains.once_of_images(self.name, lambda: join_neighbours(rows[:n], rows[n:], NEIGHBOURS))
        codes = np.concatenate([domains.source_labels, domains.target_labels])
        labels = (codes[:, None] == np.arange(domains.n_classes)).astype(np.float64)
        chosen: dict[str, float | str] = {"neighbours": float(NEIGHBOURS), "alpha": SPREAD}
        return Neighbourhood(both.target_mean, both.scale, rows, n, spread(graph, labels, SPREAD), chosen)


class Neighbourhood(Fitted):
    """Images by the mean of their neighbours' shares.

    Parameters
    ----------
    mean, scale : NDArray[np.float64]
        ``(dim,)`` by which features of the target are standardised.
    rows : NDArray[np.float32]
        ``(n, dim)`` images of the graph, of length 1, those of the source first.
    n_source : int
        How many these are.
    shares : NDArray[np.float64]
        ``(n, n_classes)`` of each class in them.
    chosen : dict of str to (float or str)
        See `Fitted`.
    """

    def __init__(
        self,
        mean: Doubles,
        scale: Doubles,
        rows: Floats,
        n_source: int,
        shares: Doubles,
        chosen: dict[str, float | str],
    ) -> None:
        self._mean, self._scale, self._rows, self._n_source = mean, scale, rows, n_source
        self._shares, self.chosen = shares, chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the mean of the neighbours in both domains; equal shares where they know nothing."""
        asked = to_unit_length(standardise(features, self._mean, self._scale))
        total = np.zeros((len(features), self._shares.shape[1]))
        for first, others in ((0, self._rows[: self._n_source]), (self._n_source, self._rows[self._n_source :])):
            neighbours, cosines = nearest(asked, others, NEIGHBOURS)
            total += np.einsum("nk,nkc->nc", _closeness(cosines), self._shares[first + neighbours])
        return _normalise(total)


def join_neighbours(source: Floats, target: Floats, k: int) -> csr_matrix:
    """Return the ``(n, n)`` symmetric graph of the nearest in each domain, each edge as close as its images are."""
    sides, starts = (source, target), (0, len(source))
    heads, tails, weights = [], [], []
    for mine, start in zip(sides, starts, strict=True):
        for theirs, first in zip(sides, starts, strict=True):
            neighbours, cosines = nearest(mine, theirs, k, same=mine is theirs)
            heads.append(np.repeat(start + np.arange(len(mine)), neighbours.shape[1]))
            tails.append(first + neighbours.ravel())
            weights.append(_closeness(cosines).ravel())
    n = len(source) + len(target)
    edges = (np.concatenate(weights), (np.concatenate(heads), np.concatenate(tails)))
    graph = csr_matrix(edges, shape=(n, n))
    return graph.maximum(graph.T)


def spread(graph: csr_matrix, labels: Doubles, alpha: float) -> Doubles:
    """Return ``(n, n_classes)`` shares of the classes in every image, of sum 1.

    Parameters
    ----------
    graph : csr_matrix
        ``(n, n)`` symmetric, 0 or more.
    labels : NDArray[np.float64]
        ``(n, n_classes)`` 1 for the label of an image; rows without one are 0.
    alpha : float
        0 to 1: what an image takes from its neighbours.
    """
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    shares = labels.copy()
    for _ in range(_ROUNDS):
        moved = alpha * root[:, None] * (graph @ (root[:, None] * shares)) + (1 - alpha) * labels
        change = np.abs(moved - shares).max(initial=0.0)
        shares = moved
        if change <= _CLOSE:
            break
    return _normalise(shares)


def _normalise(shares: Doubles) -> Doubles:
    total = shares.sum(axis=1, keepdims=True)
    equal = np.full_like(shares, 1 / shares.shape[1])
    normal: Doubles = np.divide(shares, total, out=equal, where=total > 0)
    return normal


def _closeness(cosines: Floats) -> Doubles:
    """Return what an edge counts for: its cosine, and a little where two images have nothing in common."""
    close: Doubles = np.maximum(cosines.astype(np.float64), 1e-3)
    return close


METHOD = LabelPropagation()
