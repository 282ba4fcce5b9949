"""Source images weighted by how much more likely they are in the target.

The weights are those of `stack.transfer.estimates.density`, to a power between 0 and 1 that is chosen: the full weight
has no bias and much variance (Shimodaira 2000, Journal of Statistical Planning and Inference 90(2), 227-244).
"""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.estimates.density import effective_number, importance
from stackbone.stack.transfer.estimates.validation import Validated, fit_pooled, fit_validated, labelled_rows, lacking
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
        weights, x, seen = importance(domains), labelled_rows(domains), np.ones(len(domains.seen))
        tried: list[tuple[float, Validated]] = [(0.0, fit_pooled(domains))]
        for power in POWERS:
            raised = weights**power
            counts = np.concatenate([raised / raised.mean(), seen])
            tried.append((power, fit_validated(x, domains, weights=counts)))
        power, best = min(tried, key=lambda each: each[1].loss)
        fitted = best.fitted
        used = {"power": power, "effective images": round(effective_number(weights**power), 1)}
        return LinearFitted(fitted.linear_map, {**used, **fitted.chosen})


METHOD = Importance()
