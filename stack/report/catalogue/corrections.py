"""Labels to look at, as a list to tick: what is ticked is downloaded as a file of corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbone.cache.text import counted
from stackbone.stack.report.blocks import SHOWN_AT_FIRST, Page, join_all, more_button, path, picture, search_field
from stackbone.stack.report.markup import Markup, element


@dataclass(frozen=True)
class Proposal:
    """A label that looks wrong, and what it should be.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    label, proposed : str
        What the dataset says, and what it should say.
    evidence : list of str
        What speaks for it, in lines.
    """

    row: int
    label: str
    proposed: str
    evidence: list[str]


def proposal_list(page: Page, proposals: Sequence[Proposal], name: str) -> Markup:
    """Return proposals as cards to tick, with a button that writes the ticked ones as CSV: ``path,label,was``.

    Parameters
    ----------
    page
        The page; it knows the images.
    proposals
        The gravest first.
    name
        Id of the list.
    """
    labels = sorted({*page.classes, *(each.label for each in proposals), *(each.proposed for each in proposals)} - {""})
    cards = [_card(each, page, f"{name}-labels", is_later=i >= SHOWN_AT_FIRST) for i, each in enumerate(proposals)]
    return join_all(
        element(
            "div",
            _choice("Labelled", "label", sorted({each.label for each in proposals})),
            _choice("Looks like", "kind", sorted({each.proposed for each in proposals})),
            search_field("File name", data_filter="path"),
            element("p", role="status", class_="quiet"),
            class_="controls",
            role="group",
            aria_label="Which labels to show",
            data_cards=name,
        ),
        element(
            "div",
            element("button", "Tick all that are shown", type="button", data_tick_all=True),
            element("button", "Download as CSV", type="button", class_="main", data_download=True),
            class_="controls",
            role="group",
            aria_label="What is ticked",
            data_corrections=name,
        ),
        element("datalist", [element("option", value=each) for each in labels], id=f"{name}-labels"),
        element("ul", cards, class_="cards proposals", id=name),
        more_button(len(cards), SHOWN_AT_FIRST, name),
    )


def _choice(title: str, field: str, names: Sequence[str]) -> Markup:
    options = [element("option", "any", value=""), *(element("option", each, value=each) for each in names if each)]
    return element("label", f"{title} ", element("select", options, data_filter=field))


def _card(each: Proposal, page: Page, labels: str, *, is_later: bool) -> Markup:
    where = page.images[each.row].path
    correct = element(
        "input",
        type="text",
        value=each.proposed,
        list=labels,
        autocomplete="off",
        aria_label=f"Corrected label of {where}; empty for no label",
    )
    return element(
        "li",
        element("div", picture(page, each.row), class_="thumbnail"),
        element("label", element("input", type="checkbox"), " labelled ", element("b", each.label or "nothing")),
        element("p", "correct to ", correct, class_="correct"),
        [element("p", line, class_="quiet") for line in each.evidence],
        path(page, each.row),
        class_="later" if is_later else None,
        data_row=each.row,
        data_path=where,
        data_label=each.label,
        data_kind=each.proposed,
    )


def how_many(shown: int, found: int) -> str:
    """Return of how many labels the gravest are shown."""
    return counted(found, "label") if shown == found else f"The {shown:,} gravest of {counted(found, 'label')}"
