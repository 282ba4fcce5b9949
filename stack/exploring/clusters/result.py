"""Images in clusters: which are in each, how it may be called, and how far clusters agree with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import counted
from stackbone.stack.exploring.tabular import Tabular


@dataclass(frozen=True)
class Cluster:
    """Images that lie together.

    Attributes
    ----------
    number : int
        1 of the largest.
    size : int
        Images in it.
    name : str
        The label that most of its labelled images have; ``""`` where none has any.
    share : float
        The share of its labelled images that have it.
    closeness : float
        Mean cosine of its images with its centre.
    members : tuple of int
        Places of its images, the nearest to its centre first.
    """

    number: int
    size: int
    name: str
    share: float
    closeness: float
    members: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """How far clusters agree with labels, over images that have both.

    Attributes
    ----------
    ari : float
        Adjusted Rand index: 1 where both divide alike, about 0 by chance.
    nmi : float
        Normalised mutual information, from 0 to 1; not adjusted for chance.
    n_images : int
        That have a label and a cluster.
    """

    ari: float
    nmi: float
    n_images: int


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(Tabular):
    """A dataset divided into clusters.

    Attributes
    ----------
    dataset : str
        Its name in the cache.
    method : str
        One of `stack.clustering.methods.METHODS`.
    backbones : list of str
        Whose features were clustered.
    paths, labels : list of str
        Of the n images, each once; a label is ``""`` where there is none.
    codes : NDArray[np.int64]
        ``(n,)`` numbers of clusters, from 1; 0 for an image that is in none.
    closeness : NDArray[np.float32]
        ``(n,)`` cosine of each image's reduced features with the centre of its cluster; nan for one in none.
    clusters : list of Cluster
        The largest first.
    agreement : Agreement, optional
        None where labels name no classes.
    silhouettes : dict of int to float
        By number of clusters, of those that were tried.
    notes : list of str
        What a reader should know, in sentences.
    files : list of ListedFile
        Where the n images lie.
    """

    dataset: str
    method: str
    backbones: list[str]
    paths: list[str]
    labels: list[str]
    codes: NDArray[np.int64]
    closeness: NDArray[np.float32]
    clusters: list[Cluster]
    agreement: Agreement | None
    silhouettes: dict[int, float]
    notes: list[str]
    files: Sequence[ListedFile]

    def __repr__(self) -> str:
        return f"<Clusters of {self.dataset}: {counted(len(self.clusters), 'cluster')} of {len(self.paths):,} images>"

    @property
    def alone(self) -> int:
        """Images that are in no cluster."""
        return int((self.codes == 0).sum())

    def columns(self) -> dict[str, list[Any]]:
        """Return a row for each image, by column; an image in no cluster has no number, name or closeness."""
        names = {each.number: each.name for each in self.clusters}
        return {
            "path": self.paths,
            "cluster": [code or None for code in self.codes.tolist()],
            "name": [names.get(code) for code in self.codes.tolist()],
            "closeness": [None if np.isnan(each) else round(float(each), 6) for each in self.closeness],
            "label": self.labels,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.dataset,
            "method": self.method,
            "backbones": self.backbones,
            "n_images": len(self.paths),
            "in_no_cluster": self.alone,
            "clusters": [
                {key: value for key, value in vars(each).items() if key != "members"} for each in self.clusters
            ],
            "agreement": None if self.agreement is None else vars(self.agreement),
            "silhouettes": [{"clusters": n, "silhouette": value} for n, value in self.silhouettes.items()],
            "notes": self.notes,
            "images": self.records(),
        }
