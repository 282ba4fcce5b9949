"""Fits on the machines of a Ray cluster; features go over once for all fits.

Most fits take a core each, by joblib's Ray backend. Those that copy all rows, and whose products use every core, are
wide: each has a machine of the cluster to itself.
"""

from __future__ import annotations

import importlib
import logging
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
from joblib.parallel import get_active_backend

from stackbone.cache.cluster.causes import cause_of
from stackbone.cache.cluster.code import bring_code
from stackbone.cache.cluster.joining import joined
from stackbone.cache.errors import ClusterError
from stackbone.cache.text import counted
from stackbone.stack.fitting.fit_warnings import fitting
from stackbone.stack.fitting.packed import NotPackedError, SharedArrays

_BACKEND, _NAME = "stackbone-ray", "UnorderedRayBackend"

Outcome = TypeVar("Outcome")
FitKey = tuple[str, int]
RunHere = Callable[[Mapping[FitKey, Callable[[], Outcome]]], Iterator[tuple[FitKey, Outcome, list[str]]]]
"""Runs fits on this machine, and yields of each its key, its outcome, and what it was warned of."""

_log = logging.getLogger(__name__)


@contextmanager
def fits_on_ray(address: str) -> Iterator[None]:
    """Let all fits meanwhile run on a Ray cluster; address and errors as of `cache.cluster.joining.joined`."""
    with joined(address):
        joblib.register_parallel_backend(_BACKEND, _backend())
        with joblib.parallel_config(_BACKEND, n_jobs=-1):
            yield


def is_on_ray() -> bool:
    """Return whether fits of this thread go to a Ray cluster."""
    return type(get_active_backend()[0]).__name__ == _NAME


def _backend() -> type[Any]:
    """Return joblib's backend of Ray, which hands over what is done while the rest runs."""
    from ray.util.joblib.ray_backend import RayBackend

    return type(_NAME, (RayBackend,), {"supports_return_generator": True})


def run_on_ray(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None, run_here: RunHere[Outcome]
) -> Iterator[tuple[FitKey, Outcome, list[str]]]:
    """Run fits on the cluster, and yield each as it ends: key, outcome, and what it was warned of, which is said here.

    Parameters
    ----------
    fits
        What to run, the longest first.
    n_jobs
        Fits at a time; by default one for each core of the cluster.
    run_here
        Runs those that cannot leave this process, once the others are done; a warning names them.

    Raises
    ------
    ClusterError
        If the cluster is gone or full, or one of its machines cannot run this code.
    """
    with _translated():
        tasks, here = _packed(fits)
        parallel = joblib.Parallel(-1 if n_jobs is None else n_jobs, return_as="generator_unordered", batch_size=1)
        call = _remote_call(n_threads=1)
        yield from map(_opened, parallel(joblib.delayed(call)(*task) for task in tasks))
        yield from run_here(here)


def run_wide_on_ray(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None, run_here: RunHere[Outcome]
) -> Iterator[tuple[FitKey, Outcome, list[str]]]:
    """Run wide fits on the cluster, one at a time on each machine; parameters, results and errors as of `run_on_ray`.

    Of `n_jobs`, a fit has as many cores of its machine at most.
    """
    ray: Any = importlib.import_module("ray")
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with _translated():
        tasks, here = _packed(fits)
        free = {each["NodeID"]: int(each["Resources"].get("CPU", 0)) for each in ray.nodes() if each["Alive"]}
        free = {node: cores for node, cores in free.items() if cores}
        running: dict[Any, tuple[str, int]] = {}
        while tasks or running:
            while tasks and free:
                node, cores = free.popitem()
                call = _remote_call(n_threads=min(cores, n_jobs) if n_jobs and n_jobs > 0 else cores)
                task = ray.remote(call).options(
                    num_cpus=cores, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
                )
                running[task.remote(*tasks.pop(0))] = node, cores
            (done,), _ = ray.wait([*running], num_returns=1)
            node, cores = running.pop(done)
            free[node] = cores
            yield _opened(ray.get(done))
        yield from run_here(here)


def _packed(
    fits: Mapping[FitKey, Callable[[], Outcome]],
) -> tuple[list[tuple[bytes, list[Any]]], dict[FitKey, Callable[[], Outcome]]]:
    """Return fits as they go over, and those that cannot, which a warning names."""
    import ray

    shared, tasks, here, reason = SharedArrays(ray), list[Any](), dict[FitKey, Callable[[], Outcome]](), ""
    for key, fit in fits.items():
        try:
            tasks.append(shared.packed((key, fit)))
        except NotPackedError as exc:
            here[key], reason = fit, str(exc)
    if here:
        models = ", ".join(dict.fromkeys(model for model, _ in here))
        _log.warning("%s of %s cannot go to the cluster and run here: %s", counted(len(here), "fit"), models, reason)
    return tasks, here


def _opened(answer: bytes | str) -> tuple[FitKey, Any, list[str]]:
    """Return what became of a fit; say here what it was warned of, and raise its error."""
    if isinstance(answer, str):
        raise ClusterError(_gone_message(answer))
    key, outcome, said, error = pickle.loads(answer)
    with fitting(*key):
        for message in said:
            warnings.warn(message, UserWarning, stacklevel=2)
    if error is not None:
        raise error
    return key, outcome, said


@contextmanager
def _translated() -> Iterator[None]:
    import ray

    try:
        yield
    except ray.exceptions.RayError as exc:
        raise ClusterError(_gone_message(cause_of(exc))) from exc


def _gone_message(reason: str) -> str:
    return f"the Ray cluster could not go on: {reason}. Scores that were computed are kept; run again"


def _remote_call(n_threads: int) -> Callable[[bytes, list[Any]], bytes | str]:
    """Return what runs a packed fit where it is called, on so many cores, or says why that machine cannot."""
    install = bring_code()

    def call(packed: bytes, arrays: list[Any]) -> bytes | str:
        if (reason := install()) is not None:
            return reason
        from stackbone.stack.fitting.packed import run_packed

        return run_packed(packed, arrays, n_threads)

    return call
