"""Both domains put together: every labelled image counts alike, wherever it comes from."""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.density import joined_groups
from stackbone.stack.transfer.estimates.validation import labelled_rows
from stackbone.stack.transfer.method import Domains, Fitted, Method


class Pooled(Method):
    """See the module."""

    name = "pooled"
    family = "baseline"
    what = "the labelled images of both domains together"
    source = "no transfer"
    place = 20

    def fits(self, domains: Domains) -> str | None:
        """Return why not: without target labels it is `source-only`."""
        return None if len(domains.seen) else "needs labels of target images"

    def fit(self, domains: Domains) -> Fitted:
        """Fit on all labelled images."""
        seen = domains.seen
        return fit_classifier(
            labelled_rows(domains),
            np.concatenate([domains.source_labels, domains.target_labels[seen]]),
            domains.n_classes,
            seed=domains.seed,
            groups=joined_groups(domains, seen),
        )


METHOD = Pooled()
