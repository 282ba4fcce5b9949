"""One backbone at work: its images still to do, its half-filled batch, its rows not yet committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from cache import FeatureSet, FeatureSpec, StackboneError
from extract.backbones import Backbone
from extract.engines import Engine

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why an image has no features.

    Attributes
    ----------
    reason
        In words.
    lasting
        Whether the same bytes would fail again; False where the file could not be read this time.
    """

    reason: str
    lasting: bool = True


@dataclass
class Embedder:
    """Fills batches, runs them, and commits what came out.

    Attributes
    ----------
    lacking
        Digests that its feature set lacks.
    start
        Makes the engine; called once, when the first image arrives.
    batch_size
        Images the network takes at once; None leaves it to the engine. Halved when memory runs out.
    n_embedded
        Rows committed.
    start_seconds, embed_seconds
        Wall time spent on making the engine, and in it.
    """

    backbone: Backbone
    spec: FeatureSpec
    feature_set: FeatureSet
    lacking: set[bytes]
    start: Callable[[], Engine]
    provenance: Mapping[str, str]
    batch_size: int | None = None
    n_embedded: int = 0
    start_seconds: float = 0.0
    embed_seconds: float = 0.0
    _engine: Engine | None = None
    _batch: list[tuple[bytes, NDArray[np.uint8]]] = field(default_factory=list)
    _rows: list[tuple[list[bytes], NDArray[np.float32]]] = field(default_factory=list)

    def take(self, digest: bytes, pixels: NDArray[np.uint8]) -> dict[bytes, Failure]:
        """Add an image to the batch, and embed the batch once it is full; returns what `run` does."""
        if self._engine is None:
            started = time.perf_counter()
            self._engine = self.start()
            self.start_seconds = time.perf_counter() - started
        self._batch.append((digest, pixels))
        return self.run() if len(self._batch) >= (self.batch_size or self._engine.batch_size) else {}

    def run(self) -> dict[bytes, Failure]:
        """Embed the batch; return the digests that gave features which are not finite.

        Raises
        ------
        StackboneError
            If memory does not suffice for a single image.
        """
        if not self._batch or self._engine is None:
            return {}
        digests = [digest for digest, _ in self._batch]
        started = time.perf_counter()
        features = self._embed(self._engine, np.stack([pixels for _, pixels in self._batch]))
        self.embed_seconds += time.perf_counter() - started
        self._batch.clear()
        sound = [bool(np.isfinite(row).all()) for row in features]
        # In one step, so that an interrupt finds as many digests as features.
        self._rows.append(
            ([digest for digest, good in zip(digests, sound, strict=True) if good], features[np.array(sound)])
        )
        failure = Failure(f"{self.backbone.name} gave features that are not finite ({self.spec.precision})")
        return {digest: failure for digest, good in zip(digests, sound, strict=True) if not good}

    def commit(self) -> None:
        """Write the rows computed since the last commit as one shard; errors as `FeatureSet.append`."""
        digests = b"".join(digest for batch, _ in self._rows for digest in batch)
        if not digests or self._engine is None:
            return
        created = datetime.now(UTC).isoformat(timespec="seconds")
        provenance = {**self.provenance, **self._engine.provenance, "created": created}
        features = np.concatenate([features for _, features in self._rows])
        self.feature_set.append(self.spec, np.frombuffer(digests, np.uint8).reshape(-1, 32), features, provenance)
        self._rows.clear()
        self.n_embedded += len(features)

    def _embed(self, engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return engine.embed(pixels)
        except MemoryError as exc:
            half = len(pixels) // 2
            if not half:
                message = (
                    f"memory does not suffice to run {self.backbone.name} on one image "
                    f"({engine.provenance.get('device', 'cpu')}). Close other programs, or choose another --device; "
                    "what was computed is kept"
                )
                raise StackboneError(message) from exc
            self.batch_size = half
            _log.warning(
                "%s: out of memory with %d images at once; going on with %d", self.backbone.name, 2 * half, half
            )
        return np.concatenate([self._embed(engine, pixels[:half]), self._embed(engine, pixels[half:])])
