"""Pairs of classes that are hard to tell apart: their names may overlap, or the line between them shifts."""

from __future__ import annotations

import numpy as np

from stackbone.cache.text import counted
from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import LABELS, SCORES, Kind

LEAST_SHARE = 0.1
"""Share of a class's images that are taken for the other, mean of both classes, from which on a pair is ambiguous."""

LEAST_IMAGES = 5
"""Images that are, at least: of a few images a few errors say nothing."""


class AmbiguousClasses(Kind):
    """Counted by the mean of the backbones' probabilities out of fold."""

    name = "ambiguous"
    title = "Pairs of classes that are hard to tell apart"
    place = 70
    needs = (LABELS, SCORES)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the pairs; nothing where images have several labels, of which none excludes another."""
        scores = audited.scores
        if scores is None:
            raise AssertionError  # it is needed
        if not scores.truth.has_one_class:
            return []
        codes, said = scores.truth.values, scores.mean.argmax(axis=1)
        names = scores.truth.classes.tolist()
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (codes, said), 1)
        sizes = counts.sum(axis=1)
        shares = counts / np.maximum(sizes, 1)[:, None]
        mistaken, share = counts + counts.T, (shares + shares.T) / 2
        found = []
        for a, b in np.argwhere(np.triu((mistaken >= LEAST_IMAGES) & (share >= LEAST_SHARE), 1)).tolist():
            found.append(
                Finding(
                    self.name,
                    "",
                    float(share[a, b]),
                    f"{names[a]}, {names[b]}",
                    "",
                    "say what tells the two apart and look through both, or make one class of them",
                    f"{counts[a, b]:,} of {counted(int(sizes[a]), 'image')} of {names[a]} are taken for {names[b]}, "
                    f"and {counts[b, a]:,} of {int(sizes[b]):,} the other way round",
                )
            )
        return found


KIND = AmbiguousClasses()
