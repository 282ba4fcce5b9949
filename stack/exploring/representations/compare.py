"""How alike backbones see the images of a dataset, and whether one sees them as a given matrix does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.exploring.explored import Explored, explore
from stackbone.stack.exploring.representations.alignment import linear_cka
from stackbone.stack.exploring.representations.dissimilarity import correlation_distances, ranks, upper
from stackbone.stack.exploring.representations.given_matrix import GivenMatrix, read_matrix
from stackbone.stack.exploring.representations.redundancy import LEAST_IMAGES, Redundant, predicted_shares
from stackbone.stack.exploring.tabular import Tabular

MOST_ALIGNED = 20_000
"""Images that alignment and redundancy are measured on, at most."""

MOST_PAIRED = 3000
"""Images whose pairs are ranked, at most: 4.5 million pairs."""

_FEWEST = 3  # images, of which pairs can be ranked


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Tabular):
    """How alike backbones are.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    n_images : int
        Distinct images.
    backbones : list of str
        In the order of rows and columns.
    cka : NDArray[np.float64]
        ``(n_backbones, n_backbones)`` linear CKA, from 0 to 1.
    rsa : NDArray[np.float64]
        ``(n_backbones, n_backbones)`` Spearman correlations of dissimilarities, from -1 to 1.
    n_aligned, n_paired : int
        Images that CKA, and RSA, were measured on.
    predicted : dict of str to float
        Share of each backbone's variance that all others predict, on images held out; empty where it was not measured.
    redundant : list of Redundant
        Backbones that add nothing to others.
    against : str
        Name of the given matrix; ``""`` without one.
    agreement : dict of str to float
        Spearman correlation of each backbone's dissimilarities with those given.
    notes : list of str
        What a reader should know, in sentences.
    """

    dataset: str
    n_images: int
    backbones: list[str]
    cka: NDArray[np.float64]
    rsa: NDArray[np.float64]
    n_aligned: int
    n_paired: int
    predicted: dict[str, float]
    redundant: list[Redundant]
    against: str
    agreement: dict[str, float]
    notes: list[str]

    def __repr__(self) -> str:
        return f"<Comparison of {counted(len(self.backbones), 'backbone')} on {self.dataset}>"

    def columns(self) -> dict[str, list[Any]]:
        """Return a row for each pair of backbones, and for each backbone and the given matrix, by column."""
        pairs = list(combinations(range(len(self.backbones)), 2))
        matrix = [self.against] * len(self.agreement)
        return {
            "backbone": [*(self.backbones[i] for i, _ in pairs), *self.agreement],
            "other": [*(self.backbones[j] for _, j in pairs), *matrix],
            "cka": [*(float(self.cka[pair]) for pair in pairs), *(None for _ in matrix)],
            "rsa": [*(float(self.rsa[pair]) for pair in pairs), *self.agreement.values()],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.dataset,
            "n_images": self.n_images,
            "backbones": self.backbones,
            "n_aligned": self.n_aligned,
            "n_paired": self.n_paired,
            "pairs": self.records(),
            "predicted_by_others": self.predicted,
            "redundant": [{**vars(each), "others": list(each.others)} for each in self.redundant],
            "against": self.against or None,
            "notes": self.notes,
        }


def compare_backbones(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Measure how alike backbones see the images of a dataset.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        As of `stack.experiments.run.run_experiment`.
    against
        A file with a matrix of dissimilarities, see `stack.exploring.representations.given_matrix.read_matrix`; RSA is
        measured on its images then.
    seed
        Of samples of images, where there are many.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    UsageError
        If a name is unknown, or `against` is no such file.
    StackError
        If there is one backbone and nothing to compare it with, there are too few images, or the matrix does not fit.
    CacheError
        If the cache lacks the dataset or is damaged.
    """
    report = progress or silent
    explored = explore(store or FeatureStore(), dataset, backbones)
    given = None if against is None else read_matrix(Path(against), explored.paths)
    names = list(explored.sets)
    if len(names) < 2 and given is None:
        message = (
            f"there is one feature set to compare, {names[0]}, and it takes two: extract another backbone, or name a "
            "matrix of dissimilarities with --against FILE"
        )
        raise StackError(message)
    n = len(explored)
    if n < _FEWEST:
        message = f"the dataset {explored.index.name!r} has {counted(n, 'image')}: to compare pairs takes three or more"
        raise StackError(message)
    notes = list(explored.notes)
    aligned = _sample(np.arange(n), MOST_ALIGNED, seed)
    chosen = np.arange(n) if given is None else given.images
    paired = _sample(np.arange(len(chosen)), MOST_PAIRED, seed)
    if len(aligned) < n:
        notes.append(f"CKA and what others predict are measured on {len(aligned):,} images, drawn at random")
    if len(paired) < len(chosen):
        notes.append(f"RSA is measured on {len(paired):,} images, drawn at random: {_n_pairs(len(paired)):,} pairs")
    report("comparing", 0, 3)
    ranked = _ranked(explored, chosen[paired], notes)
    report("comparing", 1, 3)
    blocks = {name: explored.sets[name].load(explored.digests[aligned]) for name in names}
    cka = linear_cka(list(blocks.values()))
    report("comparing", 2, 3)
    predicted: dict[str, float] = {}
    redundant: list[Redundant] = []
    if len(names) > 1 and len(aligned) < LEAST_IMAGES:
        notes.append(f"whether a backbone adds anything is not told of fewer than {LEAST_IMAGES} images")
    elif len(names) > 1:
        predicted, redundant = predicted_shares(blocks, seed)
    report("comparing", 3, 3)
    return Comparison(
        dataset=explored.index.name,
        n_images=n,
        backbones=names,
        cka=np.clip(cka, 0, 1),
        rsa=_correlations(ranked.values, ranked.values),
        n_aligned=len(aligned),
        n_paired=len(ranked.kept),
        predicted=predicted,
        redundant=redundant,
        against=given.name if given else "",
        agreement=_agreement(names, ranked, given, paired),
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Ranks of the dissimilarities of some images by backbone, and ``(m,)`` which of those asked for these are."""

    values: NDArray[np.float64]
    kept: NDArray[np.int64]


def _sample(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _n_pairs(n: int) -> int:
    return n * (n - 1) // 2


def _ranked(explored: Explored, images: NDArray[np.int64], notes: list[str]) -> _Ranked:
    """Return ranks over images whose features vary in every backbone: of others there is no correlation."""
    blocks = {name: each.load(explored.digests[images]) for name, each in explored.sets.items()}
    varies = np.logical_and.reduce([np.ptp(x, axis=1) > 0 for x in blocks.values()])
    kept = np.flatnonzero(varies)
    if len(kept) < len(images):
        path = explored.paths[images[~varies][0]]
        lost = counted(len(images) - len(kept), "image")
        notes.append(f"RSA leaves out {lost} whose features are all equal in a backbone, such as {path!r}")
    if len(kept) < _FEWEST:
        message = f"{counted(len(kept), 'image')} have features that vary, and to compare pairs takes three or more"
        raise StackError(message)
    return _Ranked(np.stack([ranks(correlation_distances(x[kept])) for x in blocks.values()]), kept)


def _correlations(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.clip(one @ other.T, -1, 1)
    return found


def _agreement(
    names: Sequence[str], ranked: _Ranked, given: GivenMatrix | None, paired: NDArray[np.int64]
) -> dict[str, float]:
    """Return the correlation of each backbone with a matrix, over the images whose pairs were ranked."""
    if given is None:
        return {}
    rows = paired[ranked.kept]
    wanted = ranks(upper(given.values[np.ix_(rows, rows)]))
    found = _correlations(ranked.values, wanted[None])[:, 0]
    return dict(zip(names, found.tolist(), strict=True))
