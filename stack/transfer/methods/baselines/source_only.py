"""The source alone: what its labels teach, with nothing done about the target being another domain."""

from __future__ import annotations

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.method import Domains, Fitted, Method


class SourceOnly(Method):
    """See the module."""

    name = "source-only"
    family = "baseline"
    what = "the source's images alone"
    source = "no transfer"
    statistics = "the source's statistics"
    place = 0

    def fit(self, domains: Domains) -> Fitted:
        """Fit on the source."""
        return domains.once_of_source(
            self.name,
            lambda: fit_classifier(
                domains.source,
                domains.source_labels,
                domains.n_classes,
                seed=domains.seed,
                groups=domains.source_groups,
            ),
        )


METHOD = SourceOnly()
