"""How far an image is from all that a model was fitted on: the distance to its k-th nearest training image.

The method is that of Sun, Ming, Zhu & Li 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors" (ICML, arXiv
2204.06507, section 3): features are divided by their length, and an image is as far as its k-th nearest neighbour
among some training images. Theirs is of one network. Here the distances of the backbones, each in units of its median
over training images, are averaged, and the average is compared with those of training images that were measured in the
same way, each against the others: see `stack.models.unlike.find_novelty`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.heads.head import unit_length

UNLIKE = 0.99
"""Share of the training images from which on an image that is further away is said to be unlike them."""

_TILE_ROWS = 1024  # images compared with all that are kept at a time: 8 MiB of cosines at most


@dataclass(frozen=True, eq=False)
class Novelty:
    """What it takes to say how far an image is from those that a model was fitted on.

    Attributes
    ----------
    features
        Backbone to the ``(n_kept, dim)`` features of some training images, float16, each row divided by its length; the
        same images in every backbone. Backbones of the model that are not named take no part.
    scales
        Of the same backbones, the median distance of a training image to its k-th nearest neighbour.
    k
        Which neighbour counts.
    calibration
        ``(n_calibrated,)`` what `joined` gives for training images, each compared with the others; float32, ascending.
    """

    features: Mapping[str, NDArray[np.float16]]
    scales: Mapping[str, float]
    k: int
    calibration: NDArray[np.float32]

    @property
    def n_kept(self) -> int:
        """Training images whose features are kept."""
        return len(next(iter(self.features.values())))

    @property
    def n_bytes(self) -> int:
        """What all of it takes in a file, but for some text."""
        return self.calibration.nbytes + sum(each.nbytes for each in self.features.values())

    def distances(self, name: str, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how far images are to one backbone, in units of its scale.

        Parameters
        ----------
        name
            One of the backbones of `features`.
        features
            ``(n, dim)``, raw.

        Returns
        -------
        NDArray[np.float32]
            ``(n,)`` Euclidean distances to the k-th nearest of the kept images, of features of length 1.
        """
        kept = self._kept[name]
        found = np.empty(len(features), np.float32)
        for start in range(0, len(features), _TILE_ROWS):
            tile = slice(start, start + _TILE_ROWS)
            found[tile] = kth_distances(unit_rows(features[tile]) @ kept.T, self.k)
        found /= np.float32(self.scales[name])
        return found

    def further_than(self, distances: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Return ``(n,)`` shares of the training images, 0 to 1, that images are further away than.

        `distances` are those that `distances` gives of each backbone, ``(n,)``, in any order.
        """
        return np.searchsorted(self.calibration, joined(distances), side="left") / len(self.calibration)

    @cached_property
    def _kept(self) -> dict[str, NDArray[np.float32]]:
        """What is kept, of length 1 again after it was rounded."""
        return {name: unit_rows(each.astype(np.float32)) for name, each in self.features.items()}


def joined(distances: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the mean over backbones of ``(n,)`` distances."""
    mean: NDArray[np.float32] = np.mean(np.stack(distances), axis=0, dtype=np.float32)
    return mean


def unit_rows(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``(n, dim)`` features divided by their lengths; a row of zeros stays one."""
    return unit_length(x.astype(np.float64)).astype(np.float32)  # squares of large features would overflow float32


def kth_distances(cosines: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return ``(n,)`` distances of rows of length 1 to the k-th nearest of others.

    `cosines` are ``(n, n_others)``, minus infinity for those that are no neighbours; of fewer than k the distance is
    infinite.
    """
    place = cosines.shape[1] - k
    nearest = np.partition(cosines, place, axis=1)[:, place]
    distances: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * nearest, 0))
    return distances
