"""Wide fits with a stand-in for Ray: which nodes get them, and with how many cores."""

from __future__ import annotations

import time

import pytest

from stackbone.cache.errors import ClusterError
from stackbone.stack.fitting import wide_on_ray
from stackbone.stack.fitting.on_ray import FitKey
from tests.made.wide_nodes import Hangs, StandIn, nodes_of


@pytest.fixture
def ray(wide_nodes: StandIn) -> StandIn:
    return wide_nodes


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
    ray.taken = {"A": 2, "B": 1}
    assert set(nodes_of(2).values()) == {"B"}
    assert ray.started == [("B", 3, 3)]


def test_without_a_free_core_it_says_that_it_waits_and_ends_in_time(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray.taken = {"A": 2, "B": 4}
    monkeypatch.setattr(wide_on_ray, "_SAY_SECONDS", 0.02)
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 0.2)
    with pytest.raises(
        ClusterError, match=r"no node of the Ray cluster took 2 fits within 0 s, and each needs .*: others"
    ):
        nodes_of(2)
    assert caplog.messages == ["2 fits that use whole machines wait for a node of the cluster with a free core"]


def test_a_worker_that_does_not_get_its_cores_is_ended_and_another_node_comes_first(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others were faster, which the head did not know yet."""
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 1.0)
    ray.starting = lambda node: Hangs() if node == "B" else None
    assert nodes_of(1) == {("wide", 0): "A"}
    assert ray.starts == ["B", "A"]
    assert ray.killed == ["B", "A"]  # before the other was started


def test_starts_that_hang_keep_no_further_node_from_its_turn(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_on_ray, "_START_SECONDS", 0.05)
    ray.cores = {"A": 2, "B": 4, "C": 3, "D": 5}
    ray.starting = lambda node: None if node == "A" else Hangs()
    assert nodes_of(1) == {("wide", 0): "A"}
    assert ray.starts == ["D", "B", "C", "A"]
    assert sorted(ray.killed) == ["A", "B", "C", "D"]


def test_a_node_whose_worker_did_not_get_ready_is_tried_again_where_there_is_no_other(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 1.0)
    ray.cores = {"B": 4}
    ray.starting = lambda _node: Hangs() if len(ray.started) == 1 else None
    assert nodes_of(2) == {("wide", 0): "B", ("wide", 1): "B"}
    assert ray.starts == ["B", "B"]


def test_the_error_says_that_workers_did_not_get_ready(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_on_ray, "_MOST_SILENT_SECONDS", 0.3)
    ray.starting = lambda _node: Hangs()
    with pytest.raises(ClusterError, match=r"its last worker ended \(host-[AB]: it was not ready after 0 s\)"):
        nodes_of(1)
    assert ray.working == []


def test_a_worker_with_few_cores_makes_way_once_others_give_back_as_many_again(ray: StandIn) -> None:
    ray.cores, ray.taken = {"B": 64}, {"B": 63}

    def give_back(_node: str, key: FitKey) -> bool:
        ray.taken["B"] = {0: 63, 1: 62}.get(key[1], 0)
        return False

    ray.dying = give_back
    assert len(nodes_of(6)) == 6
    assert [cores for _, cores, _ in ray.started] == [1, 2, 64]


def test_a_worker_is_kept_for_what_would_not_double_its_cores(ray: StandIn) -> None:
    ray.cores, ray.taken = {"B": 64}, {"B": 40}

    def give_back(_node: str, _key: FitKey) -> bool:
        ray.taken["B"] = 17
        return False

    ray.dying = give_back
    assert len(nodes_of(4)) == 4
    assert [cores for _, cores, _ in ray.started] == [24]


def test_the_first_core_that_others_give_back_is_not_taken_before_the_rest(
    ray: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the node had none before."""
    monkeypatch.setattr(wide_on_ray, "_ALL_CORES_SECONDS", 0.3)
    ray.cores, began = {"B": 64}, time.monotonic()

    def free_cores() -> dict[str, int]:
        passed = time.monotonic() - began
        return {"B": 0 if ray.working or passed < 0.5 else 1 if passed < 0.6 else 64}

    monkeypatch.setattr(wide_on_ray, "_free_cores", free_cores)
    assert len(nodes_of(2)) == 2
    assert [cores for _, cores, _ in ray.started] == [64]


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
