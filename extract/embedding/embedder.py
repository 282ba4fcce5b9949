"""One backbone at work: its images still to do, its half-filled batch, its rows not yet committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSet, FeatureSpec, StackboneError
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.records.cut import named_cut
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.engines.engine import Engine

COMMIT_BYTES = 4 << 20  # of features at most in a shard; every copy made of them on their way to disk is as large

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
        (n,) bool: which of the n images that the pipeline goes through its feature set lacks.
    start
        Makes the engine; called once, when the first image arrives.
    batch_size
        Images the network takes at once; None leaves it to the engine. Halved when memory runs out.
    n_embedded, n_uncommitted
        Rows committed, and computed since.
    start_seconds, embed_seconds, commit_seconds
        Wall time spent on making the engine, in it, and on writing shards.
    """

    backbone: Backbone
    spec: FeatureSpec
    feature_set: FeatureSet
    lacking: NDArray[np.bool_]
    start: Callable[[], Engine]
    provenance: Mapping[str, str]
    batch_size: int | None = None
    n_embedded: int = 0
    n_uncommitted: int = 0
    start_seconds: float = 0.0
    embed_seconds: float = 0.0
    commit_seconds: float = 0.0
    _engine: Engine | None = None
    _cut: set[bytes] = field(default_factory=set)
    _batch: list[tuple[bytes, NDArray[np.uint8]]] = field(default_factory=list)
    # The same place serves every commit: rows kept batch by batch would be joined by another copy of them all.
    _digests: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, DIGEST_BYTES), np.uint8))
    _features: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def take(self, digest: bytes, pixels: NDArray[np.uint8], *, is_cut: bool = False) -> dict[bytes, Failure]:
        """Add an image to the batch, and embed the batch once it is full; returns what `run` does.

        Parameters
        ----------
        is_cut
            Whether its file is cut short, for the shard to say so.
        """
        if is_cut:
            self._cut.add(digest)
        if self._engine is None:
            started = time.perf_counter()
            self._engine = self.start()
            self.start_seconds = time.perf_counter() - started
        self._batch.append((digest, pixels))
        return self.run() if len(self._batch) >= (self.batch_size or self._engine.batch_size) else {}

    def run(self) -> dict[bytes, Failure]:
        """Embed the batch, after a commit if there is no room for its rows; return the digests without finite features.

        Raises
        ------
        StackboneError
            If there is not enough memory for a single image; also as of `commit`.
        """
        if not self._batch or self._engine is None:
            return {}
        if self.n_uncommitted + len(self._batch) > len(self._features):
            self.commit()
        digests = [digest for digest, _ in self._batch]
        started = time.perf_counter()
        features = self._embed(self._engine, np.stack([pixels for _, pixels in self._batch]))
        self.embed_seconds += time.perf_counter() - started
        self._batch.clear()
        sound: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(features), axis=1)
        if sound.any():
            self._keep([digest for digest, good in zip(digests, sound, strict=True) if good], features[sound])
        failure = Failure(f"{self.backbone.name} gave features that are not finite ({self.spec.precision})")
        return {digest: failure for digest, good in zip(digests, sound, strict=True) if not good}

    def commit(self) -> None:
        """Write the rows computed since the last commit as one shard; errors as `FeatureSet.append`."""
        n = self.n_uncommitted
        if not n or self._engine is None:
            return
        started = time.perf_counter()
        created = datetime.now(UTC).isoformat(timespec="seconds")
        rate = f"{(self.n_embedded + n) / self.embed_seconds:.1f}"
        provenance = {**self.provenance, **self._engine.provenance, "created": created, "images_per_s": rate}
        if self._cut:
            provenance |= named_cut(row.tobytes().hex() for row in self._digests[:n] if row.tobytes() in self._cut)
        self.feature_set.append(self.spec, self._digests[:n], self._features[:n], provenance)
        self.n_uncommitted = 0
        self.n_embedded += n
        self.commit_seconds += time.perf_counter() - started

    def _keep(self, digests: list[bytes], features: NDArray[np.float32]) -> None:
        if len(features) > len(self._features):
            n_rows = max(len(features), COMMIT_BYTES // features[0].nbytes)
            self._digests = np.empty((n_rows, DIGEST_BYTES), np.uint8)
            self._features = np.empty((n_rows, features.shape[1]), np.float32)
        rows = slice(self.n_uncommitted, self.n_uncommitted + len(features))
        self._digests[rows] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        self._features[rows] = features
        self.n_uncommitted = rows.stop  # last, so that an interrupt finds as many digests as features

    def _embed(self, engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return engine.embed(pixels)
        except MemoryError as exc:
            half = len(pixels) // 2
            if not half:
                message = (
                    f"there is not enough memory to run {self.backbone.name} on one image "
                    f"({engine.provenance.get('device', 'cpu')}). Close other programs, or choose another --device; "
                    "what was computed is kept"
                )
                raise StackboneError(message) from exc
            self.batch_size = half
            _log.warning(
                "%s: out of memory with %d images at once; going on with %d", self.backbone.name, 2 * half, half
            )
        return np.concatenate([self._embed(engine, pixels[:half]), self._embed(engine, pixels[half:])])
