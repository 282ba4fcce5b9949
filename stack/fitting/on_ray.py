"""Fits on the machines of a Ray cluster, by joblib's Ray backend; features go over once for all fits."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stackbone.cache.cluster.code import bring_code
from stackbone.cache.cluster.joining import joined
from stackbone.cache.errors import ClusterError
from stackbone.stack.fitting.fit_warnings import fitting, messages, recorded

_BACKEND = "ray"
_SHARED_BYTES = 1 << 18  # of an array that goes over once, and by name from then on

Outcome = TypeVar("Outcome")
FitKey = tuple[str, int]


@contextmanager
def fits_on_ray(address: str) -> Iterator[None]:
    """Let all fits meanwhile run on a Ray cluster; address and errors as of `cache.cluster.joining.joined`."""
    with joined(address):
        from ray.util.joblib import register_ray

        register_ray()  # type: ignore[no-untyped-call]
        with joblib.parallel_config(_BACKEND, n_jobs=-1):
            yield


def is_on_ray() -> bool:
    """Return whether fits of this thread go to a Ray cluster."""
    return type(get_active_backend()[0]).__name__ == "RayBackend"


def run_on_ray(
    fits: Mapping[FitKey, Callable[[], Outcome]], n_jobs: int | None
) -> Iterator[tuple[FitKey, Outcome, list[str]]]:
    """Run fits on the cluster, and yield each as it ends: key, outcome, and what it was warned of, which is said here.

    Parameters
    ----------
    fits
        What to run, the longest first.
    n_jobs
        Fits at a time; by default one for each core of the cluster.

    Raises
    ------
    ClusterError
        If the cluster is gone.
    """
    import ray

    call, shared = _remote_call(), _Shared(ray)
    tasks, here = list[Any](), dict[FitKey, Callable[[], Outcome]]()
    for key, fit in fits.items():
        try:
            tasks.append(joblib.delayed(call)(*shared.packed((key, fit))))
        except (AttributeError, TypeError, pickle.PicklingError):  # it holds what lives in this process alone
            here[key] = fit
    parallel = joblib.Parallel(-1 if n_jobs is None else n_jobs, return_as="generator_unordered", batch_size=1)
    try:
        for answer in parallel(tasks):
            key, outcome, said, error = pickle.loads(answer)
            with fitting(*key):
                for message in said:
                    warnings.warn(message, UserWarning, stacklevel=2)
            if error is not None:
                raise error
            yield key, outcome, said
        for key, fit in here.items():
            with fitting(*key):
                yield key, fit(), messages()
    except ray.exceptions.RayError as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        message = f"the Ray cluster could not go on: {reason}. Scores that were computed are kept; run again"
        raise ClusterError(message) from exc


def _remote_call() -> Callable[[bytes, list[Any]], bytes]:
    install = bring_code()

    def call(packed: bytes, arrays: list[Any]) -> bytes:
        install()
        done: bytes = import_module("stackbone.stack.fitting.on_ray").run_packed(packed, arrays)
        return done

    return call


class _Shared:
    """Packs fits; each large array that they have in common is handed to the cluster once."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - Ray's own types
        self._ray = ray
        self._handed: dict[tuple[object, ...], tuple[Any, NDArray[Any]]] = {}

    def packed(self, fit: object) -> tuple[bytes, list[Any]]:
        """Return a fit as bytes, and where the cluster keeps its arrays, in the order in which the bytes name them."""
        places: list[Any] = []
        outer = self

        class Pickler(self._ray.cloudpickle.CloudPickler):  # type: ignore[misc, name-defined]
            def persistent_id(self, value: object) -> int | None:
                if not isinstance(value, np.ndarray) or value.nbytes < _SHARED_BYTES or value.dtype.hasobject:
                    return None
                places.append(outer._place(value))
                return len(places) - 1

        stream = io.BytesIO()
        Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(fit)
        return stream.getvalue(), places

    def _place(self, array: NDArray[Any]) -> Any:  # noqa: ANN401 - Ray's own types
        key = (array.__array_interface__["data"], array.shape, array.strides, array.dtype.str)
        if key not in self._handed:  # the array is kept, so that no other takes its place in memory
            self._handed[key] = self._ray.put(np.ascontiguousarray(array)), array
        return self._handed[key][0]


def run_packed(packed: bytes, places: list[Any]) -> bytes:
    """Run a fit of `_Shared.packed`, on one core; return its key, its outcome or error, and what it was warned of."""
    import ray

    arrays = ray.get(places)

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: int) -> NDArray[Any]:
            found: NDArray[Any] = arrays[number]
            return found

    key, fit = Unpickler(io.BytesIO(packed)).load()
    outcome, error = None, None
    with recorded(), fitting(*key), threadpool_limits(limits=1, user_api="blas"):
        try:
            outcome = fit()
        except Exception as exc:  # it is raised again where the run is
            error = exc
        said = messages()
    return pickle.dumps((key, outcome, said, error))
