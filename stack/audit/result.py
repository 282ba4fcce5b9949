"""What an audit found, by kind, and as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.audit.finding import Finding

COLUMNS = tuple(each.name for each in fields(Finding))


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What was looked for and what was found.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    n_images, n_files : int
        Distinct images that could be read, and files listed.
    backbones : list of str
        Plain backbones whose features were compared.
    titles : mapping of str to str
        Kind that was asked for to what its findings are, as a heading says it.
    findings : mapping of str to list of Finding
        By kind, of those that could be looked for; within one the gravest first.
    left_out : mapping of str to str
        Kinds that could not be looked for, with the reason.
    notes : list of str
        What a reader should know, in sentences.
    """

    dataset: str
    n_images: int
    n_files: int
    backbones: list[str]
    titles: Mapping[str, str]
    findings: Mapping[str, Sequence[Finding]]
    left_out: Mapping[str, str]
    notes: list[str]

    def __repr__(self) -> str:
        found = counted(sum(map(len, self.findings.values())), "finding")
        return f"<Audit of {self.dataset}: {counted(self.n_images, 'image')}, {found}>"

    @property
    def rows(self) -> list[Finding]:
        """All findings, kind after kind, within one the gravest first."""
        return [each for found in self.findings.values() for each in found]

    def columns(self) -> dict[str, list[Any]]:
        """Return the table by column, those of `Finding`."""
        return {name: [getattr(row, name) for row in self.rows] for name in COLUMNS}

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each finding, with the columns of ``audit --csv``."""
        import pandas as pd

        return pd.DataFrame(self.columns(), columns=list(COLUMNS))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_files": self.n_files,
            "backbones": self.backbones,
            "counts": {name: len(found) for name, found in self.findings.items()},
            "left_out": dict(self.left_out),
            "notes": self.notes,
            "findings": [row.to_dict() for row in self.rows],
        }
