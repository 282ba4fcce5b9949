"""Scores of detectors: official numbers of each fold, intervals over images, and the gain of the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.progress import Progress
from stackbone.stack.detection.experiments.annotated import AnnotatedImages
from stackbone.stack.detection.experiments.experiment import BEST, FUSION, DetectorScore, FoldDetector
from stackbone.stack.detection.experiments.folds import scored_classes
from stackbone.stack.detection.experiments.sources import MapBackbone
from stackbone.stack.detection.judging import intervals
from stackbone.stack.detection.judging.intervals import FoldMatches
from stackbone.stack.detection.judging.matches import match_class, match_image
from stackbone.stack.detection.scores import BoxScores, score_boxes
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import Difference

VOC = "voc"


def score_detectors(
    annotated: AnnotatedImages,
    folds: Sequence[Fold],
    detectors: Mapping[str, Sequence[FoldDetector]],
    heads: Sequence[str],
    backbones: Sequence[MapBackbone],
    seed: int,
    progress: Progress,
) -> tuple[list[DetectorScore], Difference | None]:
    """Return a score of each detector, in order, and the gain of the first head's fusion above the best single one."""
    scores: list[DetectorScore] = []
    drawn: dict[str, NDArray[np.float64]] = {}
    for number, (name, work) in enumerate(detectors.items()):
        progress("scoring", number, len(detectors))
        matches = [match_fold(annotated, fold, each) for fold, each in zip(folds, work, strict=True)]
        drawn[name] = intervals.draw(matches, seed)
        official = [_official(annotated, fold, each) for fold, each in zip(folds, work, strict=True)]
        scores.append(_score(name, annotated, matches, official, drawn[name], work))
    progress("scoring", len(detectors), len(detectors))
    fusion = f"{heads[0]}:{FUSION}"
    if fusion not in detectors or BEST not in detectors:
        return scores, None
    ap50 = {each.model: each.ap50 for each in scores}
    return scores, intervals.difference(ap50[fusion] - ap50[BEST], drawn[fusion], drawn[BEST])


def match_fold(annotated: AnnotatedImages, fold: Fold, work: FoldDetector) -> FoldMatches:
    """Return which detections of a fold's test part are of which objects, of the classes that are scored there."""
    boxes = boxes_of(annotated, fold)
    matches = [match_image(each, own, annotated.classes) for each, own in zip(work.detections, boxes, strict=True)]
    groups = annotated.images.groups
    return FoldMatches(
        {
            number: match_class(work.detections, matches, boxes, number, annotated.classes[number])
            for number in np.flatnonzero(scored_classes(annotated, fold)).tolist()
        },
        None if groups is None else groups[fold.test],
    )


def boxes_of(annotated: AnnotatedImages, fold: Fold) -> list[ImageBoxes]:
    """Return the boxes of a fold's test part."""
    return [annotated.boxes[row] for row in fold.test.tolist()]


def _official(annotated: AnnotatedImages, fold: Fold, work: FoldDetector) -> BoxScores:
    scored = scored_classes(annotated, fold)
    names = [name for name, is_scored in zip(annotated.classes, scored, strict=True) if is_scored]
    return score_boxes(work.detections, boxes_of(annotated, fold), annotated.classes, only=names)


def _score(
    name: str,
    annotated: AnnotatedImages,
    matches: Sequence[FoldMatches],
    official: Sequence[BoxScores],
    drawn: NDArray[np.float64],
    work: Sequence[FoldDetector],
) -> DetectorScore:
    low, high = intervals.interval(drawn)
    per_class = {
        each: _mean([own.per_class[each] for own in official if each in own.per_class]) for each in annotated.classes
    }
    by_size = {size: _mean([own.by_size[size] for own in official]) for size in official[0].by_size}
    voc = None
    if annotated.source == VOC:
        voc = {
            "11 points": float(np.mean([each.voc_11 for each in official])),
            "all points": float(np.mean([each.voc_all for each in official])),
        }
    return DetectorScore(
        model=name,
        ap50=float(np.mean([each.ap50 for each in official])),
        low=low,
        high=high,
        ap=float(np.mean([each.ap for each in official])),
        folds=[each.ap50 for each in official],
        per_class=per_class,
        by_size=by_size,
        voc=voc,
        seconds=sum(each.seconds for each in work),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return float(np.mean(known)) if known else None
