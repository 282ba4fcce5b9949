"""Source images weighted by how much more likely they are in the target.

The weights are those of `stack.transfer.estimates.density`, to a power between 0 and 1 that is chosen: the full weight
has no bias and much variance (Shimodaira 2000, Journal of Statistical Planning and Inference 90(2), 227-244).
"""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.estimates.density import effective_number, importance
from stackbone.stack.transfer.estimates.validation import (
    fit_pooled,
    fit_validated,
    labelled_rows,
    lacking,
    pooled_strength,
    searched_rows,
    validate,
)
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Method

POWERS = (0.5, 1.0)
"""To which weights are raised; 0, which weighs nothing, is tried too."""


class Importance(Method):
    """See the module."""

    name = "importance"
    family = "instance"
    what = "source images weighted by their likeness to the target"
    source = "Bickel, Brückner & Scheffer 2009, Discriminative Learning under Covariate Shift, JMLR 10"
    place = 0

    def fits(self, domains: Domains) -> str | None:
        """Return why not."""
        return lacking(domains)

    def fit(self, domains: Domains) -> Fitted:
        """Learn from weighted images, with the power that serves the target best."""
        weights, seen, rows = importance(domains), np.ones(len(domains.seen)), searched_rows(domains)
        best, power, counts = pooled_strength(domains), 0.0, None
        for tried in POWERS:
            raised = weights**tried
            own = np.concatenate([raised / raised.mean(), seen])
            found = validate(rows, domains, weights=own)
            if found.loss < best.loss:
                best, power, counts = found, tried, own
        if counts is None:
            fitted = fit_pooled(domains).fitted
        else:
            fitted = fit_validated(labelled_rows(domains), domains, weights=counts, strength=best).fitted
        used = {"power": power, "effective images": round(effective_number(weights**power), 1)}
        return LinearFitted(fitted.linear_map, {**used, **fitted.chosen})


METHOD = Importance()
