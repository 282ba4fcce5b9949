"""What a detection experiment is: what was asked, what each detector found, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.fingerprint import images_digest
from stackbone.stack.detection.records.sources import MapBackbone
from stackbone.stack.detection.scores.thresholds import USUAL
from stackbone.stack.divisions.division import Division
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import Difference

if TYPE_CHECKING:
    from stackbone.stack.detection.models.model import DetectionModel

DETECTION_FORMAT = "stackbone-detection"
DETECTION_VERSION = 1

FUSION = "fusion"
BEST = "best single"
"""The first head on the backbone that does best on the held-out part of each training part."""


@dataclass(frozen=True, eq=False)
class FoldDetector:
    """One detector in one fold.

    Attributes
    ----------
    detections : list of Detections
        Of each image of the test part.
    learnt : NDArray[np.float64]
        ``(n_classes,)`` scores from which on a detection is shown, learnt on the held-out part; NaN of a class of
        which it shows no object that was found.
    held_out : float
        Its AP50 on the held-out part of the training part, by heads that did not see it.
    seconds : float
        That its heads took to train and to find, when that was done.
    weights : dict of str to float, optional
        Of a fusion: what each backbone counts for.
    overlap : float, optional
        Of a fusion: intersection over union from which boxes are taken for one object.
    chosen : str, optional
        Of the best single one: which it is here.
    """

    detections: list[Detections]
    learnt: NDArray[np.float64]
    held_out: float
    seconds: float
    weights: dict[str, float] | None = None
    chosen: str | None = None
    overlap: float | None = None

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """``(n_classes,)`` scores from which on a detection is shown: where none was learnt, the usual one."""
        return np.where(np.isnan(self.learnt), USUAL, self.learnt)


@dataclass(frozen=True)
class DetectorScore:
    """How well one detector does; scores are means over folds, 0 to 1.

    Attributes
    ----------
    model : str
        ``HEAD:BACKBONE``, ``HEAD:fusion`` or `BEST`.
    ap50 : float
        Mean over classes of the average precision at an overlap of one half.
    low, high : float
        Ends of its 95% interval, by the bootstrap over tested images.
    ap : float
        The same, mean over the overlaps .5, .55, ... .95.
    folds : list of float or None
        AP50 of each fold; None of one that scores no class.
    per_class : dict of str to float or None
        AP50 of each class; None of one that no fold scores.
    by_size : dict of str to float or None
        AP50:95 of small, medium and large objects, by COCO's areas; None where there are none.
    voc : dict of str to float, optional
        AP50 by Pascal VOC's rules: ``11 points`` and ``all points``; of annotations in VOC's form alone.
    seconds : float
        That its heads took in all folds, when that was done.
    """

    model: str
    ap50: float
    low: float
    high: float
    ap: float
    folds: list[float | None]
    per_class: dict[str, float | None]
    by_size: dict[str, float | None]
    voc: dict[str, float] | None
    seconds: float


@dataclass(frozen=True, eq=False, repr=False)
class DetectionExperiment:
    """What was asked and what came out.

    Attributes
    ----------
    annotated : AnnotatedImages
        The images that took part.
    division : Division
        How they were divided.
    folds : list of Fold
        Rows of them.
    backbones : list of MapBackbone
        Whose maps were used.
    heads : tuple of str
        That were trained, the one that the verdict is about first.
    detectors : dict of str to list of FoldDetector
        By name, one for each fold.
    scores : list of DetectorScore
        In the same order.
    gain : Difference, optional
        Of AP50 of the fusion above the best single one; None without a fusion.
    settings : dict
        Settings of heads that are not the usual ones, by head.
    model : DetectionModel, optional
        Fitted on everything, where it was asked for.
    tested : str, optional
        What was tested, in a few words, where that is a saved model.
    """

    annotated: AnnotatedImages
    division: Division
    folds: Sequence[Fold]
    backbones: Sequence[MapBackbone]
    heads: tuple[str, ...]
    detectors: dict[str, list[FoldDetector]]
    scores: list[DetectorScore]
    gain: Difference | None
    settings: dict[str, dict[str, Any]]
    model: DetectionModel | None = None
    tested: str | None = None

    def __repr__(self) -> str:
        return f"<DetectionExperiment {self.dataset}: {counted(self.n_images, 'image')}, {len(self.classes)} classes>"

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.annotated.images.index.name

    @property
    def n_images(self) -> int:
        """Annotated images that took part."""
        return len(self.annotated)

    @property
    def classes(self) -> tuple[str, ...]:
        """All classes."""
        return self.annotated.classes

    @property
    def main(self) -> str:
        """The detector that the experiment is about: the fusion of the first head, of one backbone that one."""
        head = self.heads[0]
        return f"{head}:{FUSION}" if len(self.backbones) > 1 else f"{head}:{self.backbones[0].name}"

    @property
    def notes(self) -> list[str]:
        """What a reader of the scores should know, in sentences."""
        return self.annotated.images.notes

    def score(self, model: str) -> DetectorScore:
        """Return the score of a detector."""
        return next(each for each in self.scores if each.model == model)

    @property
    def how(self) -> str:
        """How the images were divided, in a few words."""
        if self.tested is not None:
            return self.tested
        if self.division.split is not None:
            return f"tested on the split {self.division.split!r}"
        return self.division.in_words()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; scores are 0 to 1, times in seconds."""
        division, images = self.division, self.annotated.images
        return {
            "format": DETECTION_FORMAT,
            "format_version": DETECTION_VERSION,
            "dataset": self.dataset,
            "annotations": self.annotated.source,
            "images_sha256": images_digest(self.annotated),
            "tested": self.tested,
            "n_images": self.n_images,
            "n_boxes": self.annotated.n_boxes,
            "classes": list(self.classes),
            "cv": None if division.split is not None or self.tested is not None else division.cv,
            "split": division.split,
            "seed": division.seed,
            "group_by": division.group_by,
            "near_duplicates": division.near_duplicates,
            "dealing": division.dealing,
            "stackbone": version("stackbone"),
            "backbones": {each.name: list(each.ids) for each in self.backbones},
            "heads": list(self.heads),
            "settings": self.settings,
            "left_out": images.left_out,
            "notes": self.notes,
            "model": self.main,
            "scores": [asdict(each) for each in self.scores],
            "weights": {
                name: [each.weights for each in folds]
                for name, folds in self.detectors.items()
                if folds[0].weights is not None
            },
            "chosen": [each.chosen for each in self.detectors.get(BEST, [])],
            "thresholds": {
                name: [dict(zip(self.classes, map(float, each.thresholds), strict=True)) for each in folds]
                for name, folds in self.detectors.items()
            },
            "gain": None if self.gain is None else self.gain.to_dict(),
        }
