"""Which images of a pool to label next: typical ones of what no label covers, then doubtful ones.

While there are few labels a classifier's doubt says little, and typical images of large clusters without a label teach
most (TypiClust: Hacohen, Dekel & Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low
Budgets", ICML, arXiv 2202.02794, section 3.2). With more, images on which classifiers waver or disagree do, taken from
clusters of the doubtful ones (DropQuery: Gupte et al. 2024, "Revisiting Active Learning in the Era of Vision Foundation
Models", arXiv 2401.14555, section 3.3): where that drops features at random, the backbones here are views of their own.
`bench/suggest.py` compares both, others, and images drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.extmath import randomized_svd

from stackbone.stack.models.unlike.novelty import unit_rows

COMPONENTS = 64
"""Principal components of each backbone that images are compared by."""

NEIGHBOURS = 20
"""Nearest images by which one is typical, as in TypiClust."""

MOST_CLUSTERS = 500
"""Clusters at most, as in TypiClust: of more, each would hold a handful of images."""

FEW = 5
"""Labels a class in the mean, below which typical images are asked for."""

PREFILTER = 10
"""The most doubtful images that are clustered, as a multiple of those that are asked for."""

_SMALL = 5  # images of a cluster, at least, that is taken before the others
_PART = 8192  # images whose classes are told at a time
_EXACT = 20_000  # images up to which all are looked at in each step of k-means

Blocks = Sequence[NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class Choice:
    """Images to label next, the most useful first.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n_chosen,)`` rows of the pool.
    scores : NDArray[np.float64]
        ``(n_chosen,)`` 0 to 1: of typical images the share of the pool in the cluster, of doubtful ones the doubt.
    by_doubt : bool
        Whether images were chosen for doubt.
    likeliest : NDArray[np.int64]
        ``(n_chosen,)`` class that the backbones together take it for; -1 where no classifier could be fitted.
    agree : NDArray[np.int64]
        ``(n_chosen,)`` how many backbones say so themselves.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    by_doubt: bool
    likeliest: NDArray[np.int64]
    agree: NDArray[np.int64]


def choose(blocks: Blocks, codes: NDArray[np.int64], budget: int, seed: int) -> Choice:
    """Return which images to label next.

    Parameters
    ----------
    blocks : sequence of NDArray[np.floating]
        ``(n, dim)`` of each backbone, all on one scale: see `reduced`.
    codes : NDArray[np.int64]
        ``(n,)`` class codes; -1 of images without a label.
    budget : int
        How many, at most as many as have none.
    seed : int
        Of the clusters.
    """
    x, labelled = np.hstack(list(blocks)), codes >= 0
    n_classes = len(np.unique(codes[labelled]))
    if n_classes < 2:
        unknown = np.full(budget, -1)
        nothing: dict[str, Any] = {"by_doubt": False, "likeliest": unknown, "agree": unknown}
        found = typical(x, labelled, budget, seed)
        return Choice(np.array([row for row, _ in found]), np.array([s for _, s in found]), **nothing)
    classifiers = fitted(blocks, codes)
    by_doubt = bool(labelled.sum() >= FEW * n_classes)
    if by_doubt:
        parts = [slice(at, at + _PART) for at in range(0, len(x), _PART)]
        doubt = np.concatenate([doubts(class_probabilities(classifiers, [b[part] for b in blocks])) for part in parts])
        rows = np.array(doubtful(x, doubt, labelled, budget, seed))
        scores = doubt[rows]
    else:
        found = typical(x, labelled, budget, seed)
        rows, scores = np.array([row for row, _ in found]), np.array([share for _, share in found])
    seen = class_probabilities(classifiers, [block[rows] for block in blocks])
    likeliest = seen.mean(axis=0).argmax(axis=1)
    agree = (seen.argmax(axis=2) == likeliest).sum(axis=0)
    return Choice(rows, scores, by_doubt, np.unique(codes[labelled])[likeliest], agree)


