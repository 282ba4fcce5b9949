"""From which score on a detection is shown and counted, class by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.scores.matching import Matches

USUAL = 0.5
"""Of a class of which nothing says more: see `best_thresholds`."""


def best_thresholds(matches: Matches, level: int = 0) -> NDArray[np.float64]:
    """Return ``(n_classes,)`` the score with the highest F1 of detections that no training saw.

    NaN for a class that has no object here, or of which none was found: nothing is learnt of it. A threshold lies
    halfway between the least score that is taken and the next lower one. Of equal ones the highest is taken.

    Parameters
    ----------
    matches : Matches
        Of held-out images.
    level : int
        Which of its thresholds of overlap says what was found.
    """
    n_classes = matches.n_objects.shape[1]
    totals = matches.n_objects.sum(axis=0)
    found = np.full(n_classes, np.nan)
    for code in range(n_classes):
        own = np.flatnonzero((matches.classes == code) & ~matches.ignored[level])
        own = own[np.argsort(-matches.scores[own], kind="stable")]
        hits, scores = np.cumsum(matches.hits[level, own]), matches.scores[own]
        if not totals[code] or not len(own) or not hits[-1]:
            continue
        quality = 2 * hits / (np.arange(1, len(own) + 1) + totals[code])
        quality[:-1][scores[:-1] == scores[1:]] = -1  # a threshold cannot part equal scores
        best = int(quality.argmax())
        lower = scores[best + 1] if best + 1 < len(own) else 0.0
        found[code] = (scores[best] + lower) / 2
    return found
