"""What each model counts for when boxes are fused, learned on detections of images that its training did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.fusion.boxes import OVERLAP, fuse
from stackbone.stack.detection.scores.bootstrap import mean_precision
from stackbone.stack.detection.scores.matching import THRESHOLDS, match

OVERLAPS = (0.45, 0.55, 0.65, 0.75)
"""Among which the overlap of boxes of one object is chosen."""

FACTORS = (0.0, 0.5, 2.0)
"""By which one model's weight is changed at a time."""

_GAIN = 1e-4  # of AP, below which a change is chance
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Fusion:
    """How detections of several models are fused.

    Attributes
    ----------
    weights : NDArray[np.float64]
        ``(n_models,)`` of sum 1.
    overlap : float
        From which boxes are taken for the same object.
    ap : float
        COCO's AP of the fused detections that it was learned on, for the record: it is no honest score.
    """

    weights: NDArray[np.float64]
    overlap: float
    ap: float

    def fuse(self, models: Sequence[Sequence[Detections]]) -> list[Detections]:
        """Return the fused detections of each image, of those of each model."""
        return fuse(models, self.weights, self.overlap)


def learn_fusion(
    models: Sequence[Sequence[Detections]],
    truths: Sequence[ImageBoxes],
    classes: Sequence[str],
    *,
    thresholds: NDArray[np.float64] = THRESHOLDS,
    on_progress: Progress = silent,
) -> Fusion:
    """Choose overlap and weights by AP: equal weights first, then one weight changed at a time while that gains.

    Parameters
    ----------
    models : sequence of sequence of Detections
        Of each model, of the same images, out of fold.
    truths : sequence of ImageBoxes
        What is in them.
    classes : sequence of str
        What is to be found.
    thresholds : NDArray[np.float64]
        Overlaps at which AP is taken.
    on_progress : Progress
        Called with the trials that are done.
    """
    n = len(models)
    most = len(OVERLAPS) + _ROUNDS * (n * len(FACTORS) + len(OVERLAPS) - 1)
    known: dict[tuple[tuple[float, ...], float], float] = {}

    def score(weights: NDArray[np.float64], overlap: float) -> float:
        key = (tuple(np.round(weights, 12)), overlap)
        if key not in known:
            matches = match(truths, fuse(models, weights, overlap), classes, thresholds)
            known[key] = float(np.nan_to_num(mean_precision(matches)))
            on_progress("weighing the models", min(len(known), most), most)
        return known[key]

    weights, overlap = np.full(n, 1 / n), OVERLAP
    best = score(weights, overlap)
    for each in OVERLAPS:
        if score(weights, each) > best + _GAIN:
            best, overlap = score(weights, each), each
    for _ in range(_ROUNDS if n > 1 else 0):
        before = best
        for model, factor in product(range(n), FACTORS):
            trial = weights.copy()
            trial[model] *= factor
            if not trial.sum() > 0:
                continue
            trial /= trial.sum()
            if score(trial, overlap) > best + _GAIN:
                best, weights = score(trial, overlap), trial
        for each in OVERLAPS:
            if score(weights, each) > best + _GAIN:
                best, overlap = score(weights, each), each
        if best == before:
            break
    on_progress("weighing the models", most, most)
    return Fusion(weights, overlap, best)
