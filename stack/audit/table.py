"""The findings of an audit as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.cache.text import counted
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.result import Audit

HEADER = ["image", "score", "label", "what to do", "evidence"]
SHORTENED = ["image", "label"]


def title(audit: Audit) -> str:
    """Return what was audited, and how much was found."""
    found = counted(len(audit.rows), "finding")
    kinds = counted(sum(map(bool, audit.findings.values())), "kind")
    by = f", as {counted(len(audit.backbones), 'backbone')} {'sees' if len(audit.backbones) == 1 else 'see'} them"
    seen = f"{counted(audit.n_images, 'image')}{by if audit.backbones else ''}"
    return f"{audit.dataset}: {seen}; {found} of {kinds}" if audit.rows else f"{audit.dataset}: {seen}; nothing found"


def count_rows(audit: Audit) -> list[list[str]]:
    """Return how many findings there are of each kind that was looked for."""
    return [[name, f"{len(found):,}", audit.titles[name]] for name, found in audit.findings.items()]


def finding_rows(findings: Sequence[Finding]) -> list[list[str]]:
    """Return findings under `HEADER`."""
    return [
        [each.image or "-", f"{each.score:.3f}", each.label or "-", each.suggestion, each.evidence] for each in findings
    ]
