"""Tested images with the boxes that are annotated and those that the detector shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.judging.errors import ImageErrors
from stackbone.stack.detection.judging.matches import IGNORED
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.report.blocks import Page, join_all, more_button
from stackbone.stack.report.detection.boxed import (
    MISSED,
    RIGHT,
    SKIPPED,
    TRUE,
    WRONG,
    BoxedImage,
    DrawnBox,
    boxed_card,
    legend,
)
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Shown

WORST, TYPICAL = 12, 12
"""Images that are shown: those with the most errors, and some drawn at random."""

_AT_FIRST = 6


@dataclass(frozen=True)
class ImageCard:
    """One image.

    Attributes
    ----------
    image : BoxedImage
        With its boxes.
    n_right, n_missed, n_wrong : int
        Objects found, objects missed, and wrong boxes.
    """

    image: BoxedImage
    n_right: int
    n_missed: int
    n_wrong: int


@dataclass(frozen=True)
class PicturesRecord:
    """What the section shows.

    Attributes
    ----------
    model : str
        Whose boxes they are.
    typical, worst : list of ImageCard
        Drawn at random, and those with the most errors.
    has_skipped : bool
        Whether any box is neither to be found nor wrong.
    """

    model: str
    typical: list[ImageCard]
    worst: list[ImageCard]
    has_skipped: bool


def collect_pictures(
    experiment: DetectionExperiment, errors: Sequence[ImageErrors], images: ImageList
) -> PicturesRecord:
    """Collect what the section shows."""
    drawn = np.random.default_rng(experiment.division.seed).permutation(len(errors))[:TYPICAL].tolist()
    ranked = sorted(range(len(errors)), key=lambda i: -errors[i].n_errors)
    worst = [i for i in ranked if errors[i].n_errors and i not in drawn][:WORST]
    rows = experiment.annotated.images.rows
    images.add([int(rows[errors[i].row]) for i in [*drawn, *worst]])
    cards = {i: card_of(experiment, errors[i]) for i in [*drawn, *worst]}
    return PicturesRecord(
        model=experiment.main,
        typical=[cards[i] for i in drawn],
        worst=[cards[i] for i in worst],
        has_skipped=any(box.kind == SKIPPED for each in cards.values() for box in each.image.boxes),
    )


def card_of(experiment: DetectionExperiment, errors: ImageErrors) -> ImageCard:
    """Return the card of one image."""
    width, height = experiment.annotated.sizes[errors.row].tolist()
    names, boxes = experiment.classes, errors.boxes
    skipped = boxes.difficult | boxes.crowd
    drawn = [DrawnBox(SKIPPED, corners_of(boxes.corners[i])) for i in np.flatnonzero(skipped).tolist()]
    shown = errors.shown
    labels = [f"{names[code]} {score:.2f}" for code, score in zip(shown.classes.tolist(), shown.scores, strict=True)]
    right = np.flatnonzero(errors.objects >= 0).tolist()
    drawn += [DrawnBox(TRUE, corners_of(boxes.corners[errors.objects[i]])) for i in right]
    drawn += [DrawnBox(RIGHT, corners_of(shown.corners[i])) for i in right]
    drawn += [
        DrawnBox(SKIPPED, corners_of(shown.corners[i])) for i in np.flatnonzero(errors.objects == IGNORED).tolist()
    ]
    missed = np.flatnonzero(errors.missed).tolist()
    drawn += [DrawnBox(MISSED, corners_of(boxes.corners[i]), boxes.classes[i]) for i in missed]
    wrong = np.flatnonzero(errors.wrong).tolist()
    drawn += [DrawnBox(WRONG, corners_of(shown.corners[i]), labels[i]) for i in wrong]
    row = int(experiment.annotated.images.rows[errors.row])
    return ImageCard(BoxedImage(row, width, height, drawn), len(right), len(missed), len(wrong))


def corners_of(corners: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Return four numbers of a row."""
    left, top, right, bottom = (float(each) for each in corners)
    return left, top, right, bottom


class DetectionPictures(Shown[PicturesRecord]):
    """Shows images with true and predicted boxes."""

    name = "images"
    title = "Images"

    def html(self, record: PicturesRecord, page: Page) -> Markup:
        """Return the legend and the cards."""
        kinds = [RIGHT, TRUE, MISSED, WRONG, *([SKIPPED] if record.has_skipped else [])]
        return join_all(
            element(
                "p",
                f"Boxes of {record.model} above the thresholds that were learnt for each class, on images that it was "
                "not trained on.",
                class_="lead",
            ),
            legend(kinds),
            element("h3", "Drawn at random"),
            _cards(page, record.typical, "typical"),
            element("h3", "Most errors") if record.worst else None,
            _cards(page, record.worst, "worst") if record.worst else None,
        )


def _cards(page: Page, cards: Sequence[ImageCard], name: str) -> Markup:
    identity = f"images-{name}"
    return join_all(
        element(
            "ul",
            [
                boxed_card(
                    page,
                    each.image,
                    element(
                        "p",
                        f"{each.n_right} found, {each.n_missed} missed, {each.n_wrong} wrong",
                    ),
                    later=number >= _AT_FIRST,
                )
                for number, each in enumerate(cards)
            ],
            class_="cards boxes",
            id=identity,
        ),
        more_button(len(cards), _AT_FIRST, identity),
    )
