"""Wide fits on the machines of a Ray cluster: each copies all rows and uses every core that is free on its machine.

A machine has one worker at a time. It takes all cores, or after a short wait those that others leave, and makes way
for a larger one once they leave as many again; machines that join get one. The fit of a worker that is lost is given
once to another machine, or to the same one where no other has cores. A machine that only loses workers is left out.
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
_START_SECONDS = 15.0  # in which workers get ready; beside one that takes longer, others are started
_SAY_SECONDS = 10.0  # without any worker, until that is told
_MOST_SILENT_SECONDS = 120.0  # and until the run ends
_MOST_LOSSES = 2  # of a node's workers, between two fits that it did

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
    lost_by: dict[bytes, str] = field(default_factory=dict)  # fits that a worker was lost with, and its node
    n_losses: dict[str, int] = field(default_factory=dict)  # workers that a node lost since it last did a fit
    doubtful: set[str] = field(default_factory=set)  # nodes that lost a worker, or had one that did not get ready
    free_since: dict[str, float] = field(default_factory=dict)  # nodes that could have a worker now
    able_at: dict[str, float] = field(default_factory=dict)  # when a node last had a worker, or could have one
    cores: dict[str, int] = field(default_factory=dict)  # of each node, whoever has them
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
        As of `run_on_ray`; also if for two minutes no worker gets ready, or a fit ends two of them.
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
            _log.warning("%s that use whole machines wait for a node of the cluster with a free core", what)
            is_told = True


def _start_workers(run: _WideRun) -> None:
    """Start workers on nodes that have none, as long as fits wait for them: the largest first, doubtful ones last."""
    now = time.monotonic()
    _end_those_not_ready(run, now)
    busy = {each.node for each in run.running.values()}
    free = {node: n for node, n in _usable_cores(run).items() if node not in busy} if run.tasks else {}
    run.able_at |= dict.fromkeys(busy | free.keys(), now)
    run.free_since = {node: run.free_since.get(node, now) for node in free}
    for node in sorted(free, key=lambda each: (each in run.doubtful, -free[each])):
        n_starting = sum(not each.is_ready and now - each.began < _START_SECONDS for each in run.running.values())
        has_waited = now - run.free_since[node] > _ALL_CORES_SECONDS
        if (has_waited or free[node] == run.cores[node]) and len(_tasks_for(run, node)) > n_starting:
            actor = _worker(run, node, free[node])
            run.running[actor.get_ready.remote()] = _Wide(node, free[node], actor, now)


def _end_those_not_ready(run: _WideRun, now: float) -> None:
    for waiting_for, each in [*run.running.items()]:
        if not each.is_ready and now - each.began > _MOST_SILENT_SECONDS / 2:  # others took its cores first
            del run.running[waiting_for]
            _end(run, each)
            run.doubtful.add(each.node)
            run.last_loss = f"{printable(run.names[each.node])}: it was not ready after {now - each.began:.0f} s"


def _usable_cores(run: _WideRun) -> dict[str, int]:
    """Take in which nodes there are; return how many cores each has that nobody has taken, if any, and it may use."""
    nodes = {each["NodeID"]: each for each in run.ray.nodes() if each["Alive"]}
    run.names |= {node: each.get("NodeManagerHostname", node) for node, each in nodes.items()}
    run.cores = {node: int(each["Resources"].get("CPU", 0)) for node, each in nodes.items()}
    able = {node: n for node, n in run.cores.items() if run.n_losses.get(node, 0) < _MOST_LOSSES}
    return {node: min(n, able[node]) for node, n in _free_cores().items() if n > 0 and node in able}


def _tasks_for(run: _WideRun, node: str) -> list[Task]:
    """Return the fits that a node may have: one that it lost before only where no other node could have it."""
    since = time.monotonic() - _ALL_CORES_SECONDS  # or one whose cores are just being given back
    has_others = any(when > since for other, when in run.able_at.items() if other != node)
    return [task for task in run.tasks if not (has_others and run.lost_by.get(task[0]) == node)]


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
    if worker.is_ready:  # so this was a fit
        run.n_losses.pop(worker.node, None)
    tasks = _tasks_for(run, worker.node)
    if tasks and not (worker.is_ready and _could_double(run, worker)):
        worker.is_ready, worker.task = True, tasks[0]
        run.tasks.remove(tasks[0])
        run.running[worker.actor.fit.remote(*worker.task)] = worker
    else:
        _end(run, worker)
    return answer


def _could_double(run: _WideRun, worker: _Wide) -> bool:
    """Return whether others gave back as many cores as a worker has, so that a new one would be worth its start."""
    n_others = run.cores.get(worker.node, 0) - worker.cores
    return n_others >= worker.cores and _free_cores().get(worker.node, 0) >= worker.cores


def _lose(run: _WideRun, worker: _Wide, error: Exception) -> None:
    """Take in that a worker is gone, and put its fit back; raise the error if the fit was lost before."""
    _end(run, worker)
    node, task = worker.node, worker.task
    run.last_loss = f"{printable(run.names[node])}: {cause_of(error)}"
    run.doubtful.add(node)
    n_losses = run.n_losses[node] = run.n_losses.get(node, 0) + 1
    if task is None:
        _log.warning("a worker of the cluster ended before it had a fit: %s", run.last_loss)
    elif task[0] in run.lost_by:
        raise error
    else:
        run.lost_by[task[0]] = node
        run.tasks.insert(0, task)
        _log.warning("a worker of the cluster ended, and its fit is given to another: %s", run.last_loss)
    if n_losses == _MOST_LOSSES:
        _log.warning("a node of the cluster is left out, whose workers only end: %s", printable(run.names[node]))


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
        f"no node of the Ray cluster took {counted(len(run.tasks), 'fit')} within {seconds:.0f} s, and each needs at "
        f"least one free core: {why}. Scores that were computed are kept; run again when its nodes are well and have "
        "free cores, or leave --ray out"
    )
