"""Images to label next, as one table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stackbone.cache.text import counted


@dataclass(frozen=True)
class Suggestion:
    """An image to label next.

    Attributes
    ----------
    path : str
        As the dataset has it.
    rank : int
        From 1, the most useful first.
    score : float
        0 to 1: of a typical image the share of all images that are alike, of a doubtful one how close the two likeliest
        classes are.
    likely : str
        The class that it is taken for; ``""`` where nothing tells.
    reason : str
        Why, in words.
    """

    path: str
    rank: int
    score: float
    likely: str
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Suggestions:
    """Which images to label next.

    Attributes
    ----------
    dataset : str
        Its name.
    n_labelled, n_unlabelled : int
        Distinct images with and without a label.
    backbones : list of str
        That were asked.
    by_doubt : bool
        Whether there were labels enough to choose images by doubt, and not for being typical.
    rows : list of Suggestion
        The most useful first.
    notes : list of str
        What a reader should know, in sentences.
    """

    dataset: str
    n_labelled: int
    n_unlabelled: int
    backbones: list[str]
    by_doubt: bool
    rows: list[Suggestion]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<Suggestions of {self.dataset}: {counted(len(self.rows), 'image')} to label next>"

    def columns(self) -> dict[str, list[str]]:
        """Return a table of corrections to fill in: ``path``, an empty ``label``, ``was``, and what each may be."""
        empty = [""] * len(self.rows)
        return {
            "path": [each.path for each in self.rows],
            "label": empty,
            "was": empty,
            "likely": [each.likely for each in self.rows],
        }

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each suggested image."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)
