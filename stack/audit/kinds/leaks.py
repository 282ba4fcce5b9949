"""The same picture in two splits: what is trained on is tested too."""

from __future__ import annotations

from functools import partial

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.copies import closest_copies, codes_of, differ
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, Kind


class Leaks(Kind):
    """See the module."""

    name = "leak"
    title = "Copies across splits"
    place = 30
    uses = (FEATURES,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the later file of each pair in two splits; an image outside of all splits leaks nothing."""
        index = audited.index
        return [
            Finding(
                self.name,
                index.path[each.row],
                each.cosine,
                index.label[each.row],
                "",
                f"leave it out of {index.split[each.row]} or of {index.split[each.other]}",
                f"in {index.split[each.row]}, and in {index.split[each.other]} as {index.path[each.other]}, "
                f"{each.words}",
            )
            for each in closest_copies(audited, partial(differ, codes_of(index.split)))
        ]


KIND = Leaks()