def reduced(x: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Return ``(n, 64)`` principal components of features divided by their lengths, of length 1 in the mean square."""
    unit = unit_rows(np.asarray(x, np.float32))
    centred = unit - unit.mean(axis=0)
    u, s, _ = randomized_svd(centred, min(COMPONENTS, *centred.shape), n_iter=3, random_state=seed)
    found = u * s
    scale = np.sqrt(np.square(found).sum(axis=1).mean()) or 1.0
    scaled: NDArray[np.float32] = (found / scale).astype(np.float32)
    return scaled


def cluster(x: NDArray[np.floating], k: int, seed: int, weights: NDArray[np.float64] | None = None) -> KMeans:
    """Return k-means fitted to ``(n, dim)`` images, each counting for its weight."""
    kind = KMeans if len(x) <= _EXACT else MiniBatchKMeans
    k = min(k, len(np.unique(x, axis=0)))  # there are copies of images under other bytes
    found: KMeans = kind(k, n_init=1, random_state=seed).fit(x, sample_weight=weights)
    return found


def typical(x: NDArray[np.floating], labelled: NDArray[np.bool_], budget: int, seed: int) -> list[tuple[int, float]]:
    """Return rows to label by TypiClust, with the share of images in the cluster of each.

    Parameters
    ----------
    x : NDArray[np.floating]
        ``(n, dim)`` images.
    labelled : NDArray[np.bool_]
        ``(n,)`` which of them have labels.
    budget : int
        How many to return, at most as many as have none.
    seed : int
        Of the clusters.
    """
    n_labelled = int(labelled.sum())
    clusters = cluster(x, min(n_labelled + budget, MOST_CLUSTERS), seed).labels_
    sizes = np.bincount(clusters)
    covered = np.bincount(clusters, weights=labelled, minlength=len(sizes)).astype(np.int64)
    typicality = np.full(len(x), -np.inf)
    for each in range(len(sizes)):
        members = np.flatnonzero(clusters == each)
        k = min(NEIGHBOURS, len(members) - 1)
        if k > 0:
            near = NearestNeighbors(n_neighbors=k + 1).fit(x[members]).kneighbors(x[members])[0]
            typicality[members] = 1 / (near[:, 1:].mean(axis=1) + 1e-9)
        else:
            typicality[members] = 0.0
    typicality[labelled] = -np.inf
    left = np.bincount(clusters[~labelled], minlength=len(sizes))
    found = []
    for _ in range(min(budget, len(x) - n_labelled)):
        open_ = np.flatnonzero(left > 0)
        best = min(open_, key=lambda each: (sizes[each] < _SMALL, covered[each], -sizes[each]))
        row = int(np.where(clusters == best, typicality, -np.inf).argmax())
        found.append((row, float(sizes[best] / len(x))))
        typicality[row] = -np.inf
        covered[best] += 1
        left[best] -= 1
    return found


def fitted(blocks: Blocks, codes: NDArray[np.int64]) -> list[LogisticRegression]:
    """Return a logistic regression of each backbone, fitted to the images that have labels.

    Parameters
    ----------
    blocks : sequence of NDArray[np.floating]
        ``(n, dim)`` of each backbone.
    codes : NDArray[np.int64]
        ``(n,)`` class codes, of two classes or more; -1 of images without a label.
    """
    rows = np.flatnonzero(codes >= 0)
    return [LogisticRegression(C=1.0, max_iter=300).fit(x[rows], codes[rows]) for x in blocks]


def class_probabilities(classifiers: Sequence[LogisticRegression], blocks: Blocks) -> NDArray[np.float64]:
    """Return ``(n_backbones, n, n_classes)`` what the classifier of each backbone says of some images."""
    return np.stack([each.predict_proba(x) for each, x in zip(classifiers, blocks, strict=True)])


def doubts(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n,)`` from 0 to 1: 1 less the margin of the two likeliest classes of the backbones' mean.

    Where backbones are sure of different classes, their mean is torn between these: so it measures disagreement too.
    """
    mean = np.sort(probabilities.mean(axis=0), axis=1)
    found: NDArray[np.float64] = 1 - (mean[:, -1] - mean[:, -2])
    return found


def doubtful(
    x: NDArray[np.floating], doubt: NDArray[np.float64], labelled: NDArray[np.bool_], budget: int, seed: int
) -> list[int]:
    """Return rows to label, each the one nearest to the centre of a cluster in which images count for their doubt.

    The most doubtful ten times as many as are asked for are clustered (Zhdanov 2019, "Diverse mini-batch Active
    Learning", arXiv 1901.05954). Where more are asked for than there are clusters, further images of each cluster
    follow, the next to its centre first, so many as its share of the doubt gives it.
    """
    free = np.flatnonzero(~labelled)
    pool = free[np.argsort(-doubt[free], kind="stable")[: max(PREFILTER * budget, 1)]]
    budget = min(budget, len(pool))
    weights = doubt[pool] + 1e-6
    clusters = cluster(x[pool], min(budget, MOST_CLUSTERS), seed, weights)
    distances, codes = clusters.transform(x[pool]), clusters.labels_
    of_cluster = np.bincount(codes, weights=weights, minlength=distances.shape[1])
    taken = np.zeros(len(pool), np.bool_)
    found = []
    for each in np.argsort(-of_cluster):
        nearest = int(np.where(taken, np.inf, distances[:, each]).argmin())
        taken[nearest] = True
        found.append(nearest)
    rest = np.flatnonzero(~taken)
    rest = rest[np.lexsort((distances[rest, codes[rest]], codes[rest]))]  # cluster after cluster, from its centre
    number = 1 + np.arange(len(rest)) - np.searchsorted(codes[rest], codes[rest])
    further = rest[np.argsort(number / of_cluster[codes[rest]], kind="stable")]
    rows: list[int] = pool[np.concatenate([found, further])[:budget].astype(np.int64)].tolist()
    return rows
