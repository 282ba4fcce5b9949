"""One fold: heads on each backbone, then what is learnt on the part that was held out of their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.experiments.kept import Found
from stackbone.stack.detection.experiments.training import Trainer
from stackbone.stack.detection.fusion import learn_fusion
from stackbone.stack.detection.records.experiment import BEST, FUSION, FoldDetector
from stackbone.stack.detection.records.folds import hold_out
from stackbone.stack.detection.records.sources import MapBackbone
from stackbone.stack.detection.scores.bootstrap import mean_precision
from stackbone.stack.detection.scores.matching import match
from stackbone.stack.detection.scores.thresholds import best_thresholds
from stackbone.stack.divisions.division import Division
from stackbone.stack.folds.fold import Fold


def detect_fold(
    trainer: Trainer,
    heads: Sequence[str],
    backbones: Sequence[MapBackbone],
    fold: Fold,
    division: Division,
    where: str,
) -> dict[str, FoldDetector]:
    """Return what each detector found in a fold's test part, by name.

    `BEST` is chosen among the backbones under the first head, as what the first head's fusion must beat: under another
    head it would be another comparison.

    Parameters
    ----------
    trainer : Trainer
        Of the images.
    heads : sequence of str
        To be trained.
    backbones : sequence of MapBackbone
        Each head is trained on each.
    fold : Fold
        Its training and test part.
    division : Division
        How the training part is divided again.
    where : str
        What the progress calls the fold.
    """
    annotated = trainer.annotated
    part = hold_out(annotated, fold.train, division)
    boxes = [annotated.boxes[row] for row in part.test.tolist()]
    result: dict[str, FoldDetector] = {}
    for head in heads:
        held: dict[str, Found] = {}
        tested: dict[str, Found] = {}
        for each in backbones:
            name = f"{head}:{each.name}"
            said = f"{where}, {name}" if where else name
            held[each.name] = trainer.find(head, each, part.train, part.test, f"{said}, held out")
            tested[each.name] = trainer.find(head, each, fold.train, fold.test, said)
            result[name] = FoldDetector(
                tested[each.name].detections,
                **learnt(held[each.name].detections, boxes, annotated.classes),
                seconds=held[each.name].seconds + tested[each.name].seconds,
            )
        if len(backbones) > 1:
            result[f"{head}:{FUSION}"] = _fused(held, tested, boxes, annotated.classes)
    singles = {name: result[name] for name in (f"{heads[0]}:{each.name}" for each in backbones)}
    if len(singles) > 1:
        chosen = max(singles, key=lambda name: singles[name].held_out)
        best = singles[chosen]
        result[BEST] = FoldDetector(
            best.detections,
            best.learnt,
            best.held_out,
            sum(each.seconds for each in singles.values()),
            None,
            chosen,
        )
    return result


def learnt(held: Sequence[Detections], boxes: Sequence[ImageBoxes], classes: Sequence[str]) -> dict[str, Any]:
    """Return thresholds and AP50 of a detector on the images that were held out of its training."""
    matches = match(boxes, held, classes, np.array([0.5]))
    quality = float(mean_precision(matches))
    return {"learnt": best_thresholds(matches), "held_out": 0.0 if np.isnan(quality) else quality}


def _fused(
    held: Mapping[str, Found], tested: Mapping[str, Found], boxes: Sequence[ImageBoxes], classes: Sequence[str]
) -> FoldDetector:
    names = list(held)
    theirs = [held[name].detections for name in names]
    fusion = learn_fusion(theirs, boxes, classes)
    return FoldDetector(
        fusion.fuse([tested[name].detections for name in names]),
        **learnt(fusion.fuse(theirs), boxes, classes),
        seconds=sum(held[name].seconds + tested[name].seconds for name in names),
        weights=dict(zip(names, map(float, fusion.weights), strict=True)),
        overlap=fusion.overlap,
    )
