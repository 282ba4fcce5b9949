"""The head of a run over a cluster: hands out pieces, takes in what became of them, starts workers where nodes come.

It holds paths and digests, and no pixels. A worker that ends costs the rows of its piece that are not committed.
"""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import UsageError
from stackbone.cache.cluster.causes import cause_of
from stackbone.cache.cluster.joining import joined
from stackbone.cache.errors import ClusterError
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Steps
from stackbone.cache.text import printable
from stackbone.extract.embedding.cluster.actor import actor_class
from stackbone.extract.embedding.cluster.placing import ClusterOptions, place_workers
from stackbone.extract.embedding.cluster.refusals import nobody_message, too_small_message
from stackbone.extract.embedding.cluster.work import Piece, Work
from stackbone.extract.embedding.cluster.worker import Order, Outcome, Worker
from stackbone.extract.embedding.embedder import Embedder, Failure
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import Profile
from stackbone.extract.embedding.spread.job import Job

_OBJECT_STORE_BYTES = 100 << 20  # paths, digests and reports go through it
_LOOK_SECONDS = 0.5  # between two looks at what workers did
_NODES_SECONDS = 3.0  # and at which nodes there are
_STOP_SECONDS = 20.0  # to commit what is computed when a run is interrupted
_MOST_SILENT_SECONDS = 120.0  # without any worker
_MOST_DEATHS = 3  # of workers of one node that did nothing
_log = logging.getLogger(__name__)


@dataclass
class _Hand:
    """A worker, on its node, and the piece that it has."""

    node: str
    slot: int  # which of the node's workers it is
    actor: Any
    waiting_for: Any  # its preparation, or the outcome of its piece
    piece: Piece | None = None
    is_ready: bool = False
    began: float = 0.0
    images_per_s: float | None = None
    n_seen: int = 0


@dataclass
class _Run:
    """A run over a cluster, as far as it is."""

    ray: Any
    options: ClusterOptions
    images: Images
    embedders: Mapping[str, Embedder]
    job: Job
    work: Work
    worker: bytes
    profile: Profile
    failed: dict[bytes, Failure]
    remarks: dict[bytes, list[str]]
    hands: list[_Hand] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    taking: set[str] = field(default_factory=set)  # nodes that are alive and large enough for a worker
    machines: dict[str, str] = field(default_factory=dict)  # names of nodes
    n_workers: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    def machine(self, hand: _Hand) -> str:
        return printable(self.machines.get(hand.node, hand.node))


def embed_on_cluster(
    images: Images,
    embedders: Mapping[str, Embedder],
    job: Job,
    cache: Place,
    options: ClusterOptions,
    *,
    workers: int | None = None,
    profile: Profile,
    remarks: dict[bytes, list[str]],
    on_progress: Steps,
) -> dict[bytes, Failure]:
    """Embed images as `embed_images` does, by workers of a cluster.

    Parameters
    ----------
    images, workers, profile, remarks, on_progress
        As of `embed_images`.
    embedders
        By the backbone's key. They are not run here: they say what is lacking, and get the counts.
    cache
        Where the features go.

    Raises
    ------
    UsageError
        If Ray is not installed, the images are in memory, or no node has as many GPUs or cores as a worker needs.
    ClusterError
        If the cluster cannot be joined, or no worker can work.
    StackboneError
        As of `embed_images`.
    """
    lacking = [each.lacking for each in embedders.values()]
    numbers = np.flatnonzero(np.logical_or.reduce(lacking)) if lacking else np.zeros(0, np.intp)
    failed: dict[bytes, Failure] = {}
    if not len(numbers):
        return failed
    if images.arrays:
        message = "images in memory are on this machine alone: --ray is for files. Leave it out, or write them to files"
        raise UsageError(message)
    wanted = frozenset(each.feature_set.id for own in embedders.values() for each in own.fillings)
    place = cache.absolute() if isinstance(cache, Path) else cache
    worker = pickle.dumps(Worker(job, wanted, place, images.root, workers))
    with joined(options.address, object_store_bytes=_OBJECT_STORE_BYTES) as ray:
        run = _Run(ray, options, images, embedders, job, Work(numbers), worker, profile, failed, remarks)
        with _ended(run):
            _drive(run, on_progress)
    return failed


