"""One thing that an audit finds, as one row of its table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes
    ----------
    kind : str
        Name of its kind, of `stack.audit.kind.KINDS`.
    image : str
        Path of the image, as the dataset lists it; of classes or of the whole dataset ``""``.
    score : float
        0 to 1, within a kind the higher the graver; what it is differs from kind to kind, see docs/audit.md.
    label : str
        The image's label as the dataset has it, or the classes that are meant; ``""`` without one.
    suggested_label : str
        The label that it should have, where the finding is about that; else ``""``.
    suggestion : str
        What to do, in words.
    evidence : str
        What speaks for it, in words.
    """

    kind: str
    image: str
    score: float
    label: str
    suggested_label: str
    suggestion: str
    evidence: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row, by column."""
        return asdict(self)
