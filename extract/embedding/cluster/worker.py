"""A worker of a cluster: holds the networks, embeds pieces of a run, and writes the shards. It knows nothing of Ray."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureStore, StackboneError
from stackbone.cache.errors import ClusterError
from stackbone.cache.places.place import Place
from stackbone.extract.backbones.weights import Weights, find_weights
from stackbone.extract.embedding.cluster.cores import bind_to_cores
from stackbone.extract.embedding.embedder import Embedder, Failure
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import Profile, embed_images, find_unreadable
from stackbone.extract.embedding.spread.job import Job
from stackbone.extract.engines.contract import Engine


@dataclass(frozen=True, eq=False)
class Order:
    """A piece of a run, as a worker gets it: paths and digests, and no pixels.

    Attributes
    ----------
    paths, digests
        Of n images, relative to the dataset's root; (n, 32) uint8.
    lacking
        Feature set id to (n,) bool: which of them it lacks; None to look that up, since a worker was lost with it.
    """

    paths: Sequence[str]
    digests: Digests
    lacking: Mapping[str, NDArray[np.bool_]] | None


@dataclass(frozen=True)
class Passes:
    """What a network did for a piece: as of `Embedder`."""

    n_run: int
    start_seconds: float
    embed_seconds: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a piece; its rows are committed.

    Attributes
    ----------
    n_embedded
        Feature set id to rows that were committed.
    passes
        Backbone's key to what its network did.
    failed, remarks, profile
        As of `embed_images`.
    error
        Why it ended early; None if it did not.
    """

    n_embedded: dict[str, int]
    passes: dict[str, Passes]
    failed: dict[bytes, Failure]
    remarks: dict[bytes, list[str]]
    profile: Profile
    error: StackboneError | None = None


class _StoppedError(Exception):
    """The run was interrupted: what is computed is to be committed."""


