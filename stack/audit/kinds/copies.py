"""The same picture twice, under one label and in one split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.copies import closest_copies, codes_of, differ
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
        labels, splits = codes_of(index.label), codes_of(index.split)

        def related(rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
            # Each file and an earlier one: without the files that are found, no copy is left.
            meant: NDArray[np.bool_] = others < rows
            return meant & ~differ(labels, rows, others) & ~differ(splits, rows, others)

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
