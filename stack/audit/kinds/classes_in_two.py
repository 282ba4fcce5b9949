"""Classes whose images fall into two groups, as those of two things under one name do."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, LABELS, Kind
from stackbone.stack.models.unlike.novelty import unit_rows

LEAST_SILHOUETTE = 0.3
"""Mean silhouette from which on two groups are told apart."""

LEAST_IMAGES = 20
"""Images of a class that is looked at."""

LEAST_SHARE = 0.1
"""Of the smaller group: what is smaller is a few outliers."""

_MOST_IMAGES = 2_000  # of a class, of which silhouettes compare each with each
_COMPONENTS = 10


class ClassesInTwo(Kind):
    """Two means (k-means) of each class's features, all backbones side by side, and their mean silhouette.

    Rousseeuw 1987, "Silhouettes" (Journal of Computational and Applied Mathematics 20).
    """

    name = "in-two"
    title = "Classes that fall apart into two"
    place = 80
    needs = (LABELS, FEATURES)

    def find(self, audited: Audited) -> list[Finding]:
        """Return these classes, each with the image that is most typical of its smaller group."""
        if audited.index.label_form:  # of several labels none is a class
            return []
        names, codes = audited.classes
        found = []
        for code, name in enumerate(names):
            places = np.flatnonzero(codes == code)
            if len(places) < LEAST_IMAGES:
                continue
            if len(places) > _MOST_IMAGES:
                places = np.sort(np.random.default_rng(audited.seed).choice(places, _MOST_IMAGES, replace=False))
            side, silhouette = _divide(audited, places)
            smaller = int(side.sum() * 2 < len(side))
            own = places[side == smaller]
            if silhouette.mean() < LEAST_SILHOUETTE or len(own) < LEAST_SHARE * len(places):
                continue
            typical = [
                audited.index.path[audited.rows[places[side == each][silhouette[side == each].argmax()]]]
                for each in (smaller, 1 - smaller)
            ]
            found.append(
                Finding(
                    self.name,
                    typical[0],
                    float(silhouette.mean()),
                    name,
                    "",
                    "look whether these are two classes",
                    f"{counted(len(own), 'image')} like this one, and {len(places) - len(own):,} like "
                    f"{PurePosixPath(typical[1])}; mean silhouette {silhouette.mean():.2f}",
                )
            )
        return found


def _divide(audited: Audited, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return ``(n,)`` which of two groups each image is in, and its silhouette, -1 to 1."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_samples

    x = np.concatenate([unit_rows(block[places]) for block in audited.blocks.values()], axis=1)
    if np.ptp(x, axis=0).max() < np.finfo(np.float32).eps * 8:  # all alike: there is nothing to divide
        return np.zeros(len(places), np.int64), np.zeros(len(places))
    reduced = PCA(min(_COMPONENTS, *x.shape), random_state=audited.seed).fit_transform(x)
    side = KMeans(2, n_init=5, random_state=audited.seed).fit_predict(reduced)
    return side.astype(np.int64), silhouette_samples(reduced, side).astype(np.float64)


KIND = ClassesInTwo()
