"""What the `conv` head is trained by: focal, GIoU and centre-ness losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from stackbone.stack.detection.cells import IGNORED, Cells, assign, centre_ness, distances
from stackbone.stack.detection.framed import FramedBoxes

Outputs = tuple[Tensor, Tensor, Tensor]


class Targets:
    """What the cells of a batch of images are to say.

    Parameters
    ----------
    cells : Cells
        Of the pyramid.
    boxes : sequence of FramedBoxes
        Of each image of the batch.
    n_classes : int
        Classes to be found.

    Attributes
    ----------
    positive : Tensor
        ``(n_positive,)`` indices into ``b * n_cells`` of the cells that are to find an object.
    classes : Tensor
        ``(b * n_cells, n_classes)`` 1 where a cell is to find such an object.
    counts : Tensor
        ``(b * n_cells,)`` 0 where a cell counts for nothing, else 1.
    corners : Tensor
        ``(n_positive, 4)`` of the objects, in strides from the cell's centre.
    centre : Tensor
        ``(n_positive,)`` centre-ness.
    """

    def __init__(self, cells: Cells, boxes: Sequence[FramedBoxes], n_classes: int) -> None:
        n_cells = len(cells.centres)
        classes = np.zeros((len(boxes), n_cells, n_classes), np.float32)
        counts = np.ones((len(boxes), n_cells), np.float32)
        positive, edges = [], []
        for number, each in enumerate(boxes):
            objects = assign(cells, each)
            counts[number, objects == IGNORED] = 0
            chosen = np.flatnonzero(objects >= 0)
            taken = objects[chosen]
            classes[number, chosen, each.classes[taken]] = 1
            positive.append(number * n_cells + chosen)
            found = distances(cells.centres[chosen], each.corners[taken])
            edges.append(found / cells.strides[chosen, None])
        own = np.concatenate(edges).reshape(-1, 4)
        self.positive = torch.from_numpy(np.concatenate(positive))
        self.classes = torch.from_numpy(classes.reshape(-1, n_classes))
        self.counts = torch.from_numpy(counts.reshape(-1))
        self.corners = _corners(torch.from_numpy(own))
        self.centre = torch.from_numpy(centre_ness(own))


def loss(outputs: Outputs, targets: Targets) -> Tensor:
    """Return the loss of a batch: per object's cell, focal and centre-ness; GIoU weighted by true centre-ness."""
    logits, edges, centre = outputs
    focal = sigmoid_focal_loss(logits.flatten(0, 1), targets.classes, reduction="none")
    total: Tensor = (focal * targets.counts[:, None]).sum() / max(1, len(targets.positive))
    if len(targets.positive):
        found = _corners(edges.flatten(0, 1)[targets.positive])
        apart = generalized_box_iou_loss(found, targets.corners, reduction="none")
        total = total + (apart * targets.centre).sum() / targets.centre.sum().clamp(min=1e-6)
        said = centre.flatten()[targets.positive]
        total = total + functional.binary_cross_entropy_with_logits(said, targets.centre)
    return total


def _corners(edges: Tensor) -> Tensor:
    """Return ``(n, 4)`` corners about an origin of distances to left, top, right and bottom."""
    return torch.cat([-edges[:, :2], edges[:, 2:]], dim=1)
