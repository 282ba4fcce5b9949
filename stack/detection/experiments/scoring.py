"""Scores of detectors: official numbers of each fold, intervals over images, and the gain of the fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.detection.judging import intervals
from stackbone.stack.detection.judging.matches import boxes_of, match_fold
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.experiment import BEST, FUSION, DetectorScore, FoldDetector
from stackbone.stack.detection.records.folds import scored_classes
from stackbone.stack.detection.scores.bootstrap import mean_precision
from stackbone.stack.detection.scores.coco import CocoScores, coco_scores
from stackbone.stack.detection.scores.voc import VocScore, voc_mean, voc_scores
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import Difference

VOC = "voc"
"""Source of annotations that Pascal VOC's own rules are for."""


@dataclass(frozen=True)
class FoldScores:
    """Official scores of a fold."""

    coco: CocoScores
    voc: VocScore | None


def score_detectors(
    annotated: AnnotatedImages,
    folds: Sequence[Fold],
    detectors: Mapping[str, Sequence[FoldDetector]],
    main_head: str,
    seed: int,
    progress: Progress,
) -> tuple[list[DetectorScore], Difference | None]:
    """Return a score of each detector, in order, and the gain of the main head's fusion above the best single one."""
    groups = annotated.images.groups
    together = [None if groups is None else groups[fold.test] for fold in folds]
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in detectors}
    official: dict[str, list[FoldScores]] = {name: [] for name in detectors}
    every_draw = intervals.draw_folds([len(fold.test) for fold in folds], together, seed)
    for number, (fold, times) in enumerate(zip(folds, every_draw, strict=True)):
        for name, work in detectors.items():
            progress("scoring", sum(map(len, official.values())), len(folds) * len(detectors))
            drawn[name].append(mean_precision(match_fold(annotated, fold, work[number]), times))
            official[name].append(_official(annotated, fold, work[number]))
    progress("scoring", len(folds) * len(detectors), len(folds) * len(detectors))
    means = {name: intervals.mean_of_folds(each) for name, each in drawn.items()}
    scores = [_score(name, annotated.classes, official[name], means[name], work) for name, work in detectors.items()]
    fusion = f"{main_head}:{FUSION}"
    if fusion not in detectors or BEST not in detectors:
        return scores, None
    ap50 = {each.model: each.ap50 for each in scores}
    return scores, intervals.difference(ap50[fusion] - ap50[BEST], means[fusion], means[BEST])


def _official(annotated: AnnotatedImages, fold: Fold, work: FoldDetector) -> FoldScores:
    """Return scores of a fold's test part, of the classes that are scored there."""
    classes, scored = annotated.classes, scored_classes(annotated, fold)
    names = {name for name, is_scored in zip(classes, scored, strict=True) if is_scored}
    boxes, found = boxes_of(annotated, fold), work.detections
    if len(names) < len(classes):
        boxes = [each.of_classes(names) for each in boxes]
        found = [each.take(scored[each.classes]) for each in found]
    voc = voc_mean(voc_scores(boxes, found, classes)) if annotated.source == VOC else None
    return FoldScores(coco_scores(boxes, found, classes), voc)


def _score(
    name: str,
    classes: Sequence[str],
    official: Sequence[FoldScores],
    drawn: NDArray[np.float64],
    work: Sequence[FoldDetector],
) -> DetectorScore:
    low, high = intervals.interval(drawn)
    coco = [each.coco for each in official]
    voc = [each.voc for each in official if each.voc is not None]
    sizes = {
        "small": [each.ap_small for each in coco],
        "medium": [each.ap_medium for each in coco],
        "large": [each.ap_large for each in coco],
    }
    points = {
        "11 points": mean_of([each.eleven_points for each in voc]),
        "all points": mean_of([each.all_points for each in voc]),
    }
    return DetectorScore(
        model=name,
        ap50=mean_of([each.ap50 for each in coco]) or 0.0,
        low=low,
        high=high,
        ap=mean_of([each.ap for each in coco]) or 0.0,
        folds=[each.ap50 for each in coco],
        per_class={each: mean_of([own.classes[each].ap50 for own in coco]) for each in classes},
        by_size={size: mean_of(values) for size, values in sizes.items()},
        voc={key: value or 0.0 for key, value in points.items()} if voc else None,
        seconds=sum(each.seconds for each in work),
    )


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of those that are known; None where none is."""
    known = [each for each in values if each is not None]
    return float(np.mean(known)) if known else None
