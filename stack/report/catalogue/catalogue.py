"""What a page knows of each image: where it lies, what it is labelled, and what every classifier takes it for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex
from stackbone.stack.report.images import ReportImage

UNKNOWN = -1
"""Code of a class that is not known."""


@dataclass(frozen=True, eq=False)
class Said:
    """What one classifier takes images for.

    Attributes
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes; `UNKNOWN` of images that it was not asked about.
    probability : NDArray[np.float64], optional
        ``(n,)`` of these classes, 0 to 1; None where it gives none.
    """

    codes: NDArray[np.int64]
    probability: NDArray[np.float64] | None

    def to_page(self) -> list[Any]:
        """Return codes and whole percents, for the page's script."""
        percents = None if self.probability is None else np.rint(100 * np.nan_to_num(self.probability)).astype(int)
        return [self.codes.tolist(), None if percents is None else percents.tolist()]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What is known of ``n`` images.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n,)`` rows of the dataset's index, ascending.
    paths, labels, splits : list of str
        As the dataset lists them.
    classes : list of str
        Names by code; empty where images are not of one class each.
    true : NDArray[np.int64]
        ``(n,)`` class codes of the labels, `UNKNOWN` without one; empty without classes.
    model : str
        The model that the page is about.
    said : Said, optional
        What it takes the images for; None without classes.
    votes : mapping of str to Said
        The same of each backbone's own classifier.
    neighbours : NDArray[np.int64]
        ``(n, k)`` rows of the index of the pictured images that are most like each, the nearest first.
    n_in_all : int, optional
        Images of which these are a sample; None where they are all.
    """

    rows: NDArray[np.int64]
    paths: list[str]
    labels: list[str]
    splits: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    true: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    model: str = ""
    said: Said | None = None
    votes: Mapping[str, Said] = field(default_factory=dict)
    neighbours: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    n_in_all: int | None = None

    def to_page(self) -> dict[str, Any]:
        """Return it for the page's script: lists of one entry for each image, words by their place in a list."""
        splits, names = _by_name(self.splits), _by_name(self.labels)
        return {
            "row": self.rows.tolist(),
            "path": self.paths,
            "label": names,
            "split": splits if len(splits["names"]) > 1 else None,
            "true": self.true.tolist(),
            "model": self.model,
            "said": self.said.to_page() if self.said else None,
            "votes": {name: each.to_page() for name, each in self.votes.items()},
            "of": self.n_in_all,
            "near": self.neighbours.tolist() if self.neighbours.size else [],
        }


def listed_images(images: Mapping[int, ReportImage]) -> Catalogue:
    """Return images of which nothing more is known than what the dataset lists."""
    rows = sorted(images)
    return Catalogue(np.array(rows, np.int64), [images[row].path for row in rows], [images[row].label for row in rows])


def index_columns(index: DatasetIndex, rows: NDArray[np.int64]) -> tuple[list[str], list[str], list[str]]:
    """Return paths, labels and splits of some rows of an index."""
    paths, labels, splits = (
        [column[row] for row in rows.tolist()] for column in (index.path, index.label, index.split)
    )
    return paths, labels, splits


def _by_name(words: Sequence[str]) -> dict[str, Any]:
    names = dict.fromkeys(words)
    place = {name: i for i, name in enumerate(names)}
    return {"names": list(names), "codes": [place[each] for each in words]}
