"""Fits on the machines of a Ray cluster, a core each, by joblib's Ray backend; features go over once a group of fits.

Those that copy all rows, and whose products use every core, are wide: see `wide_on_ray`.
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
from stackbone.cache.cluster.joining import joined, starts_own
from stackbone.cache.errors import ClusterError
from stackbone.cache.text import counted, typed
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
    """Let all fits meanwhile run on a Ray cluster; address and errors as of `cache.cluster.joining.joined`.

    Raises
    ------
    ClusterError
        Also if no node of the cluster has a core.
    """
    is_own = starts_own(address)
    with joined(address) as ray:
        if ray.cluster_resources().get("CPU", 0) < 1:
            raise ClusterError(_no_cores_message(address, sum(bool(each["Alive"]) for each in ray.nodes())))
        joblib.register_parallel_backend(_BACKEND, _backend(is_own=is_own))
        with joblib.parallel_config(_BACKEND, n_jobs=-1):
            yield


def is_on_ray() -> bool:
    """Return whether fits of this thread go to a Ray cluster."""
    return type(get_active_backend()[0]).__name__ == _NAME


def _backend(*, is_own: bool) -> type[Any]:
    """Return joblib's backend of Ray, which hands over what is done while the rest runs.

    It knows whether the cluster `is_own`, started for this run alone: nobody else can change how it is started.
    """
    from ray.util.joblib.ray_backend import RayBackend

    return type(_NAME, (RayBackend,), {"supports_return_generator": True, "is_own": is_own})


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
    with translated():
        tasks, here = packed_fits(fits)
        parallel = joblib.Parallel(-1 if n_jobs is None else n_jobs, return_as="generator_unordered", batch_size=1)
        call = remote_call(n_threads=1)
        yield from map(opened, parallel(joblib.delayed(call)(*task) for task in tasks))
        yield from run_here(here)


def packed_fits(
    fits: Mapping[FitKey, Callable[[], Outcome]],
) -> tuple[list[tuple[bytes, list[Any]]], dict[FitKey, Callable[[], Outcome]]]:
    """Pack fits for the cluster, and hand it the arrays that they have in common; a warning names those that cannot go.

    Returns
    -------
    tasks
        Of each fit that can leave this process, in their order, what `remote_call` takes: its bytes, and where the
        cluster keeps its arrays.
    here
        The other fits, by their keys.

    Raises
    ------
    ray.exceptions.RayError
        If the cluster is gone, or cannot hold the arrays; see `translated`.
    """
    shared = SharedArrays(loaded_ray())
    tasks, here, reason = list[Any](), dict[FitKey, Callable[[], Outcome]](), ""
    for key, fit in fits.items():
        try:
            tasks.append(shared.packed((key, fit)))
        except NotPackedError as exc:
            here[key], reason = fit, str(exc)
    if here:
        models = ", ".join(dict.fromkeys(model for model, _ in here))
        _log.warning("%s of %s cannot go to the cluster and run here: %s", counted(len(here), "fit"), models, reason)
    return tasks, here


def opened(answer: bytes | str) -> tuple[FitKey, Any, list[str]]:
    """Return what became of a fit, and say here what it was warned of.

    Parameters
    ----------
    answer
        What `remote_call` gave.

    Returns
    -------
    key, outcome, said
        The fit's key, what it returned, and the texts of its warnings.

    Raises
    ------
    ClusterError
        If its machine cannot run this code.
    Exception
        What the fit itself raised.
    """
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
def translated() -> Iterator[None]:
    """Let what is done with a cluster meanwhile raise no errors of Ray.

    Raises
    ------
    ClusterError
        In place of each of them: that the cluster is full, or that it is gone.
    """
    exceptions = loaded_ray().exceptions
    is_own = getattr(get_active_backend()[0], "is_own", False)
    try:
        yield
    except exceptions.ObjectStoreFullError as exc:
        raise ClusterError(_full_message(cause_of(exc), is_own=is_own)) from exc
    except exceptions.RayError as exc:
        raise ClusterError(_gone_message(cause_of(exc))) from exc


def loaded_ray() -> Any:  # noqa: ANN401 - Ray's own types
    """Return the module, which is imported only where a cluster is asked for."""
    return importlib.import_module("ray")


def _no_cores_message(address: str, n_nodes: int) -> str:
    return (
        f"the Ray cluster has {counted(n_nodes, 'node')} and no core ({typed('--ray', address)}), and every fit needs "
        "one. Add a node that has some to it, as by `ray start --num-cpus 4`, or leave --ray out"
    )


def _full_message(reason: str, *, is_own: bool) -> str:
    more = "Start the cluster's nodes with more room (`ray start --object-store-memory BYTES`), or leave --ray out"
    return (
        f"the Ray cluster could not take the features: {reason}. Each node's object store is to hold those that a "
        f"group of fits has in common. {'Leave --ray out' if is_own else more}. Scores that were computed are kept"
    )


def _gone_message(reason: str) -> str:
    return (
        f"the Ray cluster could not go on: {reason}. Fits need its head, and the nodes that they are on, until they "
        "end. Scores that were computed are kept; run again, or leave --ray out"
    )


def remote_call(n_threads: int) -> Callable[[bytes, list[Any]], bytes | str]:
    """Return what runs a packed fit on the machine where it is called, on so many cores; it goes over by value.

    Returns
    -------
    call
        Takes a task of `packed_fits`, and returns for `opened` what became of the fit, its error included, pickled; or
        a text that says why that machine cannot run this code.
    """
    install = bring_code()

    def call(packed: bytes, arrays: list[Any]) -> bytes | str:
        if (reason := install()) is not None:
            return reason
        from stackbone.stack.fitting.packed import run_packed

        return run_packed(packed, arrays, n_threads)

    return call
