"""The k nearest training images by cosine, each with a vote of exp(cosine / 0.07): a probe that fits nothing.

Wu et al. 2018 (CVPR, arXiv 1805.01978, section 3.4), and the protocol of DINO: Caron et al. 2021 (ICCV, arXiv
2104.14294).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.heads.head import Head, Learnt, unit_length
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.solvers.ridge import SideBySide

NEIGHBOURS = (200, 100, 50, 20, 10, 5, 1)
"""Values of k that are tried, descending, none above what the training images count for in sum."""

TEMPERATURE = 0.07
"""By which cosines are divided before they become votes."""

_VALUES = 2**23  # similarities that are held at once

Codes = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


class NearestNeighbours(Head):
    """See the module and `Neighbours`."""

    name = "knn"
    what = "k nearest neighbours by cosine on {name}"
    place = 4

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "knn", "neighbours": NEIGHBOURS, "temperature": TEMPERATURE}

    def learn(self, x: SideBySide, y: Codes, weights: Doubles, n_classes: int, n_views: int = 1) -> Neighbours:
        """Keep the rows."""
        shares, most = np.bincount(y, weights, n_classes) / weights.sum(), max(1, round(float(weights.sum())))
        return Neighbours(_unit_rows(x), y, weights, shares, [min(k, most) for k in NEIGHBOURS], n_views)


@dataclass(frozen=True, eq=False)
class Neighbours(Learnt):
    """Training rows.

    Attributes
    ----------
    rows : NDArray[np.float32]
        ``(n_train, dim)`` of length 1.
    y : NDArray[np.int64]
        ``(n_train,)`` class codes.
    weights : NDArray[np.float64]
        ``(n_train,)`` what each counts for, by which its vote is multiplied.
    shares : NDArray[np.float64]
        ``(n_classes,)`` of the training rows.
    strengths : sequence of float
        The numbers k of images that vote, descending.
    n_views : int
        Rows of each image: k images are so many times as many rows.
    """

    rows: Floats
    y: Codes
    weights: Doubles
    shares: Doubles
    strengths: Sequence[float]
    n_views: int = 1

    def decide(self, x: SideBySide) -> Floats:
        """Return ``(n_strengths, n, n_classes)`` logs of the classes' shares of the votes.

        One more neighbour, of every class by its share of the training rows, keeps a class without votes possible.
        """
        asked = _unit_rows(x)
        decision = np.empty((len(self.strengths), x.n, len(self.shares)), np.float32)
        step = max(1, _VALUES // len(self.rows))
        for start in range(0, x.n, step):
            part = slice(start, start + step)
            for number, votes in enumerate(self._votes(asked[part] @ self.rows.T)):
                k = self.strengths[number]
                decision[number, part] = np.log((k * votes + self.shares) / (k + 1))
        return decision

    def _votes(self, cosines: Floats) -> list[Doubles]:
        """Return the ``(m, n_classes)`` shares of the votes for each k, of ``(m, n_train)`` cosines."""
        n_classes = len(self.shares)
        counts = [min(round(k) * self.n_views, len(self.rows)) for k in self.strengths]
        most = max(counts)
        near = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        close = np.take_along_axis(cosines, near, axis=1)
        order = np.argsort(-close, axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        close = np.take_along_axis(close, order, axis=1).astype(np.float64)
        weights = np.exp((close - close[:, :1]) / TEMPERATURE) * self.weights[near]
        cells = self.y[near] + n_classes * np.arange(len(near))[:, None]
        shares = []
        for k in counts:
            votes = np.bincount(cells[:, :k].ravel(), weights[:, :k].ravel(), len(near) * n_classes)
            votes = votes.reshape(len(near), n_classes)
            total = votes.sum(axis=1, keepdims=True)
            shares.append(np.divide(votes, total, out=np.zeros_like(votes), where=total > 0))
        return shares


def _unit_rows(x: SideBySide) -> Floats:
    """Return the rows of all blocks side by side, divided by their lengths; rows of zeros stay."""
    found = np.empty((x.n, x.dim), np.float32)
    for rows, piece in x.by_rows():
        found[rows] = unit_length(piece)
    return found


LEARNER = NearestNeighbours()
