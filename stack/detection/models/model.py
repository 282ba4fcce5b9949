"""A finished detector: heads of several backbones, how their boxes are fused, and which of these are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSpec, ModelError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.fusion import fuse
from stackbone.stack.detection.head import FittedHead
from stackbone.stack.detection.records.experiment import FUSION
from stackbone.stack.detection.source import MapSource
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel


@dataclass(frozen=True, eq=False)
class DetectionModel:
    """All that it takes to find objects in the maps of new images.

    Attributes
    ----------
    classes : tuple of str
        Names by number.
    head : str
        Kind of the heads.
    backbones : list of ModelBackbone
        Whose maps it takes.
    heads : list of FittedHead
        One of each.
    weights : list of float
        What each counts for in the fusion, 0 or more; of one backbone 1.
    overlap : float
        From which on boxes of several backbones are taken for one object.
    thresholds : NDArray[np.float64]
        ``(n_classes,)`` scores from which on a box is shown.
    n_images : int
        Images that it was fitted on.
    digests_sha256 : str
        Which: see `stack.models.model.hash_digests`.
    seen : NDArray[np.uint8]
        ``(n_images, 8)`` first bytes of their digests, ascending.
    score : dict of str to str
        Its score on images that it had not seen, as printed.
    versions : dict of str to str
        Libraries that made it.
    created : str
        When, in ISO 8601.

    Raises
    ------
    ModelError
        If the parts contradict each other.
    """

    classes: tuple[str, ...]
    head: str
    backbones: list[ModelBackbone]
    heads: list[FittedHead]
    weights: list[float]
    overlap: float
    thresholds: NDArray[np.float64]
    n_images: int
    digests_sha256: str
    seen: NDArray[np.uint8]
    score: dict[str, str]
    versions: dict[str, str]
    created: str

    def __post_init__(self) -> None:
        if problem := self._problem():
            message = f"the model is not valid: {problem}. Fit it again, with `stackbone detect --save FILE`"
            raise ModelError(message)

    def _problem(self) -> str | None:
        n = len(self.backbones)
        weights = np.array(self.weights, np.float64)
        if not n or len(self.heads) != n or len(weights) != n:
            return f"it has {n} backbones, {len(self.heads)} heads and {len(weights)} weights"
        if len({each.name for each in self.backbones}) < n:
            return "two of its backbones have one name"
        if not self.classes or len(set(self.classes)) < len(self.classes):
            return "its classes are none, or one is twice among them"
        if any(each.classes != self.classes for each in self.heads):
            return "a head finds other classes than the model names"
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            return f"its weights are {self.weights}, expected numbers of 0 or more that are not all 0"
        if not 0 < self.overlap <= 1:
            return f"its overlap is {self.overlap}, expected a number above 0 and at most 1"
        if self.thresholds.shape != (len(self.classes),) or not np.isfinite(self.thresholds).all():
            return "its thresholds are not one finite number for each class"
        if self.seen.dtype != np.uint8 or self.seen.shape != (self.n_images, 8):
            return f"it lists {len(self.seen):,} training images and says {self.n_images:,}"
        return None

    @property
    def name(self) -> str:
        """What its detector is called in tables."""
        return f"{self.head}:{FUSION if len(self.backbones) > 1 else self.backbones[0].name}"

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """Every feature set that it takes, with what it stands for."""
        return {identity: spec for backbone in self.backbones for identity, spec in backbone.specs.items()}

    def detect(
        self,
        sources: Sequence[MapSource],
        digests: Digests,
        sizes: NDArray[np.int64],
        *,
        progress: Progress = silent,
    ) -> list[Detections]:
        """Return what it finds in each image, also below its thresholds.

        Parameters
        ----------
        sources : sequence of MapSource
            Maps of each backbone, in order.
        digests : Digests
            ``(n, 32)`` of the images.
        sizes : NDArray[np.int64]
            ``(n, 2)`` width and height of the upright images in pixels.
        progress : callable
            See `cache.progress.Progress`.

        Raises
        ------
        StackError
            If maps have another shape than those that it was fitted on.
        """
        found = []
        for backbone, head, source in zip(self.backbones, self.heads, sources, strict=True):
            told = _named(progress, backbone.name)
            found.append(head.detect(source, digests, sizes, on_progress=told))
        return found[0] if len(found) == 1 else fuse(found, self.weights, self.overlap)

    def knows(self, digests: Digests) -> NDArray[np.bool_]:
        """Return ``(n,)`` whether it was fitted on each of ``(n, 32)`` images; see `StackModel.knows`."""
        first = np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(len(digests))
        return np.isin(first, np.ascontiguousarray(self.seen).view(">u8").reshape(-1))

    def describe(self) -> str:
        """Return in one line what it is made of and how well it does."""
        names = ", ".join(each.name for each in self.backbones)
        score = ", ".join(f"{name} {value}" for name, value in self.score.items()) or "never scored"
        what = f"fusion of {self.head} heads on" if len(self.backbones) > 1 else f"{self.head} head on"
        return (
            f"finds {counted(len(self.classes), 'class', 'classes')} by a {what} {names}; {self.n_images:,} training "
            f"images; on unseen images: {score}"
        )


AnyModel = StackModel | DetectionModel


def _named(progress: Progress, name: str) -> Progress:
    return lambda what, done, total: progress(f"{name}: {what}", done, total)
