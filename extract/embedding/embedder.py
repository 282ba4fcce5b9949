"""One network at work: its images still to do, its half-filled batch, the feature sets that one pass fills."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackboneError
from stackbone.cache.records.feature_name import PLAIN
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.engines.contract import Computed, Engine, RunsAhead

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why an image has no features.

    Attributes
    ----------
    reason
        In words.
    lasting
        Whether the same bytes would fail again, whatever embeds them; False where the file could not be read this
        time, or one network in one precision gave nothing for it.
    """

    reason: str
    lasting: bool = True


Wait = Callable[[], Computed]
"""Waits for a batch, and gives what became of it."""


@dataclass(frozen=True)
class _Running:
    """A batch that was started: whose it is, and what waits for its features."""

    numbers: Sequence[int]
    views: Sequence[str]
    digests: Sequence[bytes]
    sizes: Sequence[tuple[int, int]]
    wait: Wait


def _nobody_watches() -> None:
    """Do nothing."""


@dataclass
class Embedder:
    """Fills batches, runs them, and commits what came out.

    Of an engine that runs ahead, one batch computes while the next is filled.

    Attributes
    ----------
    fillings
        The feature sets that are filled: each pass of an image fills those of one view, whatever the output.
    start
        Makes the engine; called once, when the first image arrives.
    batch_size
        Images the network takes at once; None leaves it to the engine. Halved when memory runs out.
    fill_batches
        Whether the last batch is filled up where the engine asks for it, so that a row has the same bytes whichever
        other images a run, or a part of it, has. Alone it would cost one image the time of a batch.
    on_step
        Called after each batch, or part of one, and each commit, so that who watches knows that it does not hang.
    n_run
        Passes of the network, one for each view of an image.
    start_seconds, embed_seconds, commit_seconds
        Wall time spent on making the engine, by the network on its batches (on a GPU beside all else), and on writing
        shards.
    """

    backbone: Backbone
    fillings: Sequence[Filling]
    start: Callable[[], Engine]
    provenance: Mapping[str, str]
    batch_size: int | None = None
    fill_batches: bool = False
    on_step: Callable[[], object] = _nobody_watches
    n_run: int = 0
    start_seconds: float = 0.0
    embed_seconds: float = 0.0
    commit_seconds: float = 0.0
    _engine: Engine | None = None
    _cut: set[bytes] = field(default_factory=set)
    _batch: list[tuple[int, str, bytes, NDArray[np.uint8], tuple[int, int]]] = field(default_factory=list)
    _running: _Running | None = None

    @cached_property
    def lacking_of(self) -> dict[str, NDArray[np.bool_]]:
        """By view, (n,) bool: which of the n images that the pipeline goes through some feature set of it lacks."""
        views = dict.fromkeys(each.spec.view for each in self.fillings)
        return {
            view: np.logical_or.reduce([each.lacking for each in self.fillings if each.spec.view == view])
            for view in views
        }

    @cached_property
    def lacking(self) -> NDArray[np.bool_]:
        """(n,) bool: which of the n images that the pipeline goes through some of its feature sets lacks."""
        lacking: NDArray[np.bool_] = np.logical_or.reduce(list(self.lacking_of.values()))
        return lacking

    @property
    def runs_ahead(self) -> bool:
        """Whether the network computes beside what the run does meanwhile."""
        return isinstance(self._engine, RunsAhead) and self._engine.runs_ahead

    @property
    def n_uncommitted(self) -> int:
        """Rows computed since the last commit, of the feature set that has the most."""
        return max(each.n_uncommitted for each in self.fillings)

    def take(
        self,
        number: int,
        digest: bytes,
        pixels: NDArray[np.uint8],
        *,
        view: str = PLAIN,
        size: tuple[int, int] = (0, 0),
        is_cut: bool = False,
    ) -> dict[bytes, Failure]:
        """Add a view of an image to the batch, and embed the batch once it is full; returns what `run` does.

        Parameters
        ----------
        number
            Which of the images it is that the pipeline goes through.
        view
            Which view of it the pixels are.
        size
            Width and height of the upright image that they were made of, in pixels.
        is_cut
            Whether its file is cut short, for the shard to say so.
        """
        if is_cut:
            self._cut.add(digest)
        if self._engine is None:
            started = time.perf_counter()
            self._engine = self.start()
            self.start_seconds = time.perf_counter() - started
        self._batch.append((number, view, digest, pixels, size))
        return self.run() if len(self._batch) >= (self.batch_size or self._engine.batch_size) else {}

    def run(self) -> dict[bytes, Failure]:
        """Embed the batch, and return the digests without finite features; a feature set gets the rows that it lacks.

        Of an engine that runs ahead, the batch is started, and what is returned and kept is that of the one before.

        Raises
        ------
        StackboneError
            If there is not enough memory for a single image; also as of `commit`.
        """
        if not self._batch or self._engine is None:
            return {}
        numbers, views, digests, pixels, sizes = zip(*self._batch, strict=True)
        size = self.batch_size or self._engine.batch_size
        n_more = max(0, size - len(pixels)) if self.fill_batches and self._engine.is_bound_to_batch else 0
        wait = self._launch(self._engine, np.stack([*pixels, *pixels[-1:] * n_more]))
        self._batch.clear()
        failed = self._take_in()
        self._running = _Running(numbers, views, digests, sizes, wait)
        return failed if self.runs_ahead else self._take_in()

    def finish(self) -> dict[bytes, Failure]:
        """Embed what is left, wait for all of it, and return what `run` does."""
        return self.run() | self._take_in()

    def _take_in(self) -> dict[bytes, Failure]:
        """Wait for the batch that runs, and keep its features; returns what `run` does."""
        if self._running is None or self._engine is None:
            return {}
        running, self._running = self._running, None
        numbers, views, digests, sizes = running.numbers, running.views, running.digests, running.sizes
        computed = running.wait()
        self.on_step()
        results = [each[: len(digests)] for each in computed.features]
        self.embed_seconds += computed.seconds
        self.n_run += len(digests)
        self._commit([each for each in self.fillings if not each.has_room(len(digests))])
        failed: dict[bytes, Failure] = {}
        of_output = {form.output: (form, each) for form, each in zip(self._engine.forms, results, strict=True)}
        for filling in self.fillings:
            form, result = of_output[filling.spec.output]
            with np.errstate(over="ignore"):  # what becomes infinite in float16 is said of the image
                features = result.astype(form.dtype, copy=False)
            lacking = filling.lacking[list(numbers)] & np.array([view == filling.spec.view for view in views])
            sound: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(features), axis=1)
            if (kept := lacking & sound).any():
                rows: list[int] = np.flatnonzero(kept).tolist()
                filling.keep([digests[row] for row in rows], features[kept], [sizes[row] for row in rows])
            reason = f"{filling.feature_set.backbone} gave features that are not finite ({filling.spec.precision})"
            lost: list[int] = np.flatnonzero(lacking & ~sound).tolist()
            failed |= {digests[row]: Failure(reason, lasting=False) for row in lost}
        return failed

    def rescue(self) -> None:
        """Commit what was computed before an error, the batch that still runs too, if it ends well."""
        with suppress(StackboneError, MemoryError):
            self._take_in()
        self.commit()

    def commit(self) -> None:
        """Write the rows computed since the last commit as one shard each; errors as `FeatureSet.append`."""
        self._commit(self.fillings)

    def _commit(self, fillings: Sequence[Filling]) -> None:
        waiting = [each for each in fillings if each.n_uncommitted]
        if not waiting or self._engine is None:
            return
        started = time.perf_counter()
        forms = {form.output: form for form in self._engine.forms}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        rate = f"{self.n_run / self.embed_seconds:.1f}"
        provenance = {**self.provenance, **self._engine.provenance, "created": created, "images_per_s": rate}
        for filling in waiting:
            filling.commit(forms[filling.spec.output], provenance, self._cut)
            self.on_step()
        self.commit_seconds += time.perf_counter() - started

    def _launch(self, engine: Engine, pixels: NDArray[np.uint8]) -> Wait:
        """Start a batch, in parts where it does not fit into memory at once, and return what waits for it."""
        waits: list[Wait] = []
        start, size = 0, len(pixels)
        while start < len(pixels):
            try:
                waits.append(_start(engine, pixels[start : start + size]))
                self.on_step()
                start += size
                continue
            except MemoryError as exc:
                size //= 2
                if not size:
                    message = (
                        f"there is not enough memory to run {self.backbone.name} on one image "
                        f"({engine.provenance.get('device', 'cpu')}). Close other programs, or choose another "
                        "--device; what was computed is kept"
                    )
                    raise StackboneError(message) from exc
            self.batch_size = size
            _log.warning(
                "%s: out of memory with %d images at once; going on with %d", self.backbone.name, 2 * size, size
            )
        return waits[0] if len(waits) == 1 else lambda: _joined(waits)


def _start(engine: Engine, pixels: NDArray[np.uint8]) -> Wait:
    if isinstance(engine, RunsAhead) and engine.runs_ahead:
        return engine.launch(pixels)
    started = time.perf_counter()
    features = engine.embed(pixels)
    computed = Computed(features, time.perf_counter() - started)
    return lambda: computed


def _joined(waits: Sequence[Wait]) -> Computed:
    done = [wait() for wait in waits]
    features = [np.concatenate(parts) for parts in zip(*(each.features for each in done), strict=True)]
    return Computed(features, sum(each.seconds for each in done))
