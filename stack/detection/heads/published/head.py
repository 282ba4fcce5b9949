"""The `published` head: the last map through one convolution and one dense layer into a fixed number of boxes.

Articles on transfer learning end with such a head and leave much unsaid. Assumed here: as many slots as the fullest
training image has objects, at most 64; the objects of an image fill them, the largest first; a slot has a softmax over
"nothing" and the classes, and four corners as shares of the frame; losses are cross-entropy and smooth L1. It is here
for the record: which object a slot is for depends on all others, and nothing tells the dense layer that an object that
moves stays what it is, so that a few hundred images are learned by heart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.finding import find_objects
from stackbone.stack.detection.framed import FramedBoxes, framed_boxes, image_sizes
from stackbone.stack.detection.head import FittedHead, Head, Tensors
from stackbone.stack.detection.networks import from_tensors, to_tensors
from stackbone.stack.detection.source import Digests, HeldMaps, Maps, MapSource, check_pyramid, pyramid_shape

if TYPE_CHECKING:
    from stackbone.stack.detection.heads.published.network import PublishedHead

MOST_SLOTS = 64


class PublishedFitted(FittedHead):
    """A trained `published` head.

    Parameters
    ----------
    network : PublishedHead
        Its network.
    facts : dict
        See `FittedHead`.
    """

    head = "published"

    def __init__(self, network: PublishedHead, facts: dict[str, Any]) -> None:
        self._network, self.facts = network, facts
        self.classes = tuple(facts["classes"])

    def detect(
        self, source: MapSource, digests: Digests, sizes: NDArray[np.integer], *, on_progress: Progress = silent
    ) -> list[Detections]:
        """Find objects: see `FittedHead.detect`."""
        import torch

        from stackbone.stack.detection.heads.published.network import last_map

        check_pyramid(source, self.facts["pyramid"])

        def say(maps: Maps) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            with torch.inference_mode():
                logits, shares = self._network(last_map(maps))
                return logits.softmax(-1)[..., 1:].numpy(), shares.numpy() * np.float32(source.side)

        return find_objects(say, source, digests, sizes, on_progress)

    def to_tensors(self) -> Tensors:
        """Return its parameters and what it standardises the map by."""
        return to_tensors(self._network)


class Published(Head):
    """See the module."""

    name = "published"
    what = "one convolution and one dense layer on the last map, a fixed number of boxes"
    source = "the head of published transfer articles, as far as they tell it"
    place = 2
    has_epochs = True

    def fit(
        self,
        source: MapSource,
        digests: Digests,
        boxes: Sequence[ImageBoxes],
        classes: Sequence[str],
        seed: int,
        *,
        sizes: NDArray[np.integer] | None = None,
        mirrored: MapSource | None = None,
        checkpoint: Place | None = None,
        on_progress: Progress = silent,
        epochs: int | None = None,
    ) -> PublishedFitted:
        """Train: see `Head.fit`. It takes a minute: `checkpoint` is not used; nor are mirrored maps, as published.

        Parameters
        ----------
        epochs : int, optional
            How often each image is seen. The others are those of `Head.fit`.
        """
        from stackbone.stack.detection.heads.published.network import EPOCHS, train

        framed = framed_boxes(boxes, image_sizes(boxes, sizes), source.side, classes)
        n_slots = min(MOST_SLOTS, max(len(each.classes) for each in framed))
        facts: dict[str, Any] = {
            "classes": list(classes),
            "pyramid": pyramid_shape(source),
            "seed": seed,
            "n_images": len(digests),
            "n_slots": n_slots,
        }
        network = _network(facts)
        facts["parameters"] = sum(each.numel() for each in network.parameters())
        codes, corners = fill_slots(framed, n_slots, source.side)
        train(network, HeldMaps(source, digests), codes, corners, seed, epochs or EPOCHS, on_progress)
        return PublishedFitted(network, facts)

    def from_tensors(self, tensors: Mapping[str, NDArray[np.float32]], facts: Mapping[str, Any]) -> PublishedFitted:
        """Return a head of its parameters: see `Head.from_tensors`."""
        network = from_tensors(self.name, lambda: _network(facts), tensors)
        return PublishedFitted(network, dict(facts))


def fill_slots(boxes: Sequence[FramedBoxes], n_slots: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ``(n, n_slots)`` classes, from 1, 0 for nothing, and ``(n, n_slots, 4)`` corners as shares of the frame.

    The largest object comes first; of an image with more objects the smallest are left out.
    """
    codes = np.zeros((len(boxes), n_slots), np.int64)
    corners = np.zeros((len(boxes), n_slots, 4), np.float32)
    for image, each in enumerate(boxes):
        sides = each.corners[:, 2:] - each.corners[:, :2]
        taken = np.argsort(-sides.prod(axis=1), kind="stable")[:n_slots]
        codes[image, : len(taken)] = each.classes[taken] + 1
        corners[image, : len(taken)] = np.clip(each.corners[taken] / side, 0, 1)
    return codes, corners


def _network(facts: Mapping[str, Any]) -> PublishedHead:
    from stackbone.stack.detection.heads.published.network import PublishedHead

    _, height, width, depth = facts["pyramid"]["levels"][-1]
    return PublishedHead(depth, height, width, facts["n_slots"], len(facts["classes"]))


HEAD = Published()