def _drive(run: _Run, on_progress: Steps) -> None:
    """Hand out and take in until all is done."""
    n_all = len(run.work.numbers)
    looked, alive = -_NODES_SECONDS, time.monotonic()
    while not run.work.is_done:
        if time.monotonic() - looked > _NODES_SECONDS:
            _start_workers(run)
            looked = time.monotonic()
        _hand_out(run)
        busy = [each.waiting_for for each in run.hands if each.waiting_for is not None]
        ready, _ = run.ray.wait(busy, num_returns=1, timeout=_LOOK_SECONDS) if busy else ([], [])
        if not busy:
            time.sleep(_LOOK_SECONDS)
        for each in ready:
            _take_in(run, next(hand for hand in run.hands if hand.waiting_for == each))
        if any(each.is_ready for each in run.hands):
            alive = time.monotonic()
        elif time.monotonic() - alive > _MOST_SILENT_SECONDS or run.taking <= run.left_out.keys():
            raise ClusterError(nobody_message(run.left_out.values(), _MOST_SILENT_SECONDS))
        _look(run)
        on_progress(min(n_all, run.work.n_done + sum(each.n_seen for each in run.hands)), n_all)


def _start_workers(run: _Run) -> None:
    """Start workers on nodes that have fewer than fit."""
    nodes = run.ray.nodes()
    run.machines |= {each["NodeID"]: each["NodeManagerHostname"] for each in nodes if "NodeManagerHostname" in each}
    places = place_workers(nodes, run.options, run.job.on.device)
    run.taking = {each.node for each in places if each.n_workers}
    if not run.taking:
        raise UsageError(too_small_message(run.options))
    for place in places:
        taken = {each.slot for each in run.hands if each.node == place.node}
        n_more = 0 if place.node in run.left_out else place.n_workers - len(taken)
        for slot in [each for each in range(place.n_workers) if each not in taken][: max(0, n_more)]:
            actor = actor_class(run.ray, place.node, place.cores, place.gpus).remote(run.worker)
            preparation = actor.prepare.remote(None if place.gpus else place.cores, slot)
            run.hands.append(_Hand(place.node, slot, actor, preparation))


def _hand_out(run: _Run) -> None:
    """Give every worker that is ready and has nothing a piece."""
    for hand in run.hands:
        if not hand.is_ready or hand.piece is not None:
            continue
        piece = run.work.take(hand.images_per_s, sum(each.is_ready for each in run.hands))
        if piece is None:
            return
        files = run.images.rows[piece.numbers]
        lacking = {
            each.feature_set.id: each.lacking[piece.numbers] for own in run.embedders.values() for each in own.fillings
        }
        order = Order(
            [run.images.paths[row] for row in files.tolist()],
            run.images.file_digests[files],
            None if piece.n_lost else lacking,
        )
        hand.piece, hand.began, hand.n_seen = piece, time.monotonic(), 0
        hand.waiting_for = hand.actor.embed.remote(pickle.dumps(order))


def _take_in(run: _Run, hand: _Hand) -> None:
    """Take in what a worker has to say: that it is ready, what became of its piece, or nothing, if it is gone."""
    waited, hand.waiting_for = hand.waiting_for, None
    try:
        answer = pickle.loads(run.ray.get(waited))
    except run.ray.exceptions.RayTaskError as exc:
        message = (
            f"a worker of the cluster on {run.machine(hand)} failed: {cause_of(exc.cause or exc)}. What was committed "
            "is kept; run again, with --debug to see where it failed"
        )
        raise ClusterError(message) from exc
    except run.ray.exceptions.RayError as exc:  # it died, or its node did
        _bury(run, hand, f"{run.machine(hand)}: {cause_of(exc)}")
        return
    if hand.piece is None:
        if answer is None:
            hand.is_ready = True
        else:
            _leave_out(run, hand, str(answer))
        return
    piece, hand.piece, hand.n_seen = hand.piece, None, 0
    hand.images_per_s = len(piece) / max(1e-3, time.monotonic() - hand.began)
    run.n_workers.add(hand.actor._actor_id.hex())
    run.deaths.pop(hand.node, None)
    _add(run, answer)
    if answer.error:
        raise answer.error
    run.work.finish(piece)


