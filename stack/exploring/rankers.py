"""What ranks the images of a dataset for a query, to one backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.exploring.explored import Explored
from stackbone.stack.exploring.nearest import Nearest, nearest_of
from stackbone.stack.models.unlike.novelty import unit_rows


class Ranker(Protocol):
    """Ranks images by the cosine of their features with a query's."""

    def nearest(self, queries: NDArray[np.float32], k: int, own: NDArray[np.int64]) -> Nearest:
        """Return the k nearest images of ``(n_queries, dim)`` queries of length 1; `own` as of `nearest_of`."""
        ...

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the ``(m, dim)`` features of some images, of length 1."""
        ...


@dataclass(frozen=True)
class Exact:
    """Compares with every image, shard after shard.

    Attributes
    ----------
    explored : Explored
        The images.
    name : str
        Of the feature set.
    """

    explored: Explored
    name: str

    def nearest(self, queries: NDArray[np.float32], k: int, own: NDArray[np.int64]) -> Nearest:
        """Return the k nearest images."""
        return nearest_of(queries, self.explored.stream(self.name), k, own=own)

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some images."""
        return self.explored.sets[self.name].load(self.explored.digests[places], unit_rows)
