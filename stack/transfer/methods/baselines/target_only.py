"""The target alone: what its own labels teach, as if there were no source."""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.method import Domains, Fitted, Method


class TargetOnly(Method):
    """See the module."""

    name = "target-only"
    family = "baseline"
    what = "the target's labelled images alone"
    source = "no transfer"
    statistics = "the target's statistics"
    place = 10

    def fits(self, domains: Domains) -> str | None:
        """Return why not: two classes of target images need a label."""
        n_classes = len(np.unique(domains.target_labels[domains.seen]))
        return None if n_classes > 1 else "needs labels of target images"

    def fit(self, domains: Domains) -> Fitted:
        """Fit on the target images whose label is shown."""
        seen = domains.seen
        return fit_classifier(
            domains.target[seen],
            domains.target_labels[seen],
            domains.n_classes,
            seed=domains.seed,
            groups=None if domains.target_groups is None else domains.target_groups[seen],
        )


METHOD = TargetOnly()
