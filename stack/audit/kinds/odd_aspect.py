"""Images much longer than wide, or wider than long: a centre crop shows the networks a part of them alone."""

from __future__ import annotations

import numpy as np

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import Kind

ODD = 3.0
"""Longer side, in shorter sides, from which on an image is odd."""

BESIDE = 1.5
"""Times the median's, at least: where all are long, none is odd."""


class OddAspect(Kind):
    """See the module."""

    name = "odd-aspect"
    title = "Images of an odd aspect"
    place = 100

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images whose sides differ much."""
        if audited.index.sizes is None:
            return []
        sizes = audited.index.sizes[audited.rows]
        known = sizes.min(axis=1) > 0
        aspect = np.where(known, sizes.max(axis=1) / np.maximum(sizes.min(axis=1), 1), 1.0)
        least = max(ODD, BESIDE * float(np.median(aspect[known]))) if known.any() else ODD
        return [
            Finding(
                self.name,
                audited.index.path[audited.rows[place]],
                float(1 - 1 / aspect[place]),
                audited.labels[place],
                "",
                "crop it to what it is about, or leave it out",
                f"{sizes[place, 0]:,} x {sizes[place, 1]:,} pixels, {aspect[place]:.1f} to 1",
            )
            for place in np.flatnonzero(aspect >= least)
        ]


KIND = OddAspect()
