"""Wide fits with a stand-in for Ray: which nodes get them, with how many cores, and what becomes of those lost."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from stackbone.cache.errors import ClusterError
from stackbone.stack.fitting import wide_on_ray
from stackbone.stack.fitting.on_ray import FitKey
from stackbone.stack.fitting.wide_on_ray import run_wide_on_ray


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class StandIn:
    """Nodes whose workers do at once what they are told; what they wait for is their node and a number."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.cores: dict[str, int] = {"A": 2, "B": 4}
        self.free: dict[str, int] = {}
        self.started: list[tuple[str, int, int]] = []  # node, cores, and threads of a fit
        self.killed: list[str] = []
        self.answers: dict[tuple[str, int], object] = {}
        self.dying: Callable[[str, FitKey], bool] = lambda _node, _key: False

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": node, "Alive": True, "Resources": {"CPU": float(n)}, "NodeManagerHostname": f"host-{node}"}
            for node, n in self.cores.items()
        ]

    def worker(self, node: str, cores: int, threads: int) -> SimpleNamespace:
        self.started.append((node, cores, threads))

        def answer(found: object) -> tuple[str, int]:
            self.answers[node, len(self.answers)] = found
            return node, len(self.answers) - 1

        def fit(packed: FitKey, _arrays: list[Any]) -> tuple[str, int]:
            dies = self.dying(node, packed)
            return answer(RayError("the node died") if dies else pickle.dumps((packed, node, [], None)))

        methods = {"get_ready": lambda: answer(None), "fit": fit}
        return SimpleNamespace(node=node, **{name: SimpleNamespace(remote=each) for name, each in methods.items()})

    def wait(self, waiting: list[tuple[str, int]], **_: object) -> tuple[list[Any], list[Any]]:
        first = min(waiting, key=lambda each: each[1])
        return [first], [each for each in waiting if each != first]

    def get(self, waited: tuple[str, int]) -> object:
        found = self.answers[waited]
        if isinstance(found, Exception):
            raise found
        return found

    def kill(self, worker: SimpleNamespace) -> None:
        self.killed.append(worker.node)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()

    def worker(run: wide_on_ray._WideRun, node: str, cores: int) -> Any:  # noqa: ANN401
        return made.worker(node, cores, min(cores, run.n_jobs or cores))

    monkeypatch.setattr(wide_on_ray, "loaded_ray", lambda: made)
    monkeypatch.setattr(wide_on_ray, "_worker", worker)
    monkeypatch.setattr(wide_on_ray, "_free_cores", lambda: made.cores | made.free)
    monkeypatch.setattr(wide_on_ray, "translated", nullcontext)
    monkeypatch.setattr(wide_on_ray, "packed_fits", lambda fits: ([(key, []) for key in fits], {}))
    monkeypatch.setattr(wide_on_ray, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(wide_on_ray, "_ALL_CORES_SECONDS", 0.05)
    return made


def none_here(fits: object) -> Iterator[Any]:
    assert not fits
    return iter(())


def nodes_of(n: int, n_jobs: int | None = None) -> dict[FitKey, str]:
    """Return by which node each of n fits was done."""
    fits: dict[FitKey, Callable[[], str]] = {("wide", number): str for number in range(n)}
    return {key: node for key, node, _ in run_wide_on_ray(fits, n_jobs, none_here)}


def test_each_node_has_one_worker_with_all_its_cores(ray: StandIn) -> None:
    found = nodes_of(6, n_jobs=3)
    assert found.keys() == {("wide", number) for number in range(6)}
    assert set(found.values()) == {"A", "B"}
    assert sorted(ray.started) == [("A", 2, 2), ("B", 4, 3)]
    assert sorted(ray.killed) == ["A", "B"]  # which gives their cores back


def test_one_fit_takes_the_node_with_most_cores_alone(ray: StandIn) -> None:
    assert nodes_of(1) == {("wide", 0): "B"}
    assert ray.started == [("B", 4, 4)]


def test_cores_that_others_keep_are_done_without(ray: StandIn) -> None:
    ray.free = {"A": 0, "B": 3}
    assert set(nodes_of(2).values()) == {"B"}
    assert ray.started == [("B", 3, 3)]


def test_without_a_free_core_it_says_that_it_waits_and_ends_in_time(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray.free = {"A": 0, "B": 0}
    monkeypatch.setattr(wide_on_ray, "_SAY_SECONDS", 0.02)
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 0.2)
    with pytest.raises(ClusterError, match="no node of the Ray cluster gave 2 fits a core within 0 s, and each needs"):
        nodes_of(2)
    assert caplog.messages == ["2 fits that use whole machines wait for a free core of the cluster"]


def test_a_worker_that_does_not_get_its_cores_is_started_elsewhere(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others were faster, which the head did not know yet."""
    wait = ray.wait

    def wait_for_others_than_b(waiting: list[tuple[str, int]], **_: object) -> tuple[list[Any], list[Any]]:
        able = [each for each in waiting if each[0] != "B"]
        return wait(able) if able else ([], waiting)

    monkeypatch.setattr(ray, "wait", wait_for_others_than_b)
    assert nodes_of(3) == dict.fromkeys([("wide", number) for number in range(3)], "A")
    assert "B" in ray.killed


def test_a_node_that_joins_gets_fits(ray: StandIn) -> None:
    ray.cores = {"A": 2}
    joining: list[FitKey] = []

    def note(_node: str, key: FitKey) -> bool:
        joining.append(key)
        if len(joining) == 2:
            ray.cores["B"] = 4
        return False

    ray.dying = note
    assert set(nodes_of(8).values()) == {"A", "B"}


def test_a_fit_of_a_node_that_died_is_done_by_another(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    def die(node: str, _key: FitKey) -> bool:
        if node == "B":
            ray.cores.pop("B", None)
        return node == "B"

    ray.dying = die
    assert nodes_of(3) == dict.fromkeys([("wide", number) for number in range(3)], "A")
    assert caplog.messages == ["a worker of the cluster ended, and its fit is given to another: host-B: the node died"]


def test_a_fit_that_ends_two_workers_ends_the_run(ray: StandIn) -> None:
    ray.dying = lambda _node, key: key == ("wide", 1)
    with pytest.raises(RayError, match="the node died"):
        nodes_of(3)
    assert sum(node in "AB" for node in ray.killed) == len(ray.started)  # none is left
