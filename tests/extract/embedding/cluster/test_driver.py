"""The head of a run, with a stand-in for Ray: what it does about nodes and workers that cannot go on."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stackbone.cache.errors import CacheError, ClusterError, StackboneError, UsageError
from stackbone.extract.embedding.cluster import driver
from stackbone.extract.embedding.cluster.actor import actor_class
from stackbone.extract.embedding.cluster.placing import ClusterOptions
from stackbone.extract.embedding.cluster.state import ClusterRun
from stackbone.extract.embedding.cluster.work import Work
from stackbone.extract.embedding.cluster.worker import Outcome
from stackbone.extract.embedding.pipeline import Profile

N_IMAGES = 200


class RayError(Exception):
    pass


class RayTaskError(RayError):
    cause: Exception | None = None


def outcome(error: StackboneError | None = None) -> Outcome:
    return Outcome({}, {}, {}, {}, Profile(), error)


Answer = Callable[["StandIn", str, str], object]
"""What a worker's method answers: of the cluster, its node and the method's name."""


class StandIn:
    """Nodes of two cores each, whose workers answer at once."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, nodes: str, answer: Answer) -> None:
        self.names, self.answer = nodes, answer
        self.prepared: list[tuple[str, tuple[object, ...]]] = []
        self.killed: list[str] = []
        self.turn = -1
        self.on_embed: Callable[[str], None] = lambda _: None
        self.hanging: set[tuple[str, str]] = set()  # nodes and methods that never answer

    def nodes(self) -> list[dict[str, object]]:
        return [
            {"NodeID": name, "Alive": True, "Resources": {"CPU": 2}, "NodeManagerHostname": f"host-{name}"}
            for name in self.names
        ]

    def actor(self, node: str) -> Any:  # noqa: ANN401
        def method(name: str) -> Any:  # noqa: ANN401
            def remote(*words: object) -> tuple[str, str]:
                if name == "prepare":
                    self.prepared.append((node, words))
                return node, name

            return SimpleNamespace(remote=remote)

        names = ("prepare", "embed", "progress", "stop")
        methods = {name: method(name) for name in names}
        return SimpleNamespace(node=node, _actor_id=SimpleNamespace(hex=lambda: node), **methods)

    def wait(self, waiting: list[Any], **_: object) -> tuple[list[Any], list[Any]]:
        able = [each for each in waiting if each not in self.hanging]
        if waiting[0][1] == "progress":
            return able, [each for each in waiting if each not in able]
        self.turn += 1
        chosen = [able[self.turn % len(able)]] if able else []
        return chosen, [each for each in waiting if each not in chosen]

    def get(self, waited: tuple[str, str]) -> object:
        node, name = waited
        if name == "progress":
            return 0, 0
        if name == "embed":
            self.on_embed(node)
        found = self.answer(self, node, name)
        if isinstance(found, Exception):
            raise found
        if name == "embed":
            return pickle.dumps(found if isinstance(found, Outcome) else outcome())
        return pickle.dumps(found)

    def kill(self, actor: Any) -> None:  # noqa: ANN401
        self.killed.append(actor.node)


