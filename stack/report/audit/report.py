"""The page of an audit, collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import numpy as np

from stackbone.cache import DatasetIndex
from stackbone.cache.text import counted
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.result import Audit
from stackbone.stack.report.audit.findings import Findings, FindingsRecord, Labels, Placed
from stackbone.stack.report.catalogue.catalogue import Catalogue, index_columns
from stackbone.stack.report.head import eyebrow
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.report import FilledSection, PageContent

LABEL = "label"
"""The kind whose findings are labels to correct."""

_MOST = 200  # findings of each kind that the page shows; `--csv` has all
_MOST_PICTURES = 600


@dataclass(frozen=True)
class AuditHead:
    """What the head of the page shows: the audit, and when the page was made."""

    audit: Audit
    created: datetime

    @property
    def title(self) -> str:
        """What the page is called."""
        return f"{self.audit.dataset}: Stackbone audit"

    def html(self) -> Markup:
        """Return the head of the page."""
        audit = self.audit
        found = counted(len(audit.rows), "finding")
        facts = {
            "images": f"{audit.n_images:,}",
            "files": f"{audit.n_files:,}",
            "backbones": ", ".join(audit.backbones) or "none",
            **{audit.titles[kind]: f"{len(each):,}" for kind, each in audit.findings.items()},
        }
        notes = [*audit.notes, *(f"{kind} was left out: {why}" for kind, why in audit.left_out.items())]
        return element(
            "header",
            eyebrow(audit.dataset, self.created, "audit"),
            element("h1", f"{found} in {counted(audit.n_images, 'image')}. Nothing was changed."),
            element(
                "dl",
                [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()],
                class_="facts",
            ),
            element("ul", [element("li", note) for note in notes], class_="notes") if notes else None,
            class_="hero",
        )


def collect_audit_report(audit: Audit, index: DatasetIndex) -> PageContent:
    """Collect what the page of an audit shows: of each kind the gravest 200 findings.

    Parameters
    ----------
    audit : Audit
        As of `stack.audit.audit.audit`.
    index : DatasetIndex
        Of the dataset that was audited.
    """
    row_of = {path: row for row, path in enumerate(index.path)}
    shown = {kind: _placed(found[:_MOST], row_of) for kind, found in audit.findings.items()}
    images = ImageList(index)
    for turn in zip_longest(*shown.values()):  # of each kind the gravest are pictured first
        images.add(each.row for each in turn if each is not None and each.row is not None)
    rows = np.sort(np.fromiter(images, np.int64, len(images)))
    labels, others = shown.get(LABEL, []), {kind: each for kind, each in shown.items() if kind != LABEL and each}
    parts: list[FilledSection[Any]] = []
    if labels:
        record = FindingsRecord({LABEL: labels}, audit.titles, {LABEL: len(audit.findings[LABEL])})
        parts.append(FilledSection(Labels(), record))
    if others:
        counts = {kind: len(audit.findings[kind]) for kind in others}
        parts.append(FilledSection(Findings(), FindingsRecord(others, audit.titles, counts)))
    known = Catalogue(rows, *index_columns(index, rows))
    return PageContent(AuditHead(audit, datetime.now(UTC)), parts, images.records(), _MOST_PICTURES, known)


def _placed(found: Sequence[Finding], row_of: dict[str, int]) -> list[Placed]:
    return [Placed(each, row_of.get(each.image)) for each in found]
