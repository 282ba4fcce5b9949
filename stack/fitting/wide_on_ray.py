"""Wide fits on the machines of a Ray cluster: each copies all rows and uses every core that is free on its machine.

A machine has one worker at a time. It takes all cores, or after a short wait those that others leave; machines that
join get one, and the fit of one that is lost is given to another once.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from stackbone.cache.cluster.causes import cause_of
from stackbone.cache.errors import ClusterError
from stackbone.cache.text import counted, printable
from stackbone.stack.fitting.on_ray import (
    FitKey,
    Outcome,
    RunHere,
    loaded_ray,
    opened,
    packed_fits,
    remote_call,
    translated,
)

_LOOK_SECONDS = 0.5  # between two looks at which nodes there are, while nothing ends
_ALL_CORES_SECONDS = 5.0  # in which fits that ended give their cores back, before fewer are taken
_SAY_SECONDS = 10.0  # without any worker, until that is told
_MOST_SILENT_SECONDS = 120.0  # and until the run ends
_MOST_LOSSES = 2  # of one fit

_log = logging.getLogger(__name__)

Task = tuple[bytes, list[Any]]


@dataclass
class _Wide:
    """A worker, on its node, and its fit: none until it is ready."""

    node: str
    cores: int
    actor: Any
    began: float
    task: Task | None = None
    is_ready: bool = False


@dataclass
class _WideRun:
    """What is to be fitted, and by whom."""

    ray: Any
    tasks: list[Task]
    n_jobs: int | None
    running: dict[Any, _Wide] = field(default_factory=dict)  # by what they wait for
    n_lost: dict[bytes, int] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)  # nodes, and since when they could have a worker
    names: dict[str, str] = field(default_factory=dict)
    last_loss: str = ""


def run_wide_on_ray(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None, run_here: RunHere[Outcome]
) -> Iterator[tuple[FitKey, Outcome, list[str]]]:
    """Run wide fits on the cluster, one at a time on each machine; parameters and results as of `run_on_ray`.

    Of `n_jobs`, a fit has as many cores of its machine at most.

    Raises
    ------
    ClusterError
        As of `run_on_ray`; also if for two minutes no machine has a free core, or a fit ends two workers.
    """
    with translated():
        tasks, here = packed_fits(fits)
        run = _WideRun(loaded_ray(), tasks, n_jobs)
        try:
            yield from _driven(run)
        finally:
            for each in run.running.values():
                _end(run, each)
        yield from run_here(here)


def _driven(run: _WideRun) -> Iterator[tuple[FitKey, Any, list[str]]]:
    alive, is_told = time.monotonic(), False
    while run.tasks or any(each.task for each in run.running.values()):
        _start_workers(run)
        ready, _ = run.ray.wait([*run.running], num_returns=1, timeout=_LOOK_SECONDS) if run.running else ([], [])
        if not run.running:
            time.sleep(_LOOK_SECONDS)
        for each in ready:
            answer = _take_in(run, each)
            if answer is not None:
                yield opened(answer)
                alive = time.monotonic()  # whoever took it may have been slow
        silent_seconds = time.monotonic() - alive
        if any(each.is_ready for each in run.running.values()):
            alive, is_told = time.monotonic(), False
        elif silent_seconds > _MOST_SILENT_SECONDS:
            raise ClusterError(_nobody_message(run, silent_seconds))
        elif silent_seconds > _SAY_SECONDS and not is_told:
            what = counted(len(run.tasks), "fit")
            _log.warning("%s that use whole machines wait for a free core of the cluster", what)
            is_told = True


def _start_workers(run: _WideRun) -> None:
    """Start workers on nodes that have none, as long as fits wait for them; end those that do not get ready."""
    now = time.monotonic()
    for waiting_for, each in [*run.running.items()]:
        if not each.is_ready and now - each.began > _MOST_SILENT_SECONDS / 2:  # others took its cores first
            del run.running[waiting_for]
            _end(run, each)
    busy = {each.node for each in run.running.values()}
    n_starting = sum(not each.is_ready for each in run.running.values())
    if len(run.tasks) <= n_starting:
        return
    nodes = {each["NodeID"]: each for each in run.ray.nodes() if each["Alive"]}
    run.names |= {node: each.get("NodeManagerHostname", node) for node, each in nodes.items()}
    cores = {node: int(each["Resources"].get("CPU", 0)) for node, each in nodes.items()}
    for node in run.seen.keys() - cores.keys():
        del run.seen[node]
    free = _free_cores()
    for node in sorted(cores.keys() - busy, key=lambda each: -free.get(each, 0)):
        n_free = min(free.get(node, 0), cores[node])
        has_waited = now - run.seen.setdefault(node, now) > _ALL_CORES_SECONDS
        if n_free < 1 or (n_free < cores[node] and not has_waited):
            continue
        if len(run.tasks) <= n_starting:
            return
        actor = _worker(run, node, n_free)
        run.running[actor.get_ready.remote()] = _Wide(node, n_free, actor, now)
        n_starting += 1


def _free_cores() -> dict[str, int]:
    """Return how many cores of each node nobody has taken, as the head knows it; Ray has no public name for it."""
    state = importlib.import_module("ray._private.state")
    return {node: int(each.get("CPU", 0)) for node, each in state.available_resources_per_node().items()}


def _take_in(run: _WideRun, waited: Any) -> bytes | str | None:  # noqa: ANN401 - Ray's own types
    """Take in that a worker is ready, or what its fit came to, which is returned; give it the next fit, or end it."""
    worker = run.running.pop(waited)
    try:
        answer: bytes | str | None = run.ray.get(waited)
    except run.ray.exceptions.RayTaskError:
        _end(run, worker)
        raise
    except run.ray.exceptions.RayError as exc:  # it died, or its node did
        _lose(run, worker, exc)
        return None
    worker.is_ready, worker.task = True, None
    if run.tasks:
        worker.task = run.tasks.pop(0)
        run.running[worker.actor.fit.remote(*worker.task)] = worker
    else:
        _end(run, worker)
    return answer


def _lose(run: _WideRun, worker: _Wide, error: Exception) -> None:
    """Give the fit of a worker that is gone to another, unless it was lost before."""
    _end(run, worker)
    run.last_loss = f"{printable(run.names[worker.node])}: {cause_of(error)}"
    _log.warning("a worker of the cluster ended, and its fit is given to another: %s", run.last_loss)
    if worker.task is None:
        return
    packed = worker.task[0]
    run.n_lost[packed] = run.n_lost.get(packed, 0) + 1
    if run.n_lost[packed] >= _MOST_LOSSES:
        raise error
    run.tasks.insert(0, worker.task)


def _end(run: _WideRun, worker: _Wide) -> None:
    with suppress(Exception):
        run.ray.kill(worker.actor)


def _worker(run: _WideRun, node: str, cores: int) -> Any:  # noqa: ANN401 - Ray's own types
    """Start a worker on a node with so many of its cores; it waits where others take them first."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    call = remote_call(n_threads=min(cores, run.n_jobs) if run.n_jobs and run.n_jobs > 0 else cores)

    class WideWorker:
        """Goes over by value, so it uses nothing of the modules around it."""

        def get_ready(self) -> None:
            return None

        def fit(self, packed: bytes, arrays: list[Any]) -> bytes | str:
            return call(packed, arrays)

    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return run.ray.remote(WideWorker).options(num_cpus=cores, scheduling_strategy=strategy).remote()


def _nobody_message(run: _WideRun, seconds: float) -> str:
    why = f"its last worker ended ({run.last_loss})" if run.last_loss else "others have taken them, or nodes left"
    return (
        f"no node of the Ray cluster gave {counted(len(run.tasks), 'fit')} a core within {seconds:.0f} s, and each "
        f"needs at least one: {why}. Scores that were computed are kept; run again when the cluster has free cores, or "
        "leave --ray out"
    )
