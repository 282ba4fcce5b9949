"""Of boxes that overlap, the surest: non-maximum suppression within each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.detections import MOST, Detections

OVERLAP = 0.6
"""Intersection over union from which the less sure of two boxes of a class is left out."""

LEAST = 0.01
"""Score below which nothing is told: it would only lengthen the tail of a precision-recall curve."""


def suppress(
    corners: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    overlap: float = OVERLAP,
    most: int = MOST,
) -> Detections:
    """Return the detections that remain, at most `most`.

    Parameters
    ----------
    corners, scores, classes : NDArray
        ``(n, 4)``, ``(n,)`` and ``(n,)``, as of `Detections`, in any order.
    overlap : float
        See `OVERLAP`.
    most : int
        How many are kept, the surest.
    """
    import torch
    from torchvision.ops import batched_nms

    if not len(scores):
        return Detections.none()
    kept = batched_nms(torch.from_numpy(corners), torch.from_numpy(scores), torch.from_numpy(classes), overlap)
    chosen = kept[:most].numpy()
    return Detections.sort(corners[chosen], scores[chosen], classes[chosen])


def pick(
    corners: NDArray[np.float32], scores: NDArray[np.float32], width: int, height: int, *, candidates: int = 1000
) -> Detections:
    """Return detections of all boxes of one image, each with a score for every class.

    Parameters
    ----------
    corners : NDArray[np.float32]
        ``(n, 4)`` in pixels of the image, cut at its edges.
    scores : NDArray[np.float32]
        ``(n, n_classes)``.
    width, height : int
        Of the image; boxes of less than a pixel either way are left out.
    candidates : int
        How many pairs of box and class are looked at, the surest.
    """
    has_area = (corners[:, 2:] - corners[:, :2]).min(axis=1, initial=np.inf) >= 1
    flat = np.where(has_area[:, None], scores, 0).ravel()
    chosen = np.flatnonzero(flat >= LEAST)
    if len(chosen) > candidates:
        chosen = np.sort(chosen[np.argsort(-flat[chosen], kind="stable")[:candidates]])
    rows, classes = np.divmod(chosen, scores.shape[1])
    return suppress(corners[rows], flat[chosen].astype(np.float32), classes)
