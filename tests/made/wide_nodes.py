"""A stand-in for a Ray cluster whose nodes do wide fits, and fits for it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from stackbone.stack.fitting.on_ray import FitKey
from stackbone.stack.fitting.wide_on_ray import run_wide_on_ray
from tests.made.small_fits import none_here


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class Hangs:
    """What a worker answers that never gets ready."""


class StandIn:
    """Nodes whose workers do at once what they are told; what they wait for is their node and a number."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.cores: dict[str, int] = {"A": 2, "B": 4}
        self.taken: dict[str, int] = {}  # by others
        self.working: list[SimpleNamespace] = []
        self.started: list[tuple[str, int, int]] = []  # node, cores, and threads of a fit
        self.killed: list[str] = []
        self.answers: dict[tuple[str, int], object] = {}
        self.starting: Callable[[str], object] = lambda _node: None  # what a worker answers as it gets ready
        self.turn: Callable[[tuple[str, int]], Any] = lambda waited: waited[1]  # the least is done first
        self.dying: Callable[[str, FitKey], bool] = lambda _node, _key: False

    @property
    def starts(self) -> list[str]:
        return [node for node, _, _ in self.started]

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": node, "Alive": True, "Resources": {"CPU": float(n)}, "NodeManagerHostname": f"host-{node}"}
            for node, n in self.cores.items()
        ]

    def free_cores(self) -> dict[str, int]:
        free = {node: n - self.taken.get(node, 0) for node, n in self.cores.items()}
        for each in self.working:
            if each.node in free:
                free[each.node] -= each.cores
        return free

    def worker(self, node: str, cores: int, threads: int) -> SimpleNamespace:
        self.started.append((node, cores, threads))

        def answer(found: object) -> tuple[str, int]:
            self.answers[node, len(self.answers)] = found
            return node, len(self.answers) - 1

        def fit(packed: FitKey, _arrays: list[Any]) -> tuple[str, int]:
            dies = self.dying(node, packed)
            return answer(RayError("the node died") if dies else pickle.dumps((packed, node, [], None)))

        methods = {"get_ready": lambda: answer(self.starting(node)), "fit": fit}
        made = SimpleNamespace(node=node, cores=cores)
        vars(made).update({name: SimpleNamespace(remote=each) for name, each in methods.items()})
        self.working.append(made)
        return made

    def wait(self, waiting: list[tuple[str, int]], *, timeout: float, **_: object) -> tuple[list[Any], list[Any]]:
        able = [each for each in waiting if not isinstance(self.answers[each], Hangs)]
        if not able:
            time.sleep(timeout)
            return [], waiting
        first = min(able, key=self.turn)
        return [first], [each for each in waiting if each != first]

    def get(self, waited: tuple[str, int]) -> object:
        found = self.answers[waited]
        if isinstance(found, Exception):
            raise found
        return found

    def kill(self, worker: SimpleNamespace) -> None:
        self.killed.append(worker.node)
        self.working.remove(worker)


def nodes_of(n: int, n_jobs: int | None = None) -> dict[FitKey, str]:
    """Return by which node each of n fits was done."""
    fits: dict[FitKey, Callable[[], str]] = {("wide", number): str for number in range(n)}
    return {key: node for key, node, _ in run_wide_on_ray(fits, n_jobs, none_here)}
