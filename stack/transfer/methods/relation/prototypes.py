"""Class prototypes whose relations are those of the source, where the target's classes are.

A prototype is the mean of a class's images, each of length 1 about its domain's mean. How similar the source's classes
are to each other is kept: its prototypes are turned as one rigid body onto the target's (Procrustes analysis: Wang &
Mahadevan 2008), and stand there for `PRIOR` images of each class beside the target's own. Target images without a label
count for their classes by their probability, again and again (expectation and maximisation: Dempster, Laird & Rubin
1977, JRSS B 39(1), 1-38).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.stack.learners.heads.head import unit_length
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.transfer.estimates.density import importance
from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.neighbours import to_unit_length
from stackbone.stack.transfer.estimates.validation import lacking
from stackbone.stack.transfer.method import HIDDEN, Codes, Domains, Fitted, Matrix, Method, Probabilities

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

PRIOR = 10.0
"""Images of each class that the source's turned prototypes stand for."""

_ROUNDS = 10
_PIECE = 1024  # rows converted to double precision at a time


class PrototypeRelations(Method):
    """See the module."""

    name = "prototypes"
    family = "relation"
    what = "class means, placed to each other as in the source"
    source = "Wang & Mahadevan 2008, Manifold Alignment using Procrustes Analysis, ICML"
    place = 0
    is_linear = False

    def fits(self, domains: Domains) -> str | None:
        """Return why not: relations are between the source's classes."""
        if len(np.unique(domains.source_labels)) < 2:
            return "needs source images of two classes"
        return lacking(domains, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Find where the target's classes are."""
        both = moments(domains)
        source = to_unit_length(standardise(domains.source, both.source_mean, both.scale))
        target = to_unit_length(standardise(domains.target, both.target_mean, both.scale))
        present = np.unique(np.concatenate([domains.source_labels, domains.target_labels[domains.seen]]))
        own = class_means(source, _shares(domains.source_labels, domains.n_classes))
        taught = np.isin(np.arange(domains.n_classes), domains.source_labels)
        scale = fit_scale(
            _cosines(source, own[taught]),
            np.searchsorted(np.flatnonzero(taught), domains.source_labels),
            importance(domains),
        )
        shares, found = _shares(domains.target_labels, domains.n_classes), own
        hidden = np.flatnonzero(domains.target_labels == HIDDEN)
        for _ in range(_ROUNDS):
            said = scale * _cosines(target, found[present])
            shares[np.ix_(hidden, present)] = softmax(said[hidden], axis=1)
            moved = found
            found = _place(own, class_means(target, shares), shares.sum(axis=0), taught)
            if np.allclose(moved, found, atol=1e-6):
                break
        chosen: dict[str, float | str] = {"scale": round(float(scale), 3), "by": "importance-weighted log-loss"}
        return Prototypes(both.target_mean, both.scale, unit_length(found)[present], present, domains.n_classes, chosen)


class Prototypes(Fitted):
    """Classes by the cosine to their prototypes.

    Parameters
    ----------
    mean, scale : NDArray[np.float64]
        ``(dim,)`` by which features of the target are standardised.
    directions : NDArray[np.float64]
        ``(n_present, dim)`` of length 1.
    present : NDArray[np.int64]
        ``(n_present,)`` codes of the classes that have a prototype.
    n_classes : int
        All classes.
    chosen : dict of str to (float or str)
        With the ``scale`` by which cosines are multiplied.
    """

    def __init__(
        self,
        mean: Doubles,
        scale: Doubles,
        directions: Doubles,
        present: Codes,
        n_classes: int,
        chosen: dict[str, float | str],
    ) -> None:
        self._mean, self._scale, self._directions = mean, scale, directions
        self._present, self._n_classes, self.chosen = present, n_classes, chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the softmax of the cosines."""
        rows = to_unit_length(standardise(features, self._mean, self._scale))
        found = np.zeros((len(features), self._n_classes))
        found[:, self._present] = softmax(float(self.chosen["scale"]) * _cosines(rows, self._directions), axis=1)
        return found


def class_means(rows: Floats, shares: Doubles) -> Doubles:
    """Return ``(n_classes, dim)`` means of rows by ``(n, n_classes)`` shares; 0 for a class without a row."""
    mass, sums = shares.sum(axis=0)[:, None], np.zeros((shares.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _PIECE):
        part = slice(start, start + _PIECE)
        sums += shares[part].T @ rows[part].astype(np.float64)
    means: Doubles = np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0)
    return means


def turn(source: Doubles, target: Doubles, weights: Doubles) -> Doubles:
    """Return the source's prototypes turned onto the target's: distances and angles between them stay.

    The orthogonal R of the least ``Σ w ‖p_s R - p_t‖²`` (Schönemann 1966, Psychometrika 31(1), 1-10), without making
    the ``(dim, dim)`` R: both sets span few directions.

    Parameters
    ----------
    source, target : NDArray[np.float64]
        ``(n_classes, dim)``.
    weights : NDArray[np.float64]
        ``(n_classes,)`` 0 or more.
    """
    own = np.linalg.qr(source.T)[1]
    theirs, other = np.linalg.qr(target.T)
    left, _, right = np.linalg.svd((own * weights) @ other.T)
    turned: Doubles = ((own.T @ left) @ right) @ theirs.T
    return turned


def _cosines(rows: Floats, directions: Doubles) -> Doubles:
    """Return the ``(n, k)`` cosines of ``(n, dim)`` rows of length 1 and ``(k, dim)`` directions of any."""
    return (rows @ unit_length(directions).T.astype(np.float32)).astype(np.float64)


def _place(source: Doubles, target: Doubles, counts: Doubles, taught: NDArray[np.bool_]) -> Doubles:
    """Return where the target's classes are: their own means, beside the source's where these know the class."""
    placed = target.copy()
    turned = turn(source[taught], target[taught], counts[taught])
    own = counts[taught][:, None]
    placed[taught] = (own * target[taught] + PRIOR * turned) / (own + PRIOR)
    return placed


def _shares(codes: Codes, n_classes: int) -> Doubles:
    """Return ``(n, n_classes)``: 1 for the class of each row, 0 for those without."""
    shares: Doubles = (codes[:, None] == np.arange(n_classes)).astype(np.float64)
    return shares


METHOD = PrototypeRelations()
