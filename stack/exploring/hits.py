"""The images that were found for some pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import counted
from stackbone.stack.exploring.tabular import Tabular


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes
    ----------
    query : str
        What was looked for, as it was given.
    rank : int
        1 of the nearest; 0 of the query itself, where the dataset has a file of the same bytes.
    path, label, split : str
        As the dataset lists it.
    similarity : float
        Its cosine with the query, from -1 to 1: the mean over backbones.
    cosines : dict of str to float
        The cosine by backbone.
    """

    query: str
    rank: int
    path: str
    label: str
    split: str
    similarity: float
    cosines: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Search(Tabular):
    """What was found.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    n_images : int
        Distinct images that were compared.
    backbones : list of str
        That were asked.
    k : int
        Images found for each query at most; the query itself is not counted.
    queries : list of str
        That could be answered.
    hits : list of Hit
        Query after query, by rank.
    failed : dict of str to str
        Queries that could not be answered, with the reason.
    notes : list of str
        What a reader should know, in sentences.
    query_files : dict of str to ListedFile
        Where the pictures that were asked with lie, for those who show them.
    hit_files : list of ListedFile
        Where the images of `hits` lie.
    """

    dataset: str
    n_images: int
    backbones: list[str]
    k: int
    queries: list[str]
    hits: list[Hit]
    failed: dict[str, str]
    notes: list[str]
    query_files: dict[str, ListedFile]
    hit_files: list[ListedFile]

    def __repr__(self) -> str:
        return f"<Search of {self.dataset}: {counted(self.k, 'image')} for each of {len(self.queries):,} queries>"

    def of(self, query: str) -> list[Hit]:
        """Return what was found for one query, by rank."""
        return [each for each in self.hits if each.query == query]

    def columns(self) -> dict[str, list[Any]]:
        """Return the hits by column: those of `Hit`, and ``cosine:NAME`` for each backbone where there are several."""
        names = ("query", "rank", "path", "label", "split", "similarity")
        columns: dict[str, list[Any]] = {name: [getattr(each, name) for each in self.hits] for name in names}
        if len(self.backbones) > 1:
            columns |= {f"cosine:{name}": [each.cosines[name] for each in self.hits] for name in self.backbones}
        return columns

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "backbones": self.backbones,
            "k": self.k,
            "hits": self.records(),
            "failed": [{"query": query, "reason": reason} for query, reason in self.failed.items()],
            "notes": self.notes,
        }
