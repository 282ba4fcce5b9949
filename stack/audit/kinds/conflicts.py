"""The same picture under two labels: one of them is wrong, or the image should have both."""

from __future__ import annotations

from functools import partial

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.copies import closest_copies, codes_of, differ
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, Kind


class Conflicts(Kind):
    """See the module."""

    name = "conflict"
    title = "Copies across classes"
    place = 20
    uses = (FEATURES,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the later file of each pair whose labels differ; an image without a label contradicts none."""
        index = audited.index
        return [
            Finding(
                self.name,
                index.path[each.row],
                each.cosine,
                index.label[each.row],
                "",
                "correct the label of one of the two, or leave both out",
                f"the same picture as {index.path[each.other]}, labelled {index.label[each.other]}, {each.words}",
            )
            for each in closest_copies(audited, partial(differ, codes_of(index.label)))
        ]


KIND = Conflicts()
