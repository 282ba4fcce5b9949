"""What is wrong with a box that has no object of its class: a second one, of another class, misplaced, or invented.

In the manner of TIDE (Bolya et al. 2020, arXiv 2008.08115, section 2), which divides errors by how much a box overlaps
objects of its class and of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.judging.errors import ImageErrors
from stackbone.stack.detection.judging.matches import OVERLAP
from stackbone.stack.detection.overlap import overlaps

NEAR = 0.1
"""Overlap from which on a box means an object, though it misses its place."""

KINDS = ("duplicate", "class", "place", "class and place", "background")
"""A second box on an object that is found; on an object of another class; near one of its class; near one of another;
near none. The first that holds is the kind."""


def wrong_kinds(each: ImageErrors, names: Sequence[str]) -> NDArray[np.int64]:
    """Return ``(n_wrong,)`` places in `KINDS` of the wrong boxes of an image; `names` are classes by number."""
    wrong = each.shown.take(each.wrong)
    objects = np.flatnonzero(~(each.boxes.difficult | each.boxes.crowd))
    shared = overlaps(wrong.corners, each.boxes.corners[objects])
    number = {name: code for code, name in enumerate(names)}
    codes = np.array([number.get(each.boxes.classes[i], -1) for i in objects], np.int64)
    is_same = wrong.classes[:, None] == codes
    own = np.where(is_same, shared, 0.0).max(axis=1, initial=0.0)
    other = np.where(is_same, 0.0, shared).max(axis=1, initial=0.0)
    rules = [own >= OVERLAP, other >= OVERLAP, own >= NEAR, other >= NEAR]
    return np.select(rules, range(len(rules)), len(KINDS) - 1).astype(np.int64)


def count_kinds(found: Sequence[ImageErrors], names: Sequence[str]) -> dict[str, int]:
    """Return how many wrong boxes there are of each of `KINDS`."""
    counts = Counter(kind for each in found for kind in wrong_kinds(each, names).tolist())
    return {name: counts[kind] for kind, name in enumerate(KINDS)}
