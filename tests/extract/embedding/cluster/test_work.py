"""Work is done once whatever workers die, and one image that ends every worker costs itself alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from stackbone.extract.embedding.cluster.placing import ClusterOptions, Placing, place_workers
from stackbone.extract.embedding.cluster.work import FIRST_IMAGES, MOST_IMAGES, Piece, Work


@pytest.mark.parametrize("seed", range(20))
def test_every_image_is_finished_once_whichever_workers_die(seed: int) -> None:
    chance = random.Random(seed)
    numbers = np.arange(chance.randrange(1, 5000)) * 2
    work, held, finished = Work(numbers), list[Piece](), list[int]()
    while not work.is_done:
        if len(held) < 4 and (piece := work.take(chance.choice([None, 0.1, 20.0, 1e4]), 4)):
            held.append(piece)
            assert 0 < len(piece) <= MOST_IMAGES
        elif held:
            piece = held.pop(chance.randrange(len(held)))
            if piece.n_lost == 0 and chance.random() < 0.4:
                assert work.lose(piece, "A")
            else:
                work.finish(piece)
                finished += piece.numbers.tolist()
    assert sorted(finished) == numbers.tolist()
    assert work.take(1.0, 4) is None


@pytest.mark.parametrize("place", [0, 77, 299])
def test_an_image_that_ends_every_worker_is_found_by_parting(place: int) -> None:
    work, finished, blamed = Work(np.arange(300)), list[int](), list[int]()
    for _ in range(200):
        piece = work.take(None, 2)
        if piece is None:
            break
        if place in piece.numbers.tolist():
            if not work.lose(piece, "A"):
                blamed += piece.numbers.tolist()
        else:
            work.finish(piece)
            finished += piece.numbers.tolist()
    assert work.is_done
    assert blamed == [place]
    assert sorted(finished) == [number for number in range(300) if number != place]


def test_a_piece_that_a_node_lost_goes_to_another_and_both_must_lose_an_image_to_blame_it() -> None:
    work = Work(np.arange(1))
    piece = work.take(None, 2)
    assert piece is not None
    assert work.lose(piece, "A")
    assert work.take(None, 2, not_of="A") is None
    again = work.take(None, 2, not_of="B")
    assert again is not None
    assert again.numbers.tolist() == [0]
    assert not work.lose(again, "B")
    assert work.is_done


def test_a_piece_of_a_node_that_cannot_go_on_counts_as_never_lost() -> None:
    work = Work(np.arange(1))
    for node in "ABCD":
        piece = work.take(None, 2)
        assert piece is not None
        assert piece.n_lost == 0
        work.put_back(piece, node)
    assert work.take(None, 2, not_of="D") is None
    last = work.take(None, 2, not_of="E")
    assert last is not None
    assert last.lost_by == "D"  # so that what is committed of it is looked up
    assert work.lose(last, "E")


def test_a_node_that_lost_a_piece_gets_the_next_one() -> None:
    work = Work(np.arange(200))
    first = work.take(None, 2)
    assert first is not None
    work.lose(first, "A")
    other = work.take(None, 2, not_of="A")
    assert other is not None
    assert not set(other.numbers) & set(first.numbers)
    again = work.take(None, 2)  # where there is no other node
    assert again is not None
    assert again.numbers.tolist() == first.numbers.tolist()


def test_pieces_grow_with_the_pace_and_shrink_towards_the_end() -> None:
    work = Work(np.arange(10_000))
    first, second = work.take(None, 2), work.take(30.0, 2)
    assert first is not None
    assert second is not None
    assert len(first) == FIRST_IMAGES
    assert len(second) == 45 * 30
    sizes = []
    while piece := work.take(100.0, 2):
        sizes.append(len(piece))
    assert sizes[0] == MOST_IMAGES
    assert sizes[-1] < FIRST_IMAGES
    assert sorted(sizes, reverse=True) == sizes


def node(name: str, *, cores: float, gpus: float = 0.0, alive: bool = True) -> dict[str, object]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cores, **({"GPU": gpus} if gpus else {})}}


def test_without_gpus_a_worker_takes_a_node() -> None:
    nodes = [node("a", cores=8), node("b", cores=2), node("gone", cores=8, alive=False)]
    found = place_workers(nodes, ClusterOptions("auto"), "auto")
    assert found == [Placing("a", 1, 8, 0.0), Placing("b", 1, 2, 0.0)]


def test_each_gpu_has_a_worker_with_its_share_of_the_cores() -> None:
    nodes = [node("a", cores=16, gpus=4), node("head", cores=2)]
    found = place_workers(nodes, ClusterOptions("auto"), "auto")
    assert found == [Placing("a", 4, 4, 1.0), Placing("head", 1, 2, 0.0)]
    assert place_workers(nodes, ClusterOptions("auto"), "cpu")[0] == Placing("a", 1, 16, 0.0)


def test_nodes_without_gpus_work_too_unless_the_device_is_one() -> None:
    nodes = [node("gpu", cores=8, gpus=1), node("cores", cores=64)]
    found = place_workers(nodes, ClusterOptions("auto"), "auto")
    assert found == [Placing("gpu", 1, 8, 1.0), Placing("cores", 1, 64, 0.0)]
    found = place_workers(nodes, ClusterOptions("auto"), "cuda")
    assert found == [Placing("gpu", 1, 8, 1.0), Placing("cores", 0, 64, 1.0)]


@pytest.mark.parametrize(("share", "n_workers"), [(0.1, 10), (0.2, 5), (0.3, 3), (0.5, 2), (1.0, 1), (2.0, 0)])
def test_a_gpu_holds_as_many_workers_as_its_shares(share: float, n_workers: int) -> None:
    (found,) = place_workers([node("a", cores=10, gpus=1)], ClusterOptions("auto", share), "auto")
    assert found.n_workers == n_workers


def test_what_is_asked_for_counts_and_a_node_without_cores_takes_none() -> None:
    asked = ClusterOptions("auto", gpus_per_worker=0.5, cpus_per_worker=3)
    assert place_workers([node("a", cores=16, gpus=2)], asked, "auto") == [Placing("a", 4, 3, 0.5)]
    assert place_workers([node("a", cores=0)], ClusterOptions("auto"), "auto") == [Placing("a", 0, 1, 0.0)]
    assert place_workers([node("a", cores=4)], ClusterOptions("auto", 1.0), "auto") == [Placing("a", 0, 4, 1.0)]
