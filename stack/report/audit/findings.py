"""The findings of an audit: labels to tick, and all else as cards that are narrowed by kind, label and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackbone.stack.audit.finding import Finding
from stackbone.stack.report.blocks import Page, join_all, path, picture, search_field
from stackbone.stack.report.catalogue.corrections import Proposal, how_many, proposal_list
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Shown


@dataclass(frozen=True)
class Placed:
    """A finding, and the row of the dataset's index that its image has; None where it is about no single image."""

    finding: Finding
    row: int | None


@dataclass(frozen=True)
class FindingsRecord:
    """What a section shows.

    Attributes
    ----------
    shown : mapping of str to list of Placed
        By kind, the gravest first.
    titles : mapping of str to str
        Kind to what its findings are.
    counts : mapping of str to int
        Kind to how many there are in all.
    """

    shown: Mapping[str, Sequence[Placed]]
    titles: Mapping[str, str]
    counts: Mapping[str, int]


class Labels(Shown[FindingsRecord]):
    """Lists labels that look wrong, to tick."""

    name = "labels"
    title = "Labels to check"

    def html(self, record: FindingsRecord, page: Page) -> Markup:
        """Return the list; an image of which several labels look wrong is there once."""
        [found] = record.shown.values()
        first = {each.row: each.finding for each in reversed(found) if each.row is not None}
        ordered = dict.fromkeys(each.row for each in found if each.row is not None)
        proposals = [
            Proposal(
                row,
                first[row].label,
                first[row].suggested_label,
                [f"doubt {first[row].score:.2f}", *first[row].evidence.split("; ")],
            )
            for row in ordered
        ]
        lead = (
            f"{how_many(len(found), sum(record.counts.values()))} that look wrong; the gravest first. Tick those that "
            "are, change what they should be (empty: no label), and download them as a file of corrections: "
            "path,label,was."
        )
        return join_all(element("p", lead, class_="lead"), proposal_list(page, proposals, "proposals"))


class Findings(Shown[FindingsRecord]):
    """Lists all other findings."""

    name = "findings"
    title = "Findings"

    def html(self, record: FindingsRecord, page: Page) -> Markup:
        """Return cards, and fields that narrow them."""
        cards = [_card(each, record.titles[kind], page) for kind, found in record.shown.items() for each in found]
        kinds = [element("option", "all", value="")]
        for kind, found in record.shown.items():
            n, in_all = len(found), record.counts[kind]
            how = f"{n:,}" if n == in_all else f"the gravest {n:,} of {in_all:,}"
            kinds.append(element("option", f"{record.titles[kind]} ({how})", value=kind))
        labels = sorted({each.finding.label for found in record.shown.values() for each in found} - {""})
        options = [element("option", "any", value=""), *(element("option", each, value=each) for each in labels)]
        controls = element(
            "div",
            element("label", "Show ", element("select", kinds, data_filter="kind")),
            element("label", "Labelled ", element("select", options, data_filter="label")),
            search_field("File name", data_filter="path"),
            element("p", role="status", class_="quiet"),
            class_="controls",
            role="group",
            aria_label="Which findings to show",
            data_cards="all-findings",
        )
        return join_all(controls, element("ul", cards, class_="cards", id="all-findings"))


def _card(each: Placed, title: str, page: Page) -> Markup:
    found = each.finding
    return element(
        "li",
        element("div", picture(page, each.row), class_="thumbnail") if each.row is not None else None,
        element("p", element("b", title)),
        element("p", "labelled ", element("b", found.label)) if found.label else None,
        element("p", found.suggestion),
        element("p", found.evidence, class_="quiet"),
        path(page, each.row) if each.row is not None else None,
        data_kind=found.kind,
        data_label=found.label,
        data_path=found.image,
    )