class FakeImages:
    """Images by number, each with the last byte of it as its digest."""

    def __init__(self, n: int) -> None:
        self.rows = np.arange(n)
        self.paths = [f"{number}.png" for number in range(n)]
        self.file_digests = np.zeros((n, 32), np.uint8)

    def __getitem__(self, number: int) -> SimpleNamespace:
        return SimpleNamespace(digest=bytes([number % 256]))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ClusterRun]:
    """Return what begins a run on nodes."""
    monkeypatch.setattr(driver, "_NODES_SECONDS", 0.0)
    monkeypatch.setattr(driver, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(
        driver,
        "actor_class",
        lambda ray, node, _cores, _gpus: SimpleNamespace(remote=lambda _worker: ray.actor(node)),
    )

    def begin(
        nodes: str,
        answer: Answer,
        options: ClusterOptions = ClusterOptions("auto"),  # noqa: B008
        *,
        n_images: int = N_IMAGES,
    ) -> ClusterRun:
        images: Any = FakeImages(n_images)
        job: Any = SimpleNamespace(on=SimpleNamespace(device="cpu"))
        work = Work(np.arange(n_images))
        return ClusterRun(StandIn(nodes, answer), options, images, {}, job, work, b"", Profile(), {}, {})

    return begin


def drive(run: ClusterRun) -> None:
    driver._drive(run, lambda *_: None)


def test_a_worker_that_dies_once_is_replaced_though_another_node_is_left_out(
    begun: Callable[..., ClusterRun],
) -> None:
    died: list[str] = []

    def answer(_: StandIn, node: str, name: str) -> object:
        if name == "embed" and not died:
            died.append(node)
            return RayError("the worker was killed for its memory")
        return "the machine A does not see the cache" if node == "A" else None

    run = begun("AB", answer)
    drive(run)
    assert died == ["B"]
    assert run.work.n_done == N_IMAGES
    assert run.left_out == {"A": "the machine A does not see the cache"}


def test_a_run_ends_at_once_where_no_node_can_work(begun: Callable[..., ClusterRun]) -> None:
    run = begun("AB", lambda _ray, node, _name: f"the machine {node} does not see the cache")
    with pytest.raises(ClusterError, match="the machine A does not see the cache; the machine B does not see"):
        drive(run)


DIED = """The actor died because of an error raised in its creation task, \x1b[36mray::RemoteWorker.__init__()\x1b[39m
  File "worker.py", line 1, in __init__
ValueError: no such thing
"""


def test_a_worker_that_hangs_is_ended_and_others_do_its_images(
    begun: Callable[..., ClusterRun], caplog: pytest.LogCaptureFixture
) -> None:
    run = begun("AB", lambda *_: None, ClusterOptions("auto", worker_timeout=0.1))
    run.ray.hanging = {("A", "embed"), ("A", "progress")}
    drive(run)
    assert run.work.n_done == N_IMAGES
    assert not run.failed
    assert run.ray.killed
    assert set(run.ray.killed) == {"A"}
    told = next(each for each in caplog.messages if "host-A" in each)
    assert told.startswith("a worker of the cluster ended, and others go on with its 64 images: host-A: it did nothing")
    assert told.endswith("give --worker-timeout a larger number")


def test_a_run_whose_workers_are_all_too_slow_ends_and_says_what_to_do(begun: Callable[..., ClusterRun]) -> None:
    run = begun("A", lambda *_: None, ClusterOptions("auto", worker_timeout=0.05))
    run.ray.hanging = {("A", "embed"), ("A", "progress")}
    with pytest.raises(ClusterError, match=r"workers ended 4 times at once: host-A: it did nothing .*--worker-timeout"):
        drive(run)
    assert not run.failed


def test_a_node_whose_workers_only_end_is_left_out_and_costs_no_image(
    begun: Callable[..., ClusterRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pieces go to others, so that no image is taken for what ended its workers."""
    monkeypatch.setattr("stackbone.extract.embedding.cluster.work.MOST_IMAGES", 1)
    run = begun("AB", lambda _ray, node, name: RayError("killed") if (node, name) == ("A", "embed") else None)
    drive(run)
    assert run.work.n_done == N_IMAGES
    assert not run.failed
    assert run.left_out == {"A": "workers ended 4 times at once: host-A: killed"}


def test_a_node_where_a_worker_cannot_go_on_is_left_out_while_others_can(begun: Callable[..., ClusterRun]) -> None:
    full = CacheError("the disk is full")

    def answer(_: StandIn, node: str, name: str) -> object:
        return outcome(full) if (node, name) == ("A", "embed") else None

    run = begun("AB", answer)
    drive(run)
    assert run.work.n_done == N_IMAGES
    assert not run.failed
    assert run.left_out == {"A": "a worker on host-A could not go on: the disk is full"}
    with pytest.raises(CacheError, match="the disk is full"):
        drive(begun("A", answer))


def test_nodes_that_cannot_write_cost_no_image_though_several_had_it(begun: Callable[..., ClusterRun]) -> None:
    """Of one image that is lacking, two nodes fail and the third is well."""

    def answer(_: StandIn, node: str, name: str) -> object:
        return outcome(CacheError("the disk is full")) if (node, name) in (("A", "embed"), ("B", "embed")) else None

    run = begun("ABC", answer, n_images=1)
    run.ray.hanging = {("C", "prepare")}
    run.ray.on_embed = lambda _node: run.ray.hanging.clear() if run.left_out else None
    drive(run)
    assert run.work.is_done
    assert not run.failed
    assert run.left_out.keys() == {"A", "B"}


def test_a_run_whose_workers_all_end_ends_itself_before_it_blames_every_image(begun: Callable[..., ClusterRun]) -> None:
    run = begun("A", lambda _ray, _node, name: RayError("killed for its memory") if name == "embed" else None)
    with pytest.raises(ClusterError, match="workers ended 16 times at once: host-A: killed for its memory"):
        drive(run)
    assert not run.failed


@pytest.mark.parametrize("early", [(1,), (1, 4), (3, 5)])
def test_a_worker_that_ends_before_its_first_piece_counts_apart_from_images_that_end_workers(
    begun: Callable[..., ClusterRun], early: tuple[int, ...]
) -> None:
    starts = 0

    def answer(_: StandIn, _node: str, name: str) -> object:
        nonlocal starts
        starts += name == "prepare"
        (hand,) = run.hands
        dies = starts in early if name == "prepare" else hand.piece is not None and 77 in hand.piece.numbers
        return RayError("killed") if dies else None

    run = begun("A", answer, n_images=300)
    drive(run)
    assert run.work.is_done
    assert [*run.failed] == [bytes([77])]


@pytest.mark.parametrize("bad", [0, 77, 4999])
def test_an_image_that_ends_the_workers_of_the_only_node_costs_itself_alone(
    begun: Callable[..., ClusterRun], bad: int
) -> None:
    def answer(_: StandIn, _node: str, name: str) -> object:
        (hand,) = run.hands
        dies = name == "embed" and hand.piece is not None and bad in hand.piece.numbers
        return RayError("killed") if dies else None

    run = begun("A", answer, n_images=5000)
    drive(run)
    assert run.work.is_done
    assert [*run.failed] == [bytes([bad % 256])]


def test_the_only_node_may_leave_and_another_come(begun: Callable[..., ClusterRun]) -> None:
    def answer(ray: StandIn, node: str, name: str) -> object:
        if (node, name) == ("A", "embed"):
            ray.names = ""
            return RayError("the node died")
        return None

    run = begun("A", answer)
    nodes: Callable[[], list[dict[str, object]]] = run.ray.nodes
    looks = count()

    def join_after_some_looks() -> list[dict[str, object]]:
        if not run.ray.names and next(looks) > 3:
            run.ray.names = "B"
        return nodes()

    run.ray.nodes = join_after_some_looks
    drive(run)
    assert run.work.is_done
    assert not run.failed


def test_where_no_node_comes_after_the_last_the_run_ends_in_time(
    begun: Callable[..., ClusterRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(ray: StandIn, _node: str, name: str) -> object:
        if name != "embed":
            return None
        ray.names = ""
        return RayError("the node died")

    monkeypatch.setattr(driver, "_MOST_SILENT_SECONDS", 0.1)
    with pytest.raises(ClusterError, match=r"can work: host-A left it, and no other joined within 0 s\. What was"):
        drive(begun("A", answer))


def test_machines_whose_workers_do_not_get_ready_are_named(
    begun: Callable[..., ClusterRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_MOST_SILENT_SECONDS", 0.1)
    run = begun("AB", lambda *_: None)
    run.ray.hanging = {("A", "prepare"), ("B", "prepare")}
    with pytest.raises(ClusterError, match="no worker got ready within 0 s on host-A, host-B, where others may have"):
        drive(run)


def test_a_cluster_that_never_had_a_node_large_enough_is_refused(begun: Callable[..., ClusterRun]) -> None:
    with pytest.raises(UsageError, match="no node of the Ray cluster has 0 GPUs and 64 cores for a worker"):
        drive(begun("A", lambda *_: None, ClusterOptions("auto", cpus_per_worker=64)))


def test_a_worker_that_could_not_be_reached_is_ended_as_it_may_be_alive(begun: Callable[..., ClusterRun]) -> None:
    away: list[str] = []

    def answer(_: StandIn, node: str, name: str) -> object:
        if name == "embed" and not away:
            away.append(node)
            return RayError("the actor is unavailable")
        return None

    run = begun("A", answer)
    drive(run)
    assert run.ray.killed == ["A"]


def test_nodes_whose_workers_are_still_starting_count_as_others(begun: Callable[..., ClusterRun]) -> None:
    def answer(ray: StandIn, node: str, name: str) -> object:
        if (node, name) == ("A", "embed"):
            ray.hanging.clear()
            return outcome(CacheError("the disk is full"))
        return None

    run = begun("AB", answer)
    run.ray.hanging = {("B", "prepare")}
    drive(run)
    assert run.work.n_done == N_IMAGES
    assert run.left_out == {"A": "a worker on host-A could not go on: the disk is full"}


def test_a_run_that_fails_on_every_node_ends_with_the_error_of_the_last(begun: Callable[..., ClusterRun]) -> None:
    full = CacheError("the disk is full")
    run = begun("ABC", lambda _ray, _node, name: outcome(full) if name == "embed" else None)
    with pytest.raises(CacheError, match="the disk is full"):
        drive(run)
    assert len(run.left_out) == 2


def test_of_a_worker_that_cannot_be_made_the_cause_and_the_machine_are_told(begun: Callable[..., ClusterRun]) -> None:
    run = begun("A", lambda *_: RayError(DIED))
    with pytest.raises(ClusterError, match="workers ended 3 times at once: host-A: ValueError: no such thing"):
        drive(run)


def test_a_worker_that_fails_is_told_with_its_machine_and_what_to_do(begun: Callable[..., ClusterRun]) -> None:
    run = begun(
        "A", lambda _ray, _node, name: RayTaskError("ray::embed()\nValueError: odd") if name == "embed" else None
    )
    with pytest.raises(
        ClusterError, match=r"on host-A failed: ValueError: odd\. What was committed is kept; run again"
    ):
        drive(run)


def test_a_worker_whose_machine_has_no_stackbone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not open what it was given, which needs it."""
    pytest.importorskip("ray", reason="the ray extra brings it")

    def remote(kind: type) -> Any:  # noqa: ANN401
        return SimpleNamespace(options=lambda **_: kind)

    worker = actor_class(SimpleNamespace(remote=remote), "0" * 56, 1, 0.0)
    monkeypatch.setitem(sys.modules, "stackbone", None)
    said = pickle.loads(worker(b"not to be opened").prepare(None, 0))
    assert "cannot import stackbone (ModuleNotFoundError" in said
    assert "install it there, or let that machine see" in said


def test_workers_of_a_node_have_slots_of_their_own_and_a_new_one_that_of_the_dead(
    begun: Callable[..., ClusterRun],
) -> None:
    died: list[str] = []

    def answer(_ray: StandIn, node: str, name: str) -> object:
        if name == "embed" and not died:
            died.append(node)
            return RayError("killed")
        return None

    run = begun("AB", answer, ClusterOptions("auto", cpus_per_worker=1))
    drive(run)
    assert run.ray.prepared[:4] == [("A", (1, 0)), ("A", (1, 1)), ("B", (1, 0)), ("B", (1, 1))]
    assert run.ray.prepared[4:] in ([(died[0], (1, 0))], [(died[0], (1, 1))])
