"""Fits on the machines of a Ray cluster, by joblib's Ray backend; features go over once for all fits."""

from __future__ import annotations

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
    import ray

    call, shared = _remote_call(), SharedArrays(ray)
    tasks, here, reason = list[Any](), dict[FitKey, Callable[[], Outcome]](), ""
    try:
        for key, fit in fits.items():
            try:
                tasks.append(joblib.delayed(call)(*shared.packed((key, fit))))
            except NotPackedError as exc:
                here[key], reason = fit, str(exc)
        if here:
            models = ", ".join(dict.fromkeys(model for model, _ in here))
            _log.warning(
                "%s of %s cannot go to the cluster and run here: %s", counted(len(here), "fit"), models, reason
            )
        parallel = joblib.Parallel(-1 if n_jobs is None else n_jobs, return_as="generator_unordered", batch_size=1)
        for answer in parallel(tasks):
            if isinstance(answer, str):
                message = f"the Ray cluster could not go on: {answer}. Scores that were computed are kept; run again"
                raise ClusterError(message)
            key, outcome, said, error = pickle.loads(answer)
            with fitting(*key):
                for message in said:
                    warnings.warn(message, UserWarning, stacklevel=2)
            if error is not None:
                raise error
            yield key, outcome, said
        yield from run_here(here)
    except ray.exceptions.RayError as exc:
        message = f"the Ray cluster could not go on: {cause_of(exc)}. Scores that were computed are kept; run again"
        raise ClusterError(message) from exc


def _remote_call() -> Callable[[bytes, list[Any]], bytes | str]:
    """Return what runs a packed fit where it is called, or says why that machine cannot."""
    install = bring_code()

    def call(packed: bytes, arrays: list[Any]) -> bytes | str:
        if (reason := install()) is not None:
            return reason
        from stackbone.stack.fitting.packed import run_packed

        return run_packed(packed, arrays)

    return call
