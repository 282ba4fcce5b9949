"""A map of each backbone's features, where images lie near those that the backbone finds alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.used_features import UsedFeatures, load_block
from stackbone.stack.folds.subsets import sample_rows
from stackbone.stack.report.gallery import ImageList
from stackbone.stack.report.projection import Projection, project

MOST_POINTS = 50_000


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """One backbone's features on a plane.

    Attributes
    ----------
    backbone : str
        Its name.
    projection : Projection
        Of ``n`` images.
    codes : NDArray[np.int64]
        ``(n,)`` class codes; of a regression empty.
    values : NDArray[np.float64], optional
        ``(n,)`` targets of a regression.
    images : NDArray[np.int64]
        ``(n,)`` numbers in the list of images, -1 where one is not in it.
    """

    backbone: str
    projection: Projection
    codes: NDArray[np.int64]
    values: NDArray[np.float64] | None
    images: NDArray[np.int64]

    def to_dict(self) -> dict[str, object]:
        """Return the map as a JSON object."""
        x, y = self.projection.points.T.tolist()
        return {
            "backbone": self.backbone,
            "method": self.projection.method,
            "x": x,
            "y": y,
            "class": self.codes.tolist(),
            "value": None if self.values is None else self.values.tolist(),
            "image": self.images.tolist(),
            "explained": self.projection.explained,
        }


def embedding_maps(
    experiment: Experiment,
    features: Sequence[UsedFeatures],
    codes: NDArray[np.int64],
    values: NDArray[np.float64] | None,
    images: ImageList,
    *,
    method: str,
    max_images: int,
    progress: Progress | None = None,
) -> list[EmbeddingMap]:
    """Lay the features of each backbone out on a plane; of more than 50,000 images a sample that keeps every class.

    A steered backbone has seen labels, and a map of images that it learnt from would show what it was told. Of
    such features the map is of the first fold's test part alone.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    features : sequence of UsedFeatures
        Of its backbones.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes; of a regression all equal.
    values : NDArray[np.float64], optional
        ``(n_images,)`` targets of a regression.
    images : ImageList
        Grows to `max_images`, by images spread over the classes.
    method : str
        ``pca`` or ``umap``.
    max_images : int
        Images that the list may hold; where it holds as many, it does not grow.
    progress : callable, optional
        Called with ("projecting", maps done, maps in all).

    Raises
    ------
    CacheError
        If features have left the cache meanwhile, or are damaged.
    """
    seed, rows = experiment.seed, experiment.joined.rows
    shown = sample_rows(codes, MOST_POINTS, seed)
    new = shown[images.numbers(rows[shown]) < 0]
    for row in rows[new[sample_rows(codes[new], max(0, max_images - len(images)), seed)]]:
        images.add(row)
    maps = []
    for done, used in enumerate(features):
        if progress is not None:
            progress("projecting", done, len(features))
        drawn = np.intersect1d(shown, experiment.folds[0].test) if used.per_fold else shown
        plane = project(load_block(experiment, used, 0)[drawn], method, seed)
        of_classes, of_targets = (codes[drawn], None) if values is None else (codes[:0], values[drawn])
        maps.append(EmbeddingMap(used.name, plane, of_classes, of_targets, images.numbers(rows[drawn])))
    if progress is not None:
        progress("projecting", len(features), len(features))
    return maps
