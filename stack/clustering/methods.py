"""Ways to divide images into clusters, all of them scikit-learn's or SciPy's, and how many clusters serve best."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy
from scipy.spatial.distance import pdist
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted, typed

METHODS = ("kmeans", "hdbscan", "agglomerative")

_WHOLE = 20_000  # rows up to which k-means takes all at a time
_MOST = {"hdbscan": 30_000, "agglomerative": 12_000}  # rows: minutes, and half a gigabyte of pairs
_COUNTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 50, 60, 80, 100)
_JUDGED = 3000  # rows whose silhouette is taken
_LEAST_SHARE = 200  # of all images, the smallest cluster of HDBSCAN: one in 200, five at least
_STARTS, _TRIAL_STARTS = 10, 3


@dataclass(frozen=True, eq=False)
class Division:
    """Images divided into clusters.

    Attributes
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` cluster of each image, from 0; -1 for none.
    silhouettes : dict of int to float
        By number of clusters, of those that were tried; of a sample. Empty where the number was given.
    """

    codes: NDArray[np.int64]
    silhouettes: dict[int, float]


def divide(x: NDArray[np.float32], method: str, n_clusters: int | None, seed: int, report: Progress) -> Division:
    """Divide rows into clusters.

    Parameters
    ----------
    x
        ``(n, columns)`` rows of length 1.
    method
        One of `METHODS`.
    n_clusters
        How many; None for the number with the best mean silhouette. HDBSCAN finds the number by itself.
    seed
        Of k-means and of the rows whose silhouette is taken.
    report
        Told of each number that is tried.

    Raises
    ------
    UsageError
        If the method does not take a number, or there are too many images for it.
    StackError
        If there are fewer images than clusters.
    """
    n = len(x)
    if method in _MOST and n > _MOST[method]:
        message = (
            f"{method} compares all pairs, and of {counted(n, 'image')} that takes hours or tens of gigabytes: "
            f"at most {_MOST[method]:,} are taken. Run {_instead('kmeans', n_clusters)} instead"
        )
        raise UsageError(message)
    if method == "hdbscan":
        if n_clusters is not None:
            message = (
                "hdbscan finds the number of clusters by itself: leave --clusters out, or run "
                f"{_instead('kmeans', n_clusters)} instead"
            )
            raise UsageError(message)
        return Division(_ordered(_hdbscan(x)), {})
    if n_clusters is not None and n_clusters > n:
        message = f"{n_clusters:,} clusters of {counted(n, 'image')} were asked for: ask for {n:,} or fewer"
        raise StackError(message)
    cut = _cutter(x, method, seed)
    if n_clusters is not None:
        return Division(_ordered(cut(n_clusters, _STARTS)), {})
    counts = [each for each in _COUNTS if each < n]
    if not counts:
        message = f"there are {counted(n, 'image')}, too few to tell how many clusters they fall into: use --clusters N"
        raise StackError(message)
    silhouettes = {}
    for done, count in enumerate(counts):
        report("numbers of clusters", done, len(counts))
        silhouettes[count] = _silhouette(x, cut(count, _TRIAL_STARTS), seed)
    report("numbers of clusters", len(counts), len(counts))
    best = max(silhouettes, key=lambda count: (silhouettes[count], -count))
    return Division(_ordered(cut(best, _STARTS)), silhouettes)


def _instead(method: str, n_clusters: int | None) -> str:
    words = ["stackbone", "cluster", "--method", method]
    words += [] if n_clusters is None else ["--clusters", str(n_clusters)]
    return f"`{typed(*words)}`"


def _cutter(x: NDArray[np.float32], method: str, seed: int) -> Callable[[int, int], NDArray[np.int64]]:
    """Return what divides rows into a number of clusters, from a number of starts."""
    if method == "agglomerative":
        tree = hierarchy.linkage(pdist(x, "cosine"), "average")

        def cut(count: int, _: int) -> NDArray[np.int64]:
            codes: NDArray[np.int64] = hierarchy.cut_tree(tree, count)[:, 0].astype(np.int64)
            return codes

        return cut

    def fit(count: int, starts: int) -> NDArray[np.int64]:
        kind = KMeans if len(x) <= _WHOLE else MiniBatchKMeans
        more = {} if kind is KMeans else {"batch_size": 4096}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters: some stay empty
            fitted = kind(count, n_init=starts, random_state=seed, **more).fit(x)
        codes: NDArray[np.int64] = fitted.labels_.astype(np.int64)
        return codes

    return fit


def _hdbscan(x: NDArray[np.float32]) -> NDArray[np.int64]:
    least = min(max(5, len(x) // _LEAST_SHARE), len(x))
    if least < 2:
        return np.full(len(x), -1, np.int64)
    codes: NDArray[np.int64] = HDBSCAN(min_cluster_size=least, copy=True).fit(x).labels_.astype(np.int64)
    return codes


def _silhouette(x: NDArray[np.float32], codes: NDArray[np.int64], seed: int) -> float:
    """Return the mean silhouette of a sample of rows; -1 where they are of one cluster, or each of its own."""
    rows = np.arange(len(x))
    if len(rows) > _JUDGED:
        rows = np.sort(np.random.default_rng(seed).choice(len(x), _JUDGED, replace=False))
    if not 1 < len(np.unique(codes[rows])) < len(rows):
        return -1.0
    return float(silhouette_score(x[rows], codes[rows]))


def _ordered(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return codes numbered by descending size, of equal ones by first appearance; -1 stays."""
    found, first, sizes = np.unique(codes[codes >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    numbered = np.full(len(codes), -1, np.int64)
    for number, place in enumerate(order.tolist()):
        numbered[codes == found[place]] = number
    return numbered
