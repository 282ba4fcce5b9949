"""Images that are far from all others: of another kind, damaged, or the only ones of their kind."""

from __future__ import annotations

import numpy as np

from stackbone.stack.audit.audited import Audited
from stackbone.stack.audit.finding import Finding
from stackbone.stack.audit.kind import FEATURES, Kind

NEIGHBOUR = 5
"""Which neighbour counts, as for `predict`: see `stack.models.unlike.find_novelty`."""

FAR = 3.5
"""Robust standard deviations above the median from which on a distance is far: Iglewicz & Hoaglin 1993, section 3."""

_MAD = 1.4826  # standard deviations of a normal distribution in one median absolute deviation


class Outliers(Kind):
    """Distance to the k-th nearest other image (Sun, Ming, Zhu & Li 2022, arXiv 2204.06507), mean over backbones."""

    name = "outlier"
    title = "Images unlike all others"
    place = 50
    needs = (FEATURES,)

    def find(self, audited: Audited) -> list[Finding]:
        """Return the images whose distance is far above the median."""
        k = min(NEIGHBOUR, audited.neighbours.rows.shape[2])
        distances = audited.neighbours.distances[:, :, k - 1].astype(np.float64)
        scales = np.median(distances, axis=1)
        if not (scales > 0).any():  # most images are copies of each other
            return []
        far = (distances[scales > 0] / scales[scales > 0, None]).mean(axis=0)
        middle = float(np.median(far))
        spread = _MAD * float(np.median(np.abs(far - middle)))
        if spread == 0:
            return []
        return [
            Finding(
                self.name,
                audited.index.path[audited.rows[place]],
                float(1 - middle / far[place]),
                audited.labels[place],
                "",
                "look whether it belongs to the dataset",
                f"{far[place] / middle:.2f} times as far from its nearest image number {k} as the median image is",
            )
            for place in np.flatnonzero(far > middle + FAR * spread)
        ]


KIND = Outliers()
