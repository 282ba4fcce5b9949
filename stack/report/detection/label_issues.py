"""Boxes whose labels look wrong, each over its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbone.cache.text import counted
from stackbone.stack.detection.judging.issues import UNLABELLED, UNSEEN, LabelIssue
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.report.blocks import Page, join_all, more_button
from stackbone.stack.report.detection.boxed import LABELLED, MISSED, WRONG, BoxedImage, DrawnBox, boxed_card
from stackbone.stack.report.detection.pictures import corners_of
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Shown

MOST = 12
"""Images of each kind."""

_AT_FIRST = 6


@dataclass(frozen=True)
class IssueCard:
    """The issues of one kind on one image.

    Attributes
    ----------
    image : BoxedImage
        With them, over what is labelled.
    said : str
        What they are.
    """

    image: BoxedImage
    said: str


@dataclass(frozen=True)
class LabelIssuesRecord:
    """What the section shows.

    Attributes
    ----------
    n_detectors : int
        That agree.
    counts : dict of str to int
        Issues by kind.
    cards : dict of str to list of IssueCard
        By kind, the surest first.
    """

    n_detectors: int
    counts: dict[str, int]
    cards: dict[str, list[IssueCard]]


def collect_label_issues(
    experiment: DetectionExperiment, issues: Sequence[LabelIssue], images: ImageList
) -> LabelIssuesRecord | None:
    """Collect what the section shows; None where nothing looks wrong."""
    if not issues:
        return None
    cards: dict[str, list[IssueCard]] = {}
    for kind in (UNLABELLED, UNSEEN):
        by_row: dict[int, list[LabelIssue]] = {}
        for each in issues:
            if each.kind == kind:
                by_row.setdefault(each.row, []).append(each)
        ranked = list(by_row.items())[:MOST]
        images.add([int(experiment.annotated.images.rows[row]) for row, _ in ranked])
        cards[kind] = [_card(experiment, row, own) for row, own in ranked]
    counts = {kind: sum(each.kind == kind for each in issues) for kind in cards}
    n_detectors = 1 if experiment.tested is not None else len(experiment.backbones) * len(experiment.heads)
    return LabelIssuesRecord(n_detectors, counts, cards)


def _card(experiment: DetectionExperiment, row: int, issues: Sequence[LabelIssue]) -> IssueCard:
    width, height = experiment.annotated.sizes[row].tolist()
    boxes = [DrawnBox(LABELLED, corners_of(each)) for each in experiment.annotated.boxes[row].corners]
    kind = issues[0].kind
    look = WRONG if kind == UNLABELLED else MISSED
    boxes += [DrawnBox(look, each.corners, each.name) for each in issues]
    names: dict[str, int] = {}
    for each in issues:
        names[each.name] = names.get(each.name, 0) + 1
    listed = ", ".join(f"{n} {name}" for name, n in names.items())
    said = f"seen, not labelled: {listed}" if kind == UNLABELLED else f"labelled, not seen: {listed}"
    return IssueCard(BoxedImage(int(experiment.annotated.images.rows[row]), width, height, boxes), said)


class LabelIssues(Shown[LabelIssuesRecord]):
    """Shows boxes whose labels look wrong."""

    name = "label-issues"
    title = "Label issues"

    def html(self, record: LabelIssuesRecord, page: Page) -> Markup:
        """Return cards of both kinds."""
        agree = "both detectors" if record.n_detectors == 2 else f"all {record.n_detectors} detectors"
        who = "the detector" if record.n_detectors == 1 else agree
        titles = {UNLABELLED: f"Seen by {who}, and not labelled", UNSEEN: f"Labelled, and seen by none of {who}"}
        if record.n_detectors == 1:
            titles[UNSEEN] = "Labelled, and not seen by the detector"
        parts = [
            join_all(
                element("h3", f"{titles[kind]}: {counted(record.counts[kind], 'box', 'boxes')}"),
                _cards(page, cards, kind),
            )
            for kind, cards in record.cards.items()
            if cards
        ]
        return join_all(
            element(
                "p",
                f"Each image was judged by detectors that were trained without it. Where {who} and the annotation "
                "disagree, look at the annotation first: correct it there, and extract again, which embeds nothing.",
                class_="lead",
            ),
            parts,
        )


def _cards(page: Page, cards: Sequence[IssueCard], kind: str) -> Markup:
    identity = f"issues-{kind}"
    return join_all(
        element(
            "ul",
            [
                boxed_card(page, each.image, element("p", each.said), later=number >= _AT_FIRST)
                for number, each in enumerate(cards)
            ],
            class_="cards boxes",
            id=identity,
        ),
        more_button(len(cards), _AT_FIRST, identity),
    )
