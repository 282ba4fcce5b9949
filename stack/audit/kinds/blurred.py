"""Images without sharp edges."""

from __future__ import annotations

import numpy as np

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FACTS, Kind

BLURRED = 0.025
"""Sharpness, see `extract.images.measured.facts`, below which an image looks blurred."""

BESIDE = 0.4
"""Or this part of the median's, where that is less: where all are soft, none is blurred."""


class Blurred(Kind):
    """See the module."""

    name = "blurred"
    title = "Blurred images"
    place = 120
    needs = (FACTS,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images that are less sharp than others, and by themselves."""
        median = float(np.median([each.sharpness for each in audited.facts.values()]))
        least = min(BLURRED, BESIDE * median)
        return [
            Finding(
                self.name,
                audited.index.path[row],
                1 - each.sharpness / median,
                audited.index.label[row],
                "",
                "look whether it is blurred or plain, and leave it out if so",
                f"its edges are {each.sharpness / median:.0%} as strong as the median image's",
            )
            for row, each in audited.facts.items()
            if each.sharpness < least
        ]


KIND = Blurred()
