"""The nearest class mean by cosine, after the mean of the training images is subtracted.

Nearest means on frozen features: Snell, Swersky & Zemel 2017 (NeurIPS 30). Centred, and all vectors of length 1: Wang
et al. 2019 (SimpleShot, arXiv 1911.04623), "CL2N". Networks that end in a rectifier have features in one corner of the
space, where all cosines are near 1 until their mean is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.heads.head import Head, Learnt, unit_length
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.solvers.ridge import SideBySide

Doubles = NDArray[np.float64]


class NearestPrototype(Head):
    """See the module; the temperature of its softmax is what the inner folds choose."""

    name = "prototype"
    what = "nearest class mean by cosine on {name}"
    place = 5

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "prototype"}

    def learn(
        self, x: SideBySide, y: NDArray[np.int64], weights: Doubles, n_classes: int, n_views: int = 1
    ) -> Prototypes:
        """Learn the mean and the classes' directions from it."""
        mean = np.zeros(x.dim)
        for rows, piece in x.by_rows():
            mean += weights[rows] @ piece
        mean /= weights.sum()
        sums = np.zeros((n_classes, x.dim))
        for rows, piece in x.by_rows():
            belongs = (y[rows] == np.arange(n_classes)[:, None]) * weights[rows]
            sums += belongs @ unit_length(piece - mean)
        return Prototypes(mean, unit_length(sums))


@dataclass(frozen=True, eq=False)
class Prototypes(Learnt):
    """Directions of classes.

    Attributes
    ----------
    mean : NDArray[np.float64]
        ``(dim,)`` from which they are seen.
    directions : NDArray[np.float64]
        ``(n_classes, dim)`` of length 1.
    strengths : sequence of float
        None: the temperature alone is chosen.
    """

    mean: Doubles
    directions: Doubles
    strengths: Sequence[float] = ()

    def decide(self, x: SideBySide) -> NDArray[np.float32]:
        """Return ``(1, n, n_classes)`` cosines."""
        cosines = np.empty((1, x.n, len(self.directions)), np.float32)
        for rows, piece in x.by_rows():
            cosines[0, rows] = unit_length(piece - self.mean) @ self.directions.T
        return cosines


LEARNER = NearestPrototype()
