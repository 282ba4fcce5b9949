"""Workers that are gone, hang or cannot go on: their pieces go to others, and a node that only loses is left out."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from stackbone.cache.text import counted
from stackbone.extract.embedding.cluster.state import ClusterRun, Hand
from stackbone.extract.embedding.embedder import Failure

_MOST_DEATHS = 3  # of workers of one node, before they have a piece, and with one
_MOST_DEATHS_ALONE = 15  # where no other node is left: finding an image that ends workers takes 13 in a row at most
_log = logging.getLogger(__name__)


def bury(run: ClusterRun, hand: Hand, reason: str, *, is_slow: bool = False) -> None:
    """Take back the piece of a worker that is gone; leave its node out if its workers do nothing but end.

    Where no other node is left it may be the images that end them, which parting the pieces finds: so some more are
    allowed, but not to those of a node that is too slow (`is_slow`) for the time that workers are given.
    """
    _kill(run, hand)
    run.hands.remove(hand)
    deaths = run.early_deaths if hand.piece is None else run.deaths
    n_deaths = deaths[hand.node] = deaths.get(hand.node, 0) + 1
    if hand.piece is None:
        _log.warning("a worker of the cluster ended: %s", reason)
        is_useless = n_deaths >= _MOST_DEATHS
    else:
        _log.warning("a worker of the cluster ended, and others go on with its %d images: %s", len(hand.piece), reason)
        is_useless = n_deaths > (_MOST_DEATHS if is_slow or run.has_others(hand) else _MOST_DEATHS_ALONE)
    if is_useless:
        _leave_out(run, hand, f"workers ended {n_deaths} times at once: {reason}")
    if hand.piece is not None and not run.work.lose(hand.piece, hand.node):
        digest = run.images[int(hand.piece.numbers[0])].digest
        run.failed[digest] = Failure("workers of the cluster ended when they read it; run again", lasting=False)


def end_if_hanging(run: ClusterRun, hand: Hand) -> None:
    """End a worker that has a piece and did nothing for it in the time that a worker is given."""
    silent_seconds = time.monotonic() - hand.moved
    if silent_seconds <= run.options.worker_timeout or run.ray.wait([hand.waiting_for], timeout=0)[0]:
        return  # or all is done, and this process did not look
    reason = (
        f"{run.machine(hand)}: it did nothing for {counted(round(silent_seconds), 'second')}. If its network needs "
        "longer for a batch, give --worker-timeout a larger number"
    )
    bury(run, hand, reason, is_slow=True)


def give_up(run: ClusterRun, hand: Hand, why: str) -> None:
    """Do without a node on which a worker cannot go on, and take back the piece of that worker."""
    _kill(run, hand)
    run.hands.remove(hand)
    _leave_out(run, hand, why)
    if hand.piece is not None:
        run.work.put_back(hand.piece, hand.node)


def _kill(run: ClusterRun, hand: Hand) -> None:
    """End a worker, which may be alive though it could not be reached; whatever comes of it, others have its piece."""
    with suppress(Exception):
        run.ray.kill(hand.actor)


def _leave_out(run: ClusterRun, hand: Hand, why: str) -> None:
    if hand.node not in run.left_out:
        _log.warning("a node of the cluster is left out: %s", why)
    run.left_out[hand.node] = why
