"""Each domain standardised by its own mean and spread.

What a batch normalisation does that takes its statistics from the domain at hand (Li et al. 2016, AdaBN), on cached
features: whatever a camera adds to a column, or multiplies it by, is gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackbone.stack.transfer.estimates.alignment import Aligned, Alignment
from stackbone.stack.transfer.estimates.moments import DomainMap, moments
from stackbone.stack.transfer.method import Domains


class Standardising(Alignment):
    """See the module."""

    name = "standardise"
    what = "each domain standardised by itself"
    source = "Li et al. 2016, Revisiting Batch Normalization for Practical Domain Adaptation, arXiv 1603.04779"
    statistics = "the target's statistics"
    place = 0

    def align(self, domains: Domains) -> Iterator[Aligned]:
        """Yield the one alignment."""
        both = moments(domains)
        source = DomainMap(both.source_mean, both.source_scale)
        yield Aligned(source, DomainMap(both.target_mean, both.target_scale))


METHOD = Standardising()