@dataclass
class Worker:
    """Embeds pieces of one run, one after another, with networks that stay loaded.

    Attributes
    ----------
    job
        What is computed.
    wanted
        Ids of the feature sets that lacked any image when the run began.
    cache, root
        Where features go and where the images lie: the same folders, or URLs, on every machine.
    decoders
        Decoding threads; by default one per core.
    mark
        A file in the cache that its machine must see: a folder of the same name there may be another.
    n_done, n_steps
        Images of the piece at work that are done, and all that it ever did: images, batches, commits, and networks
        that it started.
    """

    job: Job
    wanted: frozenset[str]
    cache: Place
    root: Path
    decoders: int | None = None
    mark: Path | None = None
    n_done: int = 0
    n_steps: int = 0
    _engines: dict[str, Engine] = field(default_factory=dict)
    _is_stopped: bool = False

    def prepare(self, n_cores: int | None, slot: int = 0) -> None:
        """Take a number of this machine's cores at most, and check that it sees what the run needs.

        Parameters
        ----------
        n_cores
            All of them if it is None.
        slot
            Which of the workers of this machine it is, so that each has cores of its own.

        Raises
        ------
        ClusterError
            If it does not.
        WeightsError
            If weights are neither where the run has them nor anywhere else.
        """
        if n_cores:
            bind_to_cores(n_cores, slot)
        for what, place in (("dataset", self.root), ("cache", self.cache)):
            if isinstance(place, Path) and not place.is_dir():
                message = (
                    f"the machine {platform.node()} does not see the {what} in {place}: mount it there under the "
                    "same path, or keep it behind a URL"
                )
                raise ClusterError(message)
        if self.mark and not self.mark.is_file():
            message = (
                f"the machine {platform.node()} has another folder than the run as the cache {self.cache}: mount the "
                "run's there under the same path, or keep the cache behind a URL"
            )
            raise ClusterError(message)
        self.job = replace(self.job, weights={key: self._here(key, each) for key, each in self.job.weights.items()})

    def _here(self, key: str, weights: Weights) -> Weights:
        """Return weights with the file that this machine has of them."""
        if weights.path is None or weights.path.is_file():
            return weights
        (backbone,) = (each for each in self.job.backbones if each.key == key)
        found = find_weights([backbone], {})[key]
        if found.identity != weights.identity:
            message = (
                f"the machine {platform.node()} has other weights of {backbone.name} ({found.identity}) than the "
                f"run ({weights.identity}, {weights.source}). Put them where all machines see them, and name the file "
                f"with --weights"
            )
            raise ClusterError(message)
        return found

    def stop(self) -> None:
        """Let the piece at work end early, with what is computed committed."""
        self._is_stopped = True

    def progress(self) -> tuple[int, int]:
        """Return how many images of the piece at work are done, and a number that stays only while nothing is done."""
        return self.n_done, self.n_steps

    def embed(self, order: Order) -> Outcome:
        """Embed a piece and commit it."""
        store = FeatureStore(self.cache)
        images = Images(self.root, order.paths, order.digests, np.arange(len(order.paths)))
        self.n_done, profile = 0, Profile()
        failed: dict[bytes, Failure] = {}
        remarks: dict[bytes, list[str]] = {}
        error: StackboneError | None = None
        fillings = self._fillings(store, images, order)
        embedders = self._embedders({key: own for key, own in fillings.items() if _lacks(own)})
        try:
            if order.lacking is None:  # what is committed was read by a worker that cannot tell how any more
                failed |= self._look_again(images, embedders, remarks)
            if embedders:
                failed |= embed_images(
                    images,
                    [*embedders.values()],
                    limits=self.job.limits,
                    workers=self.decoders,
                    profile=profile,
                    remarks=remarks,
                    on_progress=self._count,
                )
        except _StoppedError:
            pass
        except StackboneError as exc:
            error = exc
        return Outcome(
            n_embedded={each.feature_set.id: each.n_embedded for own in fillings.values() for each in own},
            passes={key: Passes(each.n_run, each.start_seconds, each.embed_seconds) for key, each in embedders.items()},
            failed=failed,
            remarks=remarks,
            profile=profile,
            error=error,
        )

    def _fillings(self, store: FeatureStore, images: Images, order: Order) -> dict[str, list[Filling]]:
        """Return the feature sets that the run fills, by the backbone's key, with which of the images they lack."""
        fillings: dict[str, list[Filling]] = {}
        for key, spec, found in self.job.feature_sets(store):
            if found.id in self.wanted:
                lacking, cut = (
                    found.look_up(images.digests) if order.lacking is None else (order.lacking[found.id], None)
                )
                no_cut = np.zeros(len(images), np.bool_)
                fillings.setdefault(key, []).append(Filling(spec, found, lacking, no_cut if cut is None else cut))
        return fillings

    def _embedders(self, to_fill: Mapping[str, Sequence[Filling]]) -> dict[str, Embedder]:
        """Return what fills feature sets, with engines that stay from piece to piece."""
        made = self.job.embedders({each.key: to_fill.get(each.key, ()) for each in self.job.backbones})
        for key, each in made.items():
            each.start = partial(self._engine, key, each.start)
            each.on_step = self._step
        return made

    def _engine(self, key: str, start: Callable[[], Engine]) -> Engine:
        if key not in self._engines:
            self._engines[key] = start()
            self._step()
        return self._engines[key]

    def _look_again(
        self, images: Images, embedders: Mapping[str, Embedder], remarks: dict[bytes, list[str]]
    ) -> dict[bytes, Failure]:
        lacking = [each.lacking for each in embedders.values()] or [np.zeros(len(images), np.bool_)]
        there = np.flatnonzero(~np.logical_or.reduce(lacking))
        return find_unreadable(images, there, limits=self.job.limits, remarks=remarks, on_progress=self._count)

    def _count(self, done: int, _total: int) -> None:
        self.n_done = done
        self._step()
        if self._is_stopped:
            raise _StoppedError

    def _step(self) -> None:
        self.n_steps += 1


def _lacks(fillings: Sequence[Filling]) -> bool:
    return any(each.lacking.any() for each in fillings)
