"""How far a run over a cluster is, as its head knows it: the workers, what each has, and which nodes do without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackbone.cache.text import printable
from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.cluster.work import Piece, Work
from stackbone.extract.embedding.embedder import Embedder, Failure
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import Profile
from stackbone.extract.embedding.spread.job import Job


@dataclass
class Hand:
    """A worker, on its node, and the piece that it has.

    Attributes
    ----------
    slot
        Which of the node's workers it is.
    waiting_for
        What its preparation or its piece comes to.
    began, moved
        When it got its piece, and when it was last seen to have done something for it.
    n_seen, n_steps
        Images of the piece that are done, and all that it was ever seen to do.
    """

    node: str
    slot: int
    actor: Any
    waiting_for: Any
    piece: Piece | None = None
    is_ready: bool = False
    began: float = 0.0
    moved: float = 0.0
    images_per_s: float | None = None
    n_seen: int = 0
    n_steps: int = 0


@dataclass
class ClusterRun:
    """A run over a cluster, as far as it is.

    Attributes
    ----------
    ray
        The module, connected.
    worker
        What each worker is, pickled.
    deaths, early_deaths
        Of a node, workers that ended with a piece, and before they had one, since one of its workers last finished a
        piece.
    left_out
        Nodes that get no workers any more, and why.
    taking
        Nodes that are alive and large enough for a worker.
    ever_taking
        Those that ever were.
    machines
        Names of nodes.
    n_workers
        Ids of the workers that finished a piece.
    seconds
        Of the network at work, by backbone, of all workers.
    """

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
    hands: list[Hand] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    early_deaths: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    taking: set[str] = field(default_factory=set)
    ever_taking: set[str] = field(default_factory=set)
    machines: dict[str, str] = field(default_factory=dict)
    n_workers: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    def machine(self, hand: Hand) -> str:
        """Return the name of a worker's machine, to be shown."""
        return self.name(hand.node)

    def name(self, node: str) -> str:
        """Return the name of a node's machine, to be shown."""
        return printable(self.machines.get(node, node))

    def has_others(self, hand: Hand) -> bool:
        """Return whether other nodes take workers, even if theirs are still starting."""
        return bool(self.taking - self.left_out.keys() - {hand.node})

    def has_others_ready(self, hand: Hand) -> bool:
        """Return whether workers of other nodes are ready, which are not given up."""
        return any(each.is_ready and each.node != hand.node and each.node not in self.left_out for each in self.hands)
