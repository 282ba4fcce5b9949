"""Divide a dataset into clusters of images that look alike to its backbones, labelled or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.cache.choices import check_choice
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.clustering.methods import METHODS, divide
from stackbone.stack.clustering.reduced import reduced
from stackbone.stack.exploring.clusters.result import Agreement, Cluster, Clusters
from stackbone.stack.exploring.explored import Explored, explore
from stackbone.stack.models.unlike.novelty import unit_rows


def cluster(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    method: str = "kmeans",
    n_clusters: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Clusters:
    """Divide the images of a dataset into clusters.

    Features are reduced to 64 principal components of each backbone, divided by their length; see
    `stack.clustering.reduced`. Files of the same bytes are one image.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        As of `stack.experiments.run.run_experiment`.
    method
        ``kmeans`` (of small batches above 20,000 images), ``hdbscan``, which leaves images out that are in no dense
        place, or ``agglomerative`` (mean linkage of cosine distances).
    n_clusters
        How many; None for the number with the best mean silhouette. HDBSCAN finds the number by itself.
    seed
        Of k-means and of samples.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    UsageError
        If a name is unknown, the number of clusters is less than 1, or the method does not take so many images.
    StackError
        If there are fewer images than clusters, or no features serve.
    CacheError
        If the cache lacks the dataset or is damaged.
    """
    check_choice("method", method, METHODS)
    if n_clusters is not None and n_clusters < 1:
        message = f"{n_clusters} clusters were asked for: ask for 1 or more"
        raise UsageError(message)
    report = progress or silent
    explored = explore(store or FeatureStore(), dataset, backbones)
    if len(explored) < 2:
        message = (
            f"the dataset {explored.index.name!r} has {counted(len(explored), 'image')}: there is nothing to divide"
        )
        raise StackError(message)
    x = reduced({name: explored.load(name) for name in explored.sets}, seed)
    division = divide(x, method, n_clusters, seed, report)
    notes = list(explored.notes)
    found = int(division.codes.max()) + 1
    if n_clusters is not None and found < n_clusters:
        notes.append(f"{n_clusters:,} clusters were asked for, and the images lie in {found:,} places alone")
    if not found:
        notes.append("no place is dense enough for a cluster: name another --method")
    if not explored.classes:
        notes.append(f"clusters are not compared with labels: {explored.unclassed}")
    closeness = np.full(len(x), np.nan, np.float32)
    clusters = [_describe(number, x, division.codes, closeness, explored) for number in range(found)]
    return Clusters(
        dataset=explored.index.name,
        method=method,
        backbones=list(explored.sets),
        paths=explored.paths,
        labels=explored.labels,
        codes=division.codes + 1,
        closeness=closeness,
        clusters=clusters,
        agreement=_agreement(explored, division.codes),
        silhouettes=division.silhouettes,
        notes=notes,
        files=[explored.file(image) for image in range(len(explored))],
    )


def _describe(
    number: int,
    x: NDArray[np.float32],
    codes: NDArray[np.int64],
    closeness: NDArray[np.float32],
    explored: Explored,
) -> Cluster:
    """Return what there is to say of a cluster; its images' cosines with its centre are put into `closeness`."""
    rows = np.flatnonzero(codes == number)
    centre = unit_rows(x[rows].mean(axis=0, keepdims=True))[0]
    closeness[rows] = np.clip(x[rows] @ centre, -1, 1)
    order = rows[np.argsort(-closeness[rows], kind="stable")]
    names = [explored.names_of(int(row)) for row in rows]
    counts = Counter(name for each in names for name in each)
    name, most = min(counts.items(), key=lambda each: (-each[1], each[0]), default=("", 0))
    n_labelled = sum(map(bool, names))
    mean = float(closeness[rows].mean())
    return Cluster(number + 1, len(rows), name, most / max(1, n_labelled), mean, tuple(order.tolist()))


def _agreement(explored: Explored, codes: NDArray[np.int64]) -> Agreement | None:
    if not explored.classes:
        return None
    labels = np.array(explored.labels)
    both = (labels != "") & (codes >= 0)
    if not both.any():
        return None
    own, theirs = codes[both], labels[both]
    ari, nmi = float(adjusted_rand_score(theirs, own)), float(normalized_mutual_info_score(theirs, own))
    return Agreement(ari, nmi, int(both.sum()))
