"""CORAL: the source's covariance is made the target's.

Centred source rows z become ``z (C_s + I)^(-1/2) (C_t + I)^(1/2)``. Both domains are centred by their own means and
divided by one common scale first, so that the ridge of 1 is the paper's, whose features have variance 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.alignment import Aligned, Alignment
from stackbone.stack.transfer.estimates.moments import DomainMap, Spectrum, moments, spectra
from stackbone.stack.transfer.method import Domains

Floats = NDArray[np.float32]

RIDGE = 1.0
"""Added to every variance, of features of variance about 1."""


class Coral(Alignment):
    """See the module."""

    name = "coral"
    what = "the source with the target's covariance"
    source = "Sun, Feng & Saenko 2016, Return of Frustratingly Easy Domain Adaptation, AAAI 30"
    statistics = "the target's mean and both domains' scale"
    place = 10

    def align(self, domains: Domains) -> Iterator[Aligned]:
        """Yield the one alignment."""
        yield correlate(domains)


def correlate(domains: Domains) -> Aligned:
    """Return the source with the target's covariance."""
    both = moments(domains)
    turned = domains.once_of_images("coral", lambda: coral_map(*spectra(domains), RIDGE))
    return Aligned(DomainMap(both.source_mean, both.scale, turned), DomainMap(both.target_mean, both.scale))


def coral_map(source: Spectrum, target: Spectrum, ridge: float) -> Floats:
    """Return ``(dim, dim)``: what centred source rows are multiplied by, from the right.

    Parameters
    ----------
    source, target : Spectrum
        The covariances.
    ridge : float
        Added to every variance, above 0.
    """
    turned: Floats = source.power(-0.5, ridge) @ target.power(0.5, ridge)
    return turned


METHOD = Coral()
