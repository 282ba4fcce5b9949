"""Wide fits with a stand-in for Ray: what becomes of those whose worker or node is lost, and of the node."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from stackbone.cache.errors import ClusterError
from stackbone.stack.fitting import wide_on_ray
from stackbone.stack.fitting.on_ray import FitKey
from tests.made.wide_nodes import RayError, StandIn, nodes_of


@pytest.fixture
def ray(wide_nodes: StandIn) -> StandIn:
    return wide_nodes


GIVEN_ON = "a worker of the cluster ended, and its fit is given to another: host-B: the node died"
WITHOUT_FIT = "a worker of the cluster ended before it had a fit: host-B: the node died"
LEFT_OUT = "a node of the cluster is left out, whose workers only end: host-B"


def of_a(n: int) -> dict[FitKey, str]:
    return dict.fromkeys([("wide", number) for number in range(n)], "A")


def test_a_fit_of_a_node_that_died_is_done_by_another(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    def die(node: str, _key: FitKey) -> bool:
        if node == "B":
            ray.cores.pop("B", None)
        return node == "B"

    ray.dying = die
    assert nodes_of(3) == of_a(3)
    assert caplog.messages == [GIVEN_ON]


@pytest.mark.parametrize("cores", [{"A": 2, "B": 4}, {"A": 4, "B": 2}, {"B": 4, "A": 4}])
def test_a_node_that_stays_and_loses_every_fit_costs_none(
    ray: StandIn, cores: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """As where a fit does not go into the memory of the smaller one."""
    ray.cores = cores
    ray.dying = lambda node, _key: node == "B"
    assert nodes_of(6) == of_a(6)
    assert ray.starts.count("B") == 2
    assert caplog.messages == [GIVEN_ON, GIVEN_ON, LEFT_OUT]


def test_a_fit_that_its_node_lost_waits_for_one_that_is_busy(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    ray.turn = lambda waited: (waited[0] == "A", waited[1])  # only once B has nothing more to do
    ray.dying = lambda node, _key: node == "B"
    assert nodes_of(4) == of_a(4)
    assert ray.starts == ["B", "A", "B"]
    assert caplog.messages == [GIVEN_ON, GIVEN_ON, LEFT_OUT]


def test_a_node_that_lost_one_fit_gets_others(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    lost: list[FitKey] = []

    def die_once(node: str, key: FitKey) -> bool:
        if node == "B" and not lost:
            lost.append(key)
            return True
        return False

    ray.dying = die_once
    found = nodes_of(8)
    assert found[lost[0]] == "A"
    assert set(found.values()) == {"A", "B"}
    assert caplog.messages == [GIVEN_ON]


def test_losses_between_fits_that_are_done_leave_no_node_out(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    ray.dying = lambda node, key: node == "B" and key[1] % 3 == 0
    found = nodes_of(30)
    assert {key for key, node in found.items() if node == "B"}
    assert set(caplog.messages) == {GIVEN_ON}
    assert len(caplog.messages) > 2


def test_a_fit_goes_back_to_the_node_that_lost_it_where_others_have_the_rest(ray: StandIn) -> None:
    ray.taken = {"A": 2}
    ray.dying = lambda _node, _key: len(ray.started) == 1
    assert nodes_of(2) == {("wide", 0): "B", ("wide", 1): "B"}


def test_a_lost_fit_waits_for_the_cores_that_another_node_gives_back(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head hears of them a moment after its worker ended."""
    monkeypatch.setattr(wide_on_ray, "_ALL_CORES_SECONDS", 0.5)
    ended: list[float] = []
    kill, free_cores = ray.kill, ray.free_cores

    def kill_noted(worker: SimpleNamespace) -> None:
        if worker.node == "A":
            ended.append(time.monotonic())
        kill(worker)

    def free_cores_late() -> dict[str, int]:
        return free_cores() | ({"A": 0} if ended and time.monotonic() - ended[-1] < 0.2 else {})

    monkeypatch.setattr(ray, "kill", kill_noted)
    monkeypatch.setattr(wide_on_ray, "_free_cores", free_cores_late)
    ray.turn = lambda waited: (ray.answers[waited] is not None, waited)  # all get ready, and then A does its fit
    ray.dying = lambda node, _key: node == "B"
    assert nodes_of(2) == of_a(2)
    assert ray.starts == ["B", "A", "A"]


def test_a_node_whose_workers_end_before_they_are_ready_is_left_out(
    ray: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    ray.starting = lambda node: RayError("the node died") if node == "B" else None
    assert nodes_of(20) == of_a(20)
    assert ray.starts.count("B") == 2
    assert caplog.messages == [WITHOUT_FIT, WITHOUT_FIT, LEFT_OUT]


def test_where_the_only_node_is_left_out_another_may_join(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    ray.cores = {"B": 4}

    def start(node: str) -> object:
        if len(ray.started) == 2:
            ray.cores["A"] = 2
        return RayError("the node died") if node == "B" else None

    ray.starting = start
    assert nodes_of(2) == of_a(2)
    assert caplog.messages == [WITHOUT_FIT, WITHOUT_FIT, LEFT_OUT]


def test_where_the_only_node_is_left_out_the_run_ends_with_its_reason(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 0.2)
    ray.cores = {"B": 4}
    ray.starting = lambda _node: RayError("the node died")
    with pytest.raises(ClusterError, match=r"took 1 fit within 0 s.*its last worker ended \(host-B: the node died\)"):
        nodes_of(1)
    assert ray.starts == ["B", "B"]
    assert caplog.messages == [WITHOUT_FIT, WITHOUT_FIT, LEFT_OUT]


def test_a_fit_that_ends_two_workers_ends_the_run(ray: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    ray.dying = lambda _node, key: key == ("wide", 1)
    with pytest.raises(RayError, match="the node died"):
        nodes_of(3)
    assert len(caplog.messages) == 1  # the second time it is given to none
    assert ray.working == []
    assert len(ray.killed) == len(ray.started)
