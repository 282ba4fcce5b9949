"""A fit as bytes, for another process: the large arrays that fits have in common are handed over once, beside them."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stackbone.stack.fitting.fit_warnings import fitting, messages, recorded

_SHARED_BYTES = 1 << 18  # of an array that goes over once, and by name from then on


class NotPackedError(Exception):
    """A fit holds what lives in this process alone; its cause says what."""


class SharedArrays:
    """Packs fits; each large array that they have in common is handed to the cluster once."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - Ray's own types
        self._ray = ray
        self._handed: dict[tuple[object, ...], tuple[Any, NDArray[Any]]] = {}

    def packed(self, fit: object) -> tuple[bytes, list[Any]]:
        """Return a fit as bytes, and where the cluster keeps its arrays, in the order in which the bytes name them.

        Raises
        ------
        NotPackedError
            If it cannot be pickled.
        """
        arrays: list[NDArray[Any]] = []

        class Pickler(self._ray.cloudpickle.CloudPickler):  # type: ignore[misc, name-defined]
            def persistent_id(self, value: object) -> int | None:
                if not isinstance(value, np.ndarray) or value.nbytes < _SHARED_BYTES or value.dtype.hasobject:
                    return None
                arrays.append(value)
                return len(arrays) - 1

        stream = io.BytesIO()
        try:
            Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(fit)
        except (AttributeError, TypeError, pickle.PicklingError) as exc:
            raise NotPackedError(str(exc)) from exc
        return stream.getvalue(), [self._place(each) for each in arrays]

    def _place(self, array: NDArray[Any]) -> Any:  # noqa: ANN401 - Ray's own types
        key = (array.__array_interface__["data"], array.shape, array.strides, array.dtype.str)
        if key not in self._handed:  # the array is kept, so that no other takes its place in memory
            self._handed[key] = self._ray.put(np.ascontiguousarray(array)), array
        return self._handed[key][0]


def run_packed(packed: bytes, places: list[Any], n_threads: int) -> bytes:
    """Run a packed fit on so many cores; return its key, outcome, what it was warned of, and its error, pickled."""
    import ray

    arrays = ray.get(places)

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: int) -> NDArray[Any]:
            found: NDArray[Any] = arrays[number]
            return found

    key, fit = Unpickler(io.BytesIO(packed)).load()
    outcome, error = None, None
    with recorded(), fitting(*key), threadpool_limits(limits=n_threads, user_api="blas"):
        try:
            outcome = fit()
        except Exception as exc:  # it is raised again where the run is
            error = exc
        said = messages()
    return pickle.dumps((key, outcome, said, error))
