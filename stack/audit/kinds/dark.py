"""Images with nothing bright in them."""

from __future__ import annotations

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FACTS, Kind

DARK = 0.2
"""Luminance, 0 to 1, that 95% of the pixels of a dark image do not reach."""


class Dark(Kind):
    """See the module."""

    name = "dark"
    title = "Dark images"
    place = 110
    needs = (FACTS,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images whose bright parts are dark."""
        return [
            Finding(
                self.name,
                audited.index.path[row],
                1 - each.highlight,
                audited.index.label[row],
                "",
                "brighten it, or leave it out",
                f"95% of its pixels are darker than {each.highlight:.0%} of white",
            )
            for row, each in audited.facts.items()
            if each.highlight < DARK
        ]


KIND = Dark()
