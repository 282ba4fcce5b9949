"""The nearest other images of every image of a dataset, and what that says of its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.exploring.explored import Explored, explore
from stackbone.stack.exploring.nearest import nearest
from stackbone.stack.exploring.rank_fusion import depth_of, fuse
from stackbone.stack.exploring.tabular import Tabular

_TILE_ROWS = 512  # images compared with all others at a time


@dataclass(frozen=True)
class ClassNeighbours:
    """What the neighbours of a class's images are.

    Attributes
    ----------
    name : str
        Of the class.
    n_images : int
        Of it.
    same : float
        Share of their neighbours that have the same label, of those that have one.
    mixed_with : str
        The class that most of the others are of; ``""`` where there are none.
    mixed : float
        The share of neighbours that are of that class.
    """

    name: str
    n_images: int
    same: float
    mixed_with: str
    mixed: float


@dataclass(frozen=True, eq=False, repr=False)
class Similar(Tabular):
    """The nearest others of every image.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    backbones : list of str
        That were asked.
    paths, labels : list of str
        Of the n images, each once; a label is ``""`` where there is none.
    neighbours : NDArray[np.int64]
        ``(n, k)`` places of the nearest others among these images, the nearest first.
    similarities : NDArray[np.float32]
        ``(n, k)`` cosines with them, from -1 to 1: the mean over backbones.
    classes : list of ClassNeighbours
        The most mixed first; none where labels name no classes.
    notes : list of str
        What a reader should know, in sentences.
    """

    dataset: str
    backbones: list[str]
    paths: list[str]
    labels: list[str]
    neighbours: NDArray[np.int64]
    similarities: NDArray[np.float32]
    classes: list[ClassNeighbours]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<Similar of {self.dataset}: {self.neighbours.shape[1]} for each of {len(self.paths):,} images>"

    @property
    def n_images(self) -> int:
        """Distinct images that were compared."""
        return len(self.paths)

    def columns(self, start: int = 0, stop: int | None = None) -> dict[str, list[Any]]:
        """Return a row for each image and neighbour by column, of the images from `start` to `stop`."""
        part = self.neighbours[start:stop]
        k = part.shape[1]
        images = np.repeat(np.arange(start, start + len(part)), k).tolist()
        others = part.ravel().tolist()
        return {
            "path": [self.paths[i] for i in images],
            "rank": np.tile(np.arange(1, k + 1), len(part)).tolist(),
            "neighbour": [self.paths[i] for i in others],
            "similarity": [round(each, 6) for each in self.similarities[start:stop].ravel().tolist()],
            "label": [self.labels[i] for i in images],
            "neighbour_label": [self.labels[i] for i in others],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "backbones": self.backbones,
            "k": self.neighbours.shape[1],
            "classes": [vars(each) for each in self.classes],
            "notes": self.notes,
            "neighbours": self.records(),
        }


def similar(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    k: int = 5,
    progress: Progress | None = None,
) -> Similar:
    """Find the nearest others of every image of a dataset, by the cosine of their features, exactly.

    All pairs are compared, ``n² · dim`` multiplications for each backbone. Files of the same bytes are one image.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        As of `stack.experiments.run.run_experiment`; rankings of several are fused by reciprocal rank.
    k
        Neighbours of each image.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    UsageError
        If k is less than 1, or a name is unknown.
    StackError
        If there is one image only, or no features serve.
    CacheError
        If the cache lacks the dataset or is damaged.
    """
    if k < 1:
        message = f"{k} neighbours were asked for: ask for 1 or more"
        raise UsageError(message)
    report = progress or silent
    explored = explore(store or FeatureStore(), dataset, backbones)
    n = len(explored)
    if n < 2:
        message = f"the dataset {explored.index.name!r} has {counted(n, 'image')}, and neighbours take two or more"
        raise StackError(message)
    notes = list(explored.notes)
    if k > n - 1:
        notes.append(f"{k:,} neighbours were asked for, and there are {n - 1:,} others: all are taken")
    found, cosines = _compare(explored, min(k, n - 1), report)
    classes = _classes(explored, found) if explored.classes else []
    if not classes:
        notes.append(f"nothing is said of classes: {explored.unclassed}")
    return Similar(
        explored.index.name,
        list(explored.sets),
        explored.paths,
        explored.labels,
        found,
        cosines,
        classes,
        notes,
    )


def _compare(explored: Explored, k: int, report: Progress) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    blocks = [explored.load(name) for name in explored.sets]
    n = len(explored)
    depth = k if len(blocks) == 1 else depth_of(k, n - 1)
    found = np.empty((n, k), np.int64)
    cosines = np.zeros((n, k), np.float32)
    starts = range(0, n, _TILE_ROWS)
    for done, start in enumerate(starts):
        report("neighbours", done, len(starts))
        own = np.arange(start, min(start + _TILE_ROWS, n))
        tile = slice(start, start + len(own))
        rankings = [nearest(x[tile], x, depth, own=own).rows for x in blocks]
        found[tile] = rankings[0] if len(blocks) == 1 else [fuse(each, k)[0] for each in zip(*rankings, strict=True)]
        for x in blocks:
            for image in own:
                cosines[image] += x[found[image]] @ x[image]
    report("neighbours", len(starts), len(starts))
    return found, np.clip(cosines / len(blocks), -1, 1)


def _classes(explored: Explored, neighbours: NDArray[np.int64]) -> list[ClassNeighbours]:
    """Return what the neighbours of each class are, the most mixed class first."""
    names = sorted({*explored.labels} - {""})
    place = {name: code for code, name in enumerate(names)}
    codes = np.array([place.get(label, -1) for label in explored.labels])
    found = []
    for code, name in enumerate(names):
        theirs = codes[neighbours[codes == code]].ravel()
        counts = Counter(theirs[theirs >= 0].tolist())
        total = max(1, sum(counts.values()))
        same = counts.pop(code, 0)
        other, n_mixed = min(counts.items(), key=lambda each: (-each[1], each[0]), default=(-1, 0))
        mixed_with = names[other] if n_mixed else ""
        found.append(ClassNeighbours(name, int((codes == code).sum()), same / total, mixed_with, n_mixed / total))
    return sorted(found, key=lambda each: (each.same, each.name))
