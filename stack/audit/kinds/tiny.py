"""Images of few pixels, beside what the networks take."""

from __future__ import annotations

import numpy as np

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import Kind

SMALL = 64
"""Pixels of the shorter side below which an image is tiny."""

BESIDE = 0.25
"""Or a quarter of the median's, where that is less: where all are small, none is tiny."""


class Tiny(Kind):
    """See the module."""

    name = "tiny"
    title = "Images of few pixels"
    place = 90

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images whose shorter side is short, beside the others and by itself."""
        if audited.index.sizes is None:
            return []
        sizes = audited.index.sizes[audited.rows]
        shorter = sizes.min(axis=1)
        median = float(np.median(shorter[shorter > 0])) if (shorter > 0).any() else 0.0
        least = min(SMALL, BESIDE * median)
        return [
            Finding(
                self.name,
                audited.index.path[audited.rows[place]],
                float(1 - shorter[place] / median),
                audited.labels[place],
                "",
                "find a larger version, or leave it out",
                f"{sizes[place, 0]:,} x {sizes[place, 1]:,} pixels; the median shorter side is {median:,.0f}",
            )
            for place in np.flatnonzero((shorter > 0) & (shorter < least))
        ]


KIND = Tiny()
