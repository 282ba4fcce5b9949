"""Subspace alignment: the source's leading directions are turned onto the target's.

With the leading eigenvectors P_s and P_t of the two covariances, centred source rows z become ``z P_s (P_sᵀ P_t)`` and
target rows ``z P_t``. How many directions serves the target best is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackbone.stack.transfer.estimates.alignment import Aligned, Alignment
from stackbone.stack.transfer.estimates.moments import DomainMap, moments, spectra
from stackbone.stack.transfer.method import Domains

DIRECTIONS = (20, 80)
"""How many are tried, where images and columns allow as many."""


class SubspaceAlignment(Alignment):
    """See the module."""

    name = "subspace"
    what = "the source's principal directions turned onto the target's"
    source = "Fernando et al. 2013, Unsupervised Visual Domain Adaptation Using Subspace Alignment, ICCV"
    statistics = "the target's mean and both domains' scale"
    place = 20

    def align(self, domains: Domains) -> Iterator[Aligned]:
        """Yield an alignment for each number of directions."""
        both = moments(domains)
        mine, theirs = spectra(domains)
        most = min(len(mine.values), len(theirs.values))
        for k in sorted({min(k, most) for k in DIRECTIONS}):
            own, other = mine.vectors[:, :k], theirs.vectors[:, :k]
            source = DomainMap(both.source_mean, both.scale, own @ (own.T @ other))
            yield Aligned(source, DomainMap(both.target_mean, both.scale, other), {"directions": float(k)})

    def fits(self, domains: Domains) -> str | None:
        """Return why not: where all images of a domain are alike there are no directions."""
        return super().fits(domains) or (
            None if all(len(each.values) for each in spectra(domains)) else "needs images that differ within a domain"
        )


METHOD = SubspaceAlignment()
