"""Linear optimal transport: the cheapest linear map that gives the source the target's mean and covariance.

Between normal distributions the optimal map is ``A = C_s^(-1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(-1/2)`` about the
means (Knott & Smith 1984). CORAL's map gives the same covariance, and moves images further.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.alignment import Aligned, Alignment
from stackbone.stack.transfer.estimates.moments import DomainMap, Spectrum, eigen, moments, spectra
from stackbone.stack.transfer.method import Domains

Floats = NDArray[np.float32]

RIDGES = (0.1, 1.0)
"""Added to every variance, of features of variance about 1; which serves the target best is chosen."""


class LinearTransport(Alignment):
    """See the module."""

    name = "linear-ot"
    what = "the source moved onto the target by the linear optimal transport"
    source = (
        "Flamary, Lounici & Ferrari 2019, Concentration bounds for linear Monge mapping estimation, arXiv 1905.10155"
    )
    statistics = "the target's mean and both domains' scale"
    place = 30

    def align(self, domains: Domains) -> Iterator[Aligned]:
        """Yield an alignment for each ridge."""
        both = moments(domains)
        maps = MongeMaps(*spectra(domains))
        for ridge in RIDGES:
            source = DomainMap(both.source_mean, both.scale, maps.matrix(ridge))
            yield Aligned(source, DomainMap(both.target_mean, both.scale), {"ridge": ridge})


class MongeMaps:
    """The symmetric map of centred source rows, for one ridge after another.

    It is taken in the source's own directions, where a ridge changes nothing but the diagonals: those in which neither
    domain varies stay as they are.

    Parameters
    ----------
    source, target : Spectrum
        The covariances.
    """

    def __init__(self, source: Spectrum, target: Spectrum) -> None:
        dim, rank = source.vectors.shape
        # Of a matrix that begins with orthonormal columns, a QR decomposition keeps these, but for their signs.
        self._basis = source.vectors if rank == dim else np.linalg.qr(np.hstack([source.vectors, target.vectors])).Q
        self._own = np.zeros(self._basis.shape[1])
        self._own[:rank] = source.values
        turned = (self._basis.T @ target.vectors).astype(np.float64)
        self._other = (turned * target.values) @ turned.T

    def matrix(self, ridge: float) -> Floats:
        """Return ``(dim, dim)``: what centred source rows are multiplied by, from the right.

        Parameters
        ----------
        ridge : float
            Added to every variance, above 0.
        """
        root = np.sqrt(self._own + ridge)
        between = root[:, None] * self._other
        between *= root
        between[np.diag_indices_from(between)] += ridge * root**2
        values, half = eigen(between)
        del between
        half *= np.maximum(values, 0) ** 0.25
        half /= root[:, None]
        further = half @ half.T
        further[np.diag_indices_from(further)] -= 1
        mapped: Floats = self._basis @ further.astype(np.float32) @ self._basis.T
        mapped[np.diag_indices_from(mapped)] += 1
        return mapped


METHOD = LinearTransport()
