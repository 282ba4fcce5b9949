"""COCO's scores, by faster-coco-eval: the numbers that pycocotools gives on the same boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import StackError
from stackbone.stack.detection.detections import Detections

_STATS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall")
_PLACES = [0, 1, 2, 3, 4, 5, 8]  # among the numbers of the API
_NO_RANGE = 1e11  # square pixels: beyond every range of sizes, so that a difficult object counts in none


@dataclass(frozen=True)
class ClassScore:
    """Average precision of one class; None where it has no object.

    Attributes
    ----------
    ap, ap50 : float or None
        From .5 to .95, and at .5.
    n_objects : int
        Objects that are to be found.
    """

    ap: float | None
    ap50: float | None
    n_objects: int


@dataclass(frozen=True)
class CocoScores:
    """COCO's scores of detections; None where no object is of that size.

    Attributes
    ----------
    ap : float or None
        Mean average precision over ten overlaps from .5 to .95, all classes alike.
    ap50, ap75 : float or None
        At an overlap of .5 and of .75.
    ap_small, ap_medium, ap_large : float or None
        `ap` of objects below 32 x 32 pixels, up to 96 x 96, and above.
    recall : float or None
        Mean share of objects that are found with up to 100 detections in an image, over the ten overlaps.
    classes : dict of str to ClassScore
        By name.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    recall: float | None
    classes: dict[str, ClassScore]

    def to_json(self) -> dict[str, Any]:
        """Return them for JSON."""
        return asdict(self)


def coco_scores(truths: Sequence[ImageBoxes], found: Sequence[Detections], classes: Sequence[str]) -> CocoScores:
    """Score detections of images against what their annotations say.

    Crowds are matched as COCO has them. A difficult object is ignored: it need not be found, and the detection that
    finds it is not wrong. Sizes are areas of boxes.

    Raises
    ------
    StackError
        If faster-coco-eval is not installed.
    """
    evaluator = _evaluator()
    evaluation = evaluator(*as_coco(truths, found, classes))
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    precision, stats = evaluation.eval["precision"][..., 0, -1], np.asarray(evaluation.stats)
    unwanted = [each.difficult | each.crowd for each in truths]
    counts = {name: 0 for name in classes}
    for each, left in zip(truths, unwanted, strict=True):
        for name, is_left in zip(each.classes, left, strict=True):
            if name in counts and not is_left:
                counts[name] += 1
    return CocoScores(
        **dict(zip(_STATS, map(_known, stats[_PLACES]), strict=True)),
        classes={
            name: ClassScore(_mean(precision[:, :, code]), _mean(precision[0, :, code]), counts[name])
            for code, name in enumerate(classes)
        },
    )


def as_coco(
    truths: Sequence[ImageBoxes], found: Sequence[Detections], classes: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return annotations and results as COCO's API takes them; images and classes are numbered from 1."""
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    number = {name: code + 1 for code, name in enumerate(classes)}
    for image, (true, own) in enumerate(zip(truths, found, strict=True), start=1):
        for corners, name, difficult, crowd in zip(true.corners, true.classes, true.difficult, true.crowd, strict=True):
            if name in number:
                box = _box(corners)
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": number[name],
                        "bbox": box,
                        "area": _NO_RANGE if difficult and not crowd else box[2] * box[3],
                        "iscrowd": int(crowd),
                    }
                )
        for corners, score, code in zip(own.corners, own.scores, own.classes, strict=True):
            results.append(
                {"image_id": image, "category_id": int(code) + 1, "bbox": _box(corners), "score": float(score)}
            )
    images = [{"id": image, "width": each.width, "height": each.height} for image, each in enumerate(truths, start=1)]
    categories = [{"id": code, "name": name} for name, code in number.items()]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def _box(corners: NDArray[np.float32]) -> list[float]:
    left, top, right, bottom = (float(each) for each in corners)
    return [left, top, right - left, bottom - top]


def _evaluator() -> Any:  # noqa: ANN401 - it has no types
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as exc:
        message = (
            f"COCO's scores are computed by faster-coco-eval, which cannot be imported here ({exc}). "
            'Install it with `pip install "stackbone[detection]"`'
        )
        raise StackError(message) from exc

    def make(truth: dict[str, Any], results: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - as above
        annotated = COCO(truth)
        return COCOeval_faster(annotated, annotated.loadRes(results), "bbox", print_function=_silent)

    return make


def _silent(*_: object) -> None:
    """Print nothing."""


def _known(value: float) -> float | None:
    return float(value) if value > -1 else None


def _mean(values: NDArray[np.float64]) -> float | None:
    told = values[values > -1]
    return float(told.mean()) if len(told) else None
