"""What the images are that all was measured on, and what looks odd about them."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset
from stackbone.stack.report.blocks import Page, join_all, scrolled
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section

_SHOWN_CLASSES = 200


@dataclass(frozen=True)
class DataRecord:
    """What the section shows: the dataset as a whole, those of its images included that took no part."""

    summary: DatasetSummary


class Data(Section[DataRecord]):
    """Shows the dataset in numbers, what was not taken, what was believed, and what looks odd."""

    name = "data"
    title = "The data"
    order = 95

    def collect(self, context: Context) -> DataRecord:
        """Return the dataset in numbers."""
        specs = {used.name: used.of_fold(0).header().spec for used in context.features}
        inputs = {name: (spec.input_size[1], spec.input_size[0]) for name, spec in specs.items()}
        return DataRecord(summarise_dataset(context.experiment.joined.index, inputs))

    def html(self, record: DataRecord, page: Page) -> Markup:
        """Return lists and tables."""
        summary = record.summary
        odd = element("ul", [element("li", _sentence(each.says)) for each in summary.oddities])
        notes = element("ul", [element("li", note) for note in summary.listed.notes])
        return join_all(
            element("ul", [element("li", _sentence(fact)) for fact in summary.facts()]),
            join_all(element("h3", "What looks odd"), odd) if summary.oddities else None,
            join_all(element("h3", "What was believed"), notes) if summary.listed.notes else None,
            _skipped(summary),
            _classes(summary),
        )


SECTION = Data()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _skipped(summary: DatasetSummary) -> Markup | None:
    rows = [[each.sort, f"{each.count:,}", each.reason, each.example] for each in summary.listed.skipped]
    return _folded("Not taken", ["what", "number", "why", "such as"], rows)


def _classes(summary: DatasetSummary) -> Markup | None:
    ranked = sorted(summary.classes.items(), key=lambda each: (-each[1], each[0]))
    rows = [[name, f"{n:,}"] for name, n in ranked[:_SHOWN_CLASSES]]
    one, several = ("label", "labels") if summary.label_form else ("class", "classes")
    title = (
        several.title()
        if len(ranked) <= _SHOWN_CLASSES
        else f"The {_SHOWN_CLASSES} largest of {len(ranked):,} {several}"
    )
    return _folded(title, [one, "images"], rows)


def _folded(title: str, header: list[str], rows: list[list[str]]) -> Markup | None:
    if not rows:
        return None
    content = scrolled(table(header, rows, caption=title, class_="plain"), title)
    return element("details", element("summary", title), content)