def _add(run: _Run, outcome: Outcome) -> None:
    """Add what became of a piece to what the run tells at its end."""
    run.failed.update(outcome.failed)
    run.remarks.update(outcome.remarks)
    for embedder in run.embedders.values():
        for filling in embedder.fillings:
            filling.n_embedded += outcome.n_embedded.get(filling.feature_set.id, 0)
    for key, passes in outcome.passes.items():
        embedder = run.embedders[key]
        embedder.n_run += passes.n_run
        embedder.start_seconds = max(embedder.start_seconds, passes.start_seconds)
        run.seconds[key] = run.seconds.get(key, 0.0) + passes.embed_seconds
        embedder.embed_seconds = run.seconds[key] / len(run.n_workers)  # side by side
    for each in fields(Profile):
        setattr(run.profile, each.name, getattr(run.profile, each.name) + getattr(outcome.profile, each.name))


def _bury(run: _Run, hand: _Hand, reason: str) -> None:
    """Take back the piece of a worker that is gone."""
    run.hands.remove(hand)
    run.deaths[hand.node] = run.deaths.get(hand.node, 0) + 1
    if hand.piece is None or run.deaths[hand.node] > _MOST_DEATHS:
        _log.warning("a worker of the cluster ended: %s", reason)
    else:
        _log.warning("a worker of the cluster ended, and others go on with its %d images: %s", len(hand.piece), reason)
    if run.deaths[hand.node] >= _MOST_DEATHS and hand.piece is None:
        run.left_out[hand.node] = f"workers ended {_MOST_DEATHS} times at once: {reason}"
    if hand.piece is not None and not run.work.lose(hand.piece):
        digest = run.images[int(hand.piece.numbers[0])].digest
        run.failed[digest] = Failure("workers of the cluster ended when they read it; run again", lasting=False)


def _leave_out(run: _Run, hand: _Hand, why: str) -> None:
    """Do without a node that cannot work."""
    run.hands.remove(hand)
    if hand.node not in run.left_out:
        _log.warning("a node of the cluster is left out: %s", why)
    run.left_out[hand.node] = why
    with suppress(Exception):
        run.ray.kill(hand.actor)


def _look(run: _Run) -> None:
    """Look how far the workers are; of one that does not answer at once nothing new is known."""
    asked = {each.actor.progress.remote(): each for each in run.hands if each.piece is not None}
    if not asked:
        return
    ready, _ = run.ray.wait([*asked], num_returns=len(asked), timeout=_LOOK_SECONDS)
    for each in ready:
        with suppress(run.ray.exceptions.RayError):
            hand = asked[each]
            if hand.piece is not None:
                hand.n_seen = min(len(hand.piece), run.ray.get(each))


@contextmanager
def _ended(run: _Run) -> Iterator[None]:
    """Let workers end with the run; those of one that is interrupted commit what they computed, if that is quick."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            busy = [each for each in run.hands if each.piece is not None]
            for each in busy:
                each.actor.stop.remote()
            ready, _ = run.ray.wait([each.waiting_for for each in busy], num_returns=len(busy), timeout=_STOP_SECONDS)
            for each in busy:
                if each.waiting_for in ready:
                    _add(run, pickle.loads(run.ray.get(each.waiting_for)))
        raise
    finally:
        for each in run.hands:
            with suppress(Exception):
                run.ray.kill(each.actor)
