"""The head of a run over a cluster: hands out pieces, takes in what became of them, starts workers where nodes come.

It holds paths and digests, and no pixels. A worker that ends costs the rows of its piece that are not committed.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path

import numpy as np

from stackbone.cache import UsageError
from stackbone.cache.cluster.causes import cause_of
from stackbone.cache.cluster.joining import joined
from stackbone.cache.disk.files import make_folder, mark_folder
from stackbone.cache.errors import ClusterError
from stackbone.cache.places.place import Place
from stackbone.cache.progress import Steps
from stackbone.extract.embedding.cluster.actor import actor_class
from stackbone.extract.embedding.cluster.losses import bury, end_if_hanging, give_up
from stackbone.extract.embedding.cluster.placing import ClusterOptions, place_workers
from stackbone.extract.embedding.cluster.refusals import nobody_message, too_small_message
from stackbone.extract.embedding.cluster.state import ClusterRun, Hand
from stackbone.extract.embedding.cluster.work import Work
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
    with _marked(place) as mark, joined(options.address, object_store_bytes=_OBJECT_STORE_BYTES) as ray:
        worker = pickle.dumps(Worker(job, wanted, place, images.root, workers, mark))
        run = ClusterRun(ray, options, images, embedders, job, Work(numbers), worker, profile, failed, remarks)
        with _ended(run):
            _drive(run, on_progress)
    return failed


@contextmanager
def _marked(cache: Place) -> Iterator[Path | None]:
    """Yield a file by which other machines tell whether a folder is this one; a URL is the same everywhere."""
    if not isinstance(cache, Path):
        yield None
        return
    make_folder(cache / "datasets")
    with mark_folder(cache / "datasets") as mark:
        yield mark


def _drive(run: ClusterRun, on_progress: Steps) -> None:
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
        elif time.monotonic() - alive > _MOST_SILENT_SECONDS or run.ever_taking <= run.left_out.keys():
            raise ClusterError(nobody_message(run, _MOST_SILENT_SECONDS))
        _look(run)
        on_progress(min(n_all, run.work.n_done + sum(each.n_seen for each in run.hands)), n_all)


def _start_workers(run: ClusterRun) -> None:
    """Start workers on nodes that have fewer than fit."""
    nodes = run.ray.nodes()
    run.machines |= {each["NodeID"]: each["NodeManagerHostname"] for each in nodes if "NodeManagerHostname" in each}
    places = place_workers(nodes, run.options, run.job.on.device)
    run.taking = {each.node for each in places if each.n_workers}
    run.ever_taking |= run.taking
    if not run.ever_taking:
        raise UsageError(too_small_message(run.options))
    for place in places:
        taken = {each.slot for each in run.hands if each.node == place.node}
        n_more = 0 if place.node in run.left_out else place.n_workers - len(taken)
        for slot in [each for each in range(place.n_workers) if each not in taken][: max(0, n_more)]:
            actor = actor_class(run.ray, place.node, place.cores, place.gpus).remote(run.worker)
            preparation = actor.prepare.remote(None if place.gpus else place.cores, slot)
            run.hands.append(Hand(place.node, slot, actor, preparation))


def _hand_out(run: ClusterRun) -> None:
    """Give every worker that is ready and has nothing a piece."""
    for hand in run.hands:
        if not hand.is_ready or hand.piece is not None:
            continue
        n_ready = sum(each.is_ready for each in run.hands)
        piece = run.work.take(hand.images_per_s, n_ready, not_of=hand.node if run.has_others_ready(hand) else None)
        if piece is None:
            continue
        files = run.images.rows[piece.numbers]
        lacking = {
            each.feature_set.id: each.lacking[piece.numbers] for own in run.embedders.values() for each in own.fillings
        }
        order = Order(
            [run.images.paths[row] for row in files.tolist()],
            run.images.file_digests[files],
            None if piece.lost_by else lacking,
        )
        hand.piece, hand.n_seen = piece, 0
        hand.began = hand.moved = time.monotonic()
        hand.waiting_for = hand.actor.embed.remote(pickle.dumps(order))


def _take_in(run: ClusterRun, hand: Hand) -> None:
    """Take in what a worker has to say: that it is ready, what became of its piece, or nothing, if it is gone."""
    waited, hand.waiting_for = hand.waiting_for, None
    try:
        answer = pickle.loads(run.ray.get(waited))
    except run.ray.exceptions.RayTaskError as exc:
        reason = f"{run.machine(hand)} failed: {cause_of(exc.cause or exc)}"
        if run.has_others(hand):
            give_up(run, hand, f"a worker on {reason}")
            return
        message = (
            f"a worker of the cluster on {reason}. What was committed is kept; run again, with --debug to see where it "
            "failed"
        )
        raise ClusterError(message) from exc
    except run.ray.exceptions.RayError as exc:  # it died, or its node did
        bury(run, hand, f"{run.machine(hand)}: {cause_of(exc)}")
        return
    if hand.piece is None:
        if answer is None:
            hand.is_ready = True
        else:
            give_up(run, hand, str(answer))
        return
    run.n_workers.add(hand.actor._actor_id.hex())
    _add(run, answer)
    if answer.error and run.has_others(hand):
        give_up(run, hand, f"a worker on {run.machine(hand)} could not go on: {answer.error}")
        return
    if answer.error:
        raise answer.error
    hand.images_per_s = len(hand.piece) / max(1e-3, time.monotonic() - hand.began)
    run.deaths.pop(hand.node, None)
    run.early_deaths.pop(hand.node, None)
    run.work.finish(hand.piece)
    hand.piece, hand.n_seen = None, 0


def _add(run: ClusterRun, outcome: Outcome) -> None:
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


def _look(run: ClusterRun) -> None:
    """Look how far workers are, and end those that hang; of one that does not answer at once nothing new is known."""
    busy = [each for each in run.hands if each.piece is not None]
    asked = {each.actor.progress.remote(): each for each in busy}
    if not asked:
        return
    ready, _ = run.ray.wait([*asked], num_returns=len(asked), timeout=_LOOK_SECONDS)
    for each in ready:
        with suppress(run.ray.exceptions.RayError):
            hand = asked[each]
            hand.n_seen, n_steps = run.ray.get(each)
            if n_steps != hand.n_steps:
                hand.n_steps, hand.moved = n_steps, time.monotonic()
    for hand in busy:
        end_if_hanging(run, hand)


@contextmanager
def _ended(run: ClusterRun) -> Iterator[None]:
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
