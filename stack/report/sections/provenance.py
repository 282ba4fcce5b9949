"""How to repeat the experiment, and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackbone.cache.records.provenance import Provenance as Circumstances
from stackbone.stack.experiments.provenance import provenance
from stackbone.stack.report.blocks import Page, join_all, scrolled
from stackbone.stack.report.context import Context
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section


@dataclass(frozen=True)
class Values:
    """Values by name, under a title; text, or what JSON takes."""

    title: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ProvenanceRecord:
    """What the section shows: the commands that repeat it all, and what the numbers were made with."""

    commands: list[str]
    made_with: list[Values]


class Provenance(Section[ProvenanceRecord]):
    """Tells how to repeat the experiment, and what it was made of."""

    name = "provenance"
    title = "Provenance"
    order = 100

    def collect(self, context: Context) -> ProvenanceRecord:
        """Return versions, options and feature sets."""
        found: dict[str, Any] = provenance(context.experiment, context.store)
        features = [
            Values(
                f"Features of {name}",
                {
                    "id": each["id"],
                    **each["spec"],
                    **{f"made: {key}": value for key, value in Circumstances(each["provenance"]).in_words().items()},
                },
            )
            for name, each in found["feature_sets"].items()
        ]
        options = {"seed": found["seed"], "folds": found["folds"], **found["options"]}
        return ProvenanceRecord(
            found["commands"], [Values("Versions", found["versions"]), Values("Options", options), *features]
        )

    def html(self, record: ProvenanceRecord, page: Page) -> Markup:
        """Return the commands, and a table of each kind of values."""
        copy = element("button", "Copy", type="button", data_copy="commands")
        commands = element("code", "\n".join(record.commands), id="commands")
        repeat = element("div", element("pre", commands, tabindex="0"), copy, class_="commands")
        return join_all(element("h3", "How to repeat it"), repeat, *map(_values, record.made_with))


SECTION = Provenance()


def _values(each: Values) -> Markup:
    rows = [[name, _text(value)] for name, value in each.values.items()]
    content = scrolled(table(["", "value"], rows, caption=each.title, class_="plain"), each.title)
    return element("details", element("summary", each.title), content)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
