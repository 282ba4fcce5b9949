"""The same picture twice, under one label and in one split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.copies import closest_copies
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, Kind


class Copies(Kind):
    """See the module."""

    name = "copy"
    title = "Copies within a class"
    place = 40
    uses = (FEATURES,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the later file of each pair."""
        index = audited.index
        labels, splits = np.array(index.label, np.str_), np.array(index.split, np.str_)

        def related(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            own, parts = labels[rows], splits[rows]
            meant: NDArray[np.bool_] = (own[:, None] == own) & (parts[:, None] == parts)
            return meant

        return [
            Finding(
                self.name,
                index.path[each.row],
                each.cosine,
                index.label[each.row],
                "",
                "keep one of the two, or keep both on one side of every fold",
                f"the same picture as {index.path[each.other]}, {each.words}",
            )
            for each in closest_copies(audited, related)
        ]


KIND = Copies()
