"""What changed since an earlier result: scores, classes, images won and lost."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.stack.experiments.against.change import Change, ImageChange
from stackbone.stack.report.blocks import Page, figure, join_all, path, picture, scrolled
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, VERMILION, Figure, draw_dots, short_names
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section
from stackbone.stack.tables.changes import words as against

_PICTURED = 24  # of each kind
_MOST_CLASSES = 60


@dataclass(frozen=True, eq=False)
class ChangesRecord:
    """What the section shows: the change, and rows of the dataset's index of the images that are pictured, by path."""

    change: Change
    rows: dict[str, int]


class Changes(Section[ChangesRecord]):
    """Shows what changed since an earlier result."""

    name = "changes"
    title = "Changes"
    order = 15
    plots = (("changes", "changes"),)

    def collect(self, context: Context) -> ChangesRecord | None:
        """Take the comparison that was asked for."""
        change = context.options.against
        if change is None:
            return None
        index = context.experiment.joined.index
        row_of = {index.path[row]: row for row in context.rows.tolist()}
        shown = [*change.won[:_PICTURED], *change.lost[:_PICTURED]]
        rows = {each.path: row_of[each.path] for each in shown}
        context.images.add(list(rows.values()))
        return ChangesRecord(change, rows)

    def figures(self, record: ChangesRecord) -> dict[str, Figure]:
        """Draw each changed class before and now."""
        classes = record.change.classes[:_MOST_CLASSES]
        if not classes:
            return {}
        values = {"F1 before": [each.before for each in classes], "F1 now": [each.now for each in classes]}
        looks = {"F1 before": (BLUE, "circle-open"), "F1 now": (VERMILION, "diamond")}
        return {
            "changes": draw_dots(short_names([each.name for each in classes]), values, looks, "F1 by the labels of now")
        }

    def html(self, record: ChangesRecord, page: Page) -> Markup:
        """Return the verdict, the models, the classes and the images."""
        change = record.change
        models = table(against.MODELS, against.model_rows(change), caption=f"Models, since {change.file}")
        classes = (
            figure(
                page,
                "changes",
                says="F1 of each class that changed, before and now.",
                title="Which classes changed?",
                note="By the labels of now, on the images that both tested in the same fold.",
                numbers=table(against.CLASSES, against.class_rows(change), caption="Classes that changed"),
            )
            if change.classes
            else None
        )
        return join_all(
            element("p", against.headline(change)),
            [element("p", f"{fact[:1].upper()}{fact[1:]}.") for fact in against.facts(change)],
            scrolled(models, "Models before and now"),
            classes,
            _gallery("Images won", change.won, record, page),
            _gallery("Images lost", change.lost, record, page),
        )


def _gallery(title: str, images: list[ImageChange], record: ChangesRecord, page: Page) -> Markup | None:
    if not images:
        return None
    cards = [
        element(
            "li",
            element("div", picture(page, record.rows[each.path]), class_="thumbnail"),
            element("p", "labelled ", element("b", each.label)),
            element("p", "taken for ", element("b", each.before), " before, ", element("b", each.now), " now"),
            path(page, record.rows[each.path]),
        )
        for each in images[:_PICTURED]
    ]
    more = f" (the first {_PICTURED} of {len(images):,})" if len(images) > _PICTURED else ""
    return join_all(element("h3", f"{title}{more}"), element("ul", cards, class_="cards"))


SECTION = Changes()
