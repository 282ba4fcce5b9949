"""Both domains put together: every labelled image counts alike, wherever it comes from."""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.classifier import choose_strength
from stackbone.stack.transfer.estimates.density import joined_groups
from stackbone.stack.transfer.estimates.validation import fit_labelled, labelled_rows
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Method


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
        codes = np.concatenate([domains.source_labels, domains.target_labels[seen]])
        groups = joined_groups(domains, seen)
        chosen = choose_strength(labelled_rows(domains), codes, seed=domains.seed, groups=groups)
        return LinearFitted(fit_labelled(domains, float(chosen["C"])).linear_map, chosen)


METHOD = Pooled()
