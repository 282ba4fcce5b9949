"""A map of each backbone's features, where images that the backbone finds alike lie close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import silent
from stackbone.stack.clustering.methods import divide
from stackbone.stack.clustering.reduced import reduced
from stackbone.stack.experiments.used_features import load_block
from stackbone.stack.models.unlike.novelty import unit_rows
from stackbone.stack.report.context import MOST_POINTS, Context
from stackbone.stack.report.projection import Projection, choose_projection, project


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """One backbone's features on a plane.

    Attributes
    ----------
    backbone : str
        Its name.
    projection : Projection
        Of ``n`` images.
    rows : NDArray[np.int64]
        ``(n,)`` rows of the dataset's index, ascending.
    codes : NDArray[np.int64], optional
        ``(n,)`` class codes; None where labels are not classes.
    values : NDArray[np.float64], optional
        ``(n,)`` numbers; None where labels are classes.
    measure : str
        What these numbers are.
    clusters : NDArray[np.int64], optional
        ``(n,)`` clusters of the features, from 0, the largest first, as many as classes; None where labels are not
        classes.
    """

    backbone: str
    projection: Projection
    rows: NDArray[np.int64]
    codes: NDArray[np.int64] | None
    values: NDArray[np.float64] | None
    measure: str = "label"
    clusters: NDArray[np.int64] | None = None

    def cluster_names(self, classes: Sequence[str]) -> list[str]:
        """Return for each cluster its number, from 1, and the class that most of its images have."""
        assert self.clusters is not None
        assert self.codes is not None
        own = (self.codes[self.clusters == each] for each in range(int(self.clusters.max()) + 1))
        return [f"{number}: {classes[int(np.bincount(codes).argmax())]}" for number, codes in enumerate(own, 1)]


def embedding_maps(context: Context) -> list[EmbeddingMap]:
    """Lay the features of each backbone out on a plane; of more than 50,000 images a sample that keeps every class.

    A steered backbone has seen labels, and a map of the images that it learnt from would show just that: its map holds
    the test part of the first fold alone.

    Parameters
    ----------
    context : Context
        Its ``progress`` is called with ("projecting", maps done, maps in all).

    Raises
    ------
    CacheError
        If features have left the cache meanwhile, or are damaged.
    """
    experiment, asked, told = context.experiment, context.options.projection, context.progress
    asked = "pca" if asked == "auto" and experiment.n_images > MOST_POINTS else asked
    method = choose_projection(asked, len(context.shown))
    maps = []
    for done, used in enumerate(context.features):
        if told is not None:
            told("projecting", done, len(context.features))
        shown = np.intersect1d(context.shown, experiment.folds[0].test) if used.per_fold else context.shown
        block = load_block(experiment, used, 0) if used.per_fold else context.plain_blocks[used.name]
        plane = project(block[shown], method, experiment.seed)
        codes = context.codes[shown] if context.classes else None
        values, measure = context.map_numbers
        own = None if values is None else values[shown]
        clusters = None if codes is None else _clusters(block[shown], len(np.unique(codes)), experiment.seed)
        maps.append(EmbeddingMap(used.name, plane, context.rows[shown], codes, own, measure, clusters))
    if told is not None:
        told("projecting", len(context.features), len(context.features))
    return maps


def _clusters(x: NDArray[np.float32], n: int, seed: int) -> NDArray[np.int64]:
    """Return which of n clusters by k-means each row is in, as the command ``cluster`` has it."""
    return divide(reduced({"": unit_rows(x)}, seed), "kmeans", n, seed, silent).codes
