"""Labels that look wrong, to tick and to download as a file of corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stackbone.stack.report.blocks import Page, join_all
from stackbone.stack.report.catalogue.collect import Suspect, find_suspects
from stackbone.stack.report.catalogue.corrections import Proposal, how_many, proposal_list
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.section import Section

_MOST = 200  # cards; `stackbone audit --csv` has all


@dataclass(frozen=True)
class CheckRecord:
    """What the section shows.

    Attributes
    ----------
    suspects : list of Suspect
        The gravest of the labels that look wrong.
    n_found : int
        How many there are in all.
    by_neighbours : bool
        Whether the images' neighbours were asked, beside classifiers.
    """

    suspects: list[Suspect]
    n_found: int
    by_neighbours: bool


class Check(Section[CheckRecord]):
    """Lists labels that look wrong."""

    name = "check"
    title = "Labels to check"
    order = 42
    tasks = frozenset({"classification"})

    def collect(self, context: Context) -> CheckRecord | None:
        """Return the labels against which most speaks, if there are any."""
        found, by_neighbours = find_suspects(context)
        context.images.add(each.row for each in found[:_MOST])
        return CheckRecord(found[:_MOST], len(found), by_neighbours) if found else None

    def script(self, record: CheckRecord, page: Page) -> Mapping[str, object]:
        """Return their rows, by which the gallery finds them."""
        return {"suspects": [each.row for each in record.suspects]}

    def html(self, record: CheckRecord, page: Page) -> Markup:
        """Return the list."""
        neighbours = ", and its neighbours," if record.by_neighbours else ""
        lead = (
            f"{how_many(len(record.suspects), record.n_found)} that classifiers which never saw the image{neighbours} "
            "speak against; the gravest first. Tick those that are wrong, change what they should be "
            "(empty: no label), and download them as a file of corrections: path,label,was."
        )
        proposals = [
            Proposal(
                each.row,
                each.label,
                each.likeliest,
                [
                    f"doubt {each.doubt:.2f}",
                    *([f"{each.n_agree} of {each.n_backbones} backbones agree"] if each.n_backbones else []),
                ],
            )
            for each in record.suspects
        ]
        return join_all(element("p", lead, class_="lead"), proposal_list(page, proposals, "suspects"))


SECTION = Check()
