"""The `conv` head: every cell of the pyramid says what object it lies in, and where the object's edges are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.cells import Cells, corners_of
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.finding import find_objects
from stackbone.stack.detection.framed import framed_boxes, image_sizes
from stackbone.stack.detection.head import FittedHead, Head, Tensors
from stackbone.stack.detection.networks import from_tensors, to_tensors
from stackbone.stack.detection.source import Digests, HeldMaps, Maps, MapSource, check_pyramid, pyramid_shape

if TYPE_CHECKING:
    from stackbone.stack.detection.heads.conv.network import ConvHead
    from stackbone.stack.detection.heads.conv.training import Plan

REACH = 4.0
"""Farthest edge that a level is for, in its strides: half of the paper's.

Frozen features tell more on coarser levels. Chosen among 4 and 8 on blood cells (BCCD, EfficientNet-Lite0 with mirrored
maps, 416 pixels): trained on the 205 images of its train split, AP50 on the 87 of its validation split is .894 with 4
and .876 with 8. (An earlier comparison had looked at the test split, with the same outcome.)
"""


class ConvFitted(FittedHead):
    """A trained `conv` head.

    Parameters
    ----------
    network : ConvHead
        Its network.
    facts : dict
        See `FittedHead`.
    """

    head = "conv"

    def __init__(self, network: ConvHead, facts: dict[str, Any]) -> None:
        self._network, self.facts = network, facts
        self.classes = tuple(facts["classes"])

    def detect(
        self, source: MapSource, digests: Digests, sizes: NDArray[np.integer], *, on_progress: Progress = silent
    ) -> list[Detections]:
        """Find objects: see `FittedHead.detect`."""
        import torch

        from stackbone.stack.detection.heads.conv.network import as_tensors

        check_pyramid(source, self.facts["pyramid"])
        cells = Cells.of(source.levels)

        def say(maps: Maps) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            with torch.inference_mode():
                logits, edges, centre = self._network(as_tensors(maps))
                scores = (logits.sigmoid() * centre.sigmoid()[..., None]).sqrt().numpy()
            return scores, corners_of(cells, edges.numpy())

        return find_objects(say, source, digests, sizes, on_progress)

    def to_tensors(self) -> Tensors:
        """Return its parameters and what it standardises maps by."""
        return to_tensors(self._network)


class Conv(Head):
    """See the module."""

    name = "conv"
    what = "a small network without anchors on the whole pyramid"
    source = "Tian et al. 2019, FCOS: Fully Convolutional One-Stage Object Detection, ICCV, arXiv 1904.01355"
    place = 0
    has_epochs = True
    has_precision = True

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
        precision: str | None = None,
        plan: Plan | None = None,
    ) -> ConvFitted:
        """Train; the same arguments give the same head on the same machine with the same number of torch's threads.

        Parameters
        ----------
        epochs : int, optional
            How often each image is seen; by default as often as `plan` says.
        precision : str, optional
            One of `head.PRECISIONS`, by default what `plan` says.
        plan : Plan, optional
            How it is trained, if not as usual. The others are those of `Head.fit`.
        """
        from stackbone.stack.detection.heads.conv.training import Examples, Plan, train

        plan = plan or Plan()
        plan = plan if epochs is None else replace(plan, n_epochs=epochs)
        plan = plan if precision is None else replace(plan, precision=precision)
        known = image_sizes(boxes, sizes)
        views = [source] if mirrored is None else [source, mirrored]
        framed = [framed_boxes(boxes, known, source.side, classes, mirrored=view is not source) for view in views]
        examples = Examples(
            tuple(HeldMaps(view, digests, plan.held_bytes // len(views)) for view in views), tuple(framed)
        )
        depths = [each.depth for each in source.levels]
        network, told = train(
            examples,
            Cells.of(source.levels, REACH),
            depths,
            len(classes),
            seed,
            plan,
            checkpoint=checkpoint,
            on_progress=on_progress,
        )
        facts: dict[str, Any] = {
            "classes": list(classes),
            "pyramid": pyramid_shape(source),
            "seed": seed,
            "n_images": len(digests),
            "width": plan.width,
            "depth": plan.depth,
            "parameters": sum(each.numel() for each in network.parameters()),
            **told,
        }
        return ConvFitted(network, facts)

    def from_tensors(self, tensors: Mapping[str, NDArray[np.float32]], facts: Mapping[str, Any]) -> ConvFitted:
        """Return a head of its parameters: see `Head.from_tensors`."""
        import torch

        from stackbone.stack.detection.heads.conv.network import ConvHead

        def make() -> ConvHead:
            depths = [level[3] for level in facts["pyramid"]["levels"]]
            return ConvHead(depths, len(facts["classes"]), facts["width"], facts["depth"])

        network = from_tensors(self.name, make, tensors)
        return ConvFitted(network.to(memory_format=torch.channels_last), dict(facts))


HEAD = Conv()
