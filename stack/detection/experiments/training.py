"""Heads that are trained on some images and find objects in others, as far as no earlier run did the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.experiments.kept import DetectionCache, Found, key_of
from stackbone.stack.detection.head import HEADS, PRECISIONS, FittedHead
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.detection.records.sources import MapBackbone


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains heads on rows of annotated images.

    Attributes
    ----------
    annotated : AnnotatedImages
        All images.
    seed : int
        Of the heads.
    cache : DetectionCache
        Of what was found before.
    settings : mapping
        Arguments of heads' `fit`, JSON-able, by head.
    progress : callable
        See `cache.progress.Progress`.
    """

    annotated: AnnotatedImages
    seed: int
    cache: DetectionCache
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    progress: Progress = silent

    def find(
        self, head: str, backbone: MapBackbone, train: NDArray[np.int64], test: NDArray[np.int64], where: str
    ) -> Found:
        """Return what a head that is trained on some rows finds in others; `where` says whose, for the progress."""
        key = self._key(head, backbone, train, test)
        kept = self.cache.load(key, len(test))
        if kept is not None:
            return kept
        started = perf_counter()
        fitted = self._fit(head, backbone, train, key, where)
        found = Found(self._detect(fitted, backbone, test, where), perf_counter() - started)
        self.cache.save(key, backbone.ids, found)
        self.cache.finished(key)
        return found

    def fit(self, head: str, backbone: MapBackbone, train: NDArray[np.int64], where: str) -> FittedHead:
        """Return a head that is trained on some rows."""
        key = self._key(head, backbone, train, np.zeros(0, np.int64))
        fitted = self._fit(head, backbone, train, key, where)
        self.cache.finished(key)
        return fitted

    def _key(self, head: str, backbone: MapBackbone, train: NDArray[np.int64], test: NDArray[np.int64]) -> str:
        settings = {"precision": PRECISIONS[0], **self.settings.get(head, {})}
        described = {
            "head": head,
            "head_version": HEADS[head].version,
            "package": HEADS.package_of(head),
            "settings": settings,
            "feature_sets": backbone.ids,
            "seed": self.seed,
        }
        return key_of(described, self.annotated, train, test)

    def _fit(self, head: str, backbone: MapBackbone, train: NDArray[np.int64], key: str, where: str) -> FittedHead:
        annotated = self.annotated
        return HEADS[head].fit(
            backbone.maps,
            annotated.images.digests[train],
            [annotated.boxes[row] for row in train.tolist()],
            annotated.classes,
            self.seed,
            sizes=annotated.sizes[train],
            mirrored=backbone.mirrored_maps,
            checkpoint=self.cache.checkpoint(key) if HEADS[head].has_epochs else None,
            on_progress=self._told(where),
            **self.settings.get(head, {}),
        )

    def _detect(
        self, fitted: FittedHead, backbone: MapBackbone, rows: NDArray[np.int64], where: str
    ) -> list[Detections]:
        annotated = self.annotated
        return fitted.detect(
            backbone.maps,
            annotated.images.digests[rows],
            annotated.sizes[rows],
            on_progress=self._told(where),
        )

    def _told(self, where: str) -> Progress:
        return lambda what, done, total: self.progress(f"{where}: {what}", done, total)
