"""The images that the model is confidently wrong about, and copies whose labels conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stackbone.cache.upkeep.dataset_summary import Conflict, summarise_dataset
from stackbone.stack.report.answers import ConfidentError
from stackbone.stack.report.blocks import SHOWN_AT_FIRST, Page, join_all, more_button, path, picture
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Child, Markup, element
from stackbone.stack.report.section import Section

_MOST_CONFLICTS = 40
_COPIES_SHOWN = 6  # of each conflict


@dataclass(frozen=True)
class ErrorsRecord:
    """What the section shows.

    Attributes
    ----------
    wrong : list of ConfidentError
        Images that the model is most confidently wrong about; empty where labels are not classes.
    overruled : list of ConfidentError
        Images on which all backbones agree and the model answers otherwise.
    conflicts : list of list of int
        Files with the same bytes and different labels, by rows of the dataset's index.
    """

    wrong: list[ConfidentError]
    conflicts: list[list[int]]
    overruled: list[ConfidentError] = field(default_factory=list)


class Errors(Section[ErrorsRecord]):
    """Shows confident errors, and copies with conflicting labels."""

    name = "errors"
    title = "Errors"
    order = 40

    def collect(self, context: Context) -> ErrorsRecord | None:
        """Return the errors and the conflicts, if there are any."""
        joined = context.experiment.joined
        wrong = context.answers.wrong if context.answers else []
        overruled = context.answers.overruled if context.answers else []
        context.images.add(each.row for each in [*wrong, *overruled])
        conflicts: list[list[int]] = []
        if joined.left_out["conflicting"]:
            conflicts = conflicting_rows(summarise_dataset(joined.index).conflicts, joined.index.path)
        for rows in conflicts:
            context.images.add(rows)
        return ErrorsRecord(wrong, conflicts, overruled) if wrong or conflicts or overruled else None

    def html(self, record: ErrorsRecord, page: Page) -> Markup:
        """Return a card for each image."""
        return join_all(
            _wrong(record.wrong, page) if record.wrong else None,
            _overruled(record.overruled, page) if record.overruled else None,
            _conflicts(record.conflicts, page) if record.conflicts else None,
        )


SECTION = Errors()


def conflicting_rows(conflicts: Sequence[Conflict], paths: Sequence[str]) -> list[list[int]]:
    """Return the rows of the first conflicts; `paths` are those of the index, row by row."""
    shown = [each.paths[:_COPIES_SHOWN] for each in conflicts[:_MOST_CONFLICTS]]
    wanted = {path for paths_ in shown for path in paths_}
    row_of = {path: row for row, path in enumerate(paths) if path in wanted}
    return [[row_of[path] for path in paths_] for paths_ in shown]


def _wrong(wrong: Sequence[ConfidentError], page: Page) -> Markup:
    lead = (
        "Test images that the model got wrong with the most confidence. If all backbones agree against the label, "
        "check the label first."
    )
    cards = [_wrong_card(each, page, is_later=position >= SHOWN_AT_FIRST) for position, each in enumerate(wrong)]
    return join_all(
        element("h3", "Confidently wrong, or mislabelled"),
        element("p", lead, class_="lead"),
        element("ul", cards, class_="cards wrong", id="wrong"),
        more_button(len(wrong), SHOWN_AT_FIRST, "wrong"),
    )


def _overruled(overruled: Sequence[ConfidentError], page: Page) -> Markup:
    right = sum(each.predicted == each.true for each in overruled)
    those = "this image" if len(overruled) == 1 else "these images"
    lead = f"All backbones agree on {those}, and the model answers otherwise: right on {right} of {len(overruled)}."
    cards = [_wrong_card(each, page, is_later=position >= SHOWN_AT_FIRST) for position, each in enumerate(overruled)]
    return join_all(
        element("h3", "Where the model overrules all backbones"),
        element("p", lead, class_="lead"),
        element("ul", cards, class_="cards wrong", id="overruled"),
        more_button(len(overruled), SHOWN_AT_FIRST, "overruled"),
    )


def _wrong_card(image: ConfidentError, page: Page, *, is_later: bool) -> Markup:
    rows = [
        element(
            "div",
            element("dt", vote.backbone),
            element(
                "dd",
                vote.predicted,
                _sure(vote.probability, 0),
                class_="right" if vote.predicted == image.true else None,
            ),
        )
        for vote in image.votes
    ]
    return element(
        "li",
        element("div", picture(page, image.row), class_="thumbnail"),
        element("p", "labelled ", element("b", image.true)),
        element("p", "taken for ", element("b", image.predicted), _sure(image.probability, 1)),
        element("p", "all backbones agree", class_="badge") if image.all_agree else None,
        element("dl", rows, class_="votes") if rows else None,
        path(page, image.row),
        class_="later" if is_later else None,
    )


def _sure(probability: float | None, digits: int) -> str:
    return "" if probability is None else f" {probability:.{digits}%}"


def _conflicts(conflicts: Sequence[Sequence[int]], page: Page) -> Markup:
    cards = [
        element(
            "li",
            element("div", picture(page, rows[0], 112), class_="thumbnail"),
            [_labelled(row, page) for row in rows],
        )
        for rows in conflicts
    ]
    return join_all(
        element("h3", "Copies with conflicting labels"),
        element("p", "The same bytes under different labels: at most one of them is right.", class_="lead"),
        element("ul", cards, class_="cards conflicts"),
    )


def _labelled(row: int, page: Page) -> list[Child]:
    label = page.images[row].label
    return [element("p", "labelled ", element("b", label)) if label else element("p", "not labelled"), path(page, row)]
