"""Linear optimal transport: the cheapest linear map that gives the source the target's mean and covariance.

Between normal distributions the optimal map is ``A = C_s^(-1/2) (C_s^(1/2) C_t C_s^(1/2))^(1/2) C_s^(-1/2)`` about the
means (Knott & Smith 1984). CORAL's map gives the same covariance, and moves images further.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.alignment import Aligned, Alignment
from stackbone.stack.transfer.estimates.moments import Spectrum, TargetMap, moments, spectra, standardise
from stackbone.stack.transfer.method import Domains

Doubles = NDArray[np.float64]

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
        z = standardise(domains.source, both.source_mean, both.scale)
        for ridge in RIDGES:
            moved = z @ monge_map(*spectra(domains), ridge).astype(np.float32)
            yield Aligned(moved, TargetMap(both.target_mean, both.scale), {"ridge": ridge})


def monge_map(source: Spectrum, target: Spectrum, ridge: float) -> Doubles:
    """Return the ``(dim, dim)`` symmetric map of centred source rows.

    Parameters
    ----------
    source, target : Spectrum
        The covariances.
    ridge : float
        Added to every variance, above 0.
    """
    root, inverse = source.power(0.5, ridge), source.power(-0.5, ridge)
    between = root @ target.power(1.0, ridge) @ root
    values, vectors = np.linalg.eigh((between + between.T) / 2)
    half = (inverse @ vectors) * np.maximum(values, 0) ** 0.25
    mapped: Doubles = half @ half.T
    return mapped


METHOD = LinearTransport()
