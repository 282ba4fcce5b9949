"""The arithmetic of the solvers, which are written once for NumPy's arrays and torch's tensors.

Where both libraries have a function of one name and one meaning, solvers call it through `Arithmetic.xp`; what they do
each in a way of their own is a method here. What is counted by group (losses, slopes, step lengths) is NumPy's in any
case, in double precision: it is small, and Python decides by it.

Which arithmetic a fit computes with is said around it, by `computing_with`, so that none of the learners between an
experiment and a solver has to hand it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stackbone.cache.disk.scratch import empty_array

Array = Any
"""A NumPy array, or a tensor of torch: whichever the arithmetic at hand computes with."""

Doubles = NDArray[np.float64]

CPU = "cpu"
"""Name of the arithmetic on the cores of this machine."""


class DeviceFullError(Exception):
    """A device has no memory left: for fewer problems at once it may have."""


_LETTERS = {1: "n", 2: "gn", 3: "gwn"}


class Arithmetic:
    """What solvers do with arrays: NumPy's, and by a subclass those of another library.

    Attributes
    ----------
    name
        Where it computes, in words: ``cpu``, or ``cuda:0 (NAME OF THE CARD)``.
    xp
        NumPy or torch.
    most_columns
        Decision values of a row that are held at once: enough for products to run at full speed, and fewer once a
        device was full.
    """

    name: str = CPU
    xp: ModuleType = np
    most_columns: int = 256

    def array(self, values: Array) -> Array:
        """Return the same values where this computes."""
        return values

    def numbers(self, values: Array) -> NDArray[Any]:
        """Return the same values as a NumPy array."""
        found: NDArray[Any] = values
        return found

    def doubles(self, values: Array) -> Array:
        """Return the same values in double precision, where this computes."""
        return values.astype(np.float64)

    def singles(self, values: Array) -> Array:
        """Return the same values in single precision."""
        return values.astype(np.float32)

    def empty(self, shape: tuple[int, int]) -> Array:
        """Return a float32 matrix to be filled, the large one of a fit."""
        return empty_array(shape)

    def copy(self, values: Array) -> Array:
        """Return a copy."""
        return values.copy()

    def per_group(self, values: Doubles) -> Array:
        """Return ``(groups,)`` numbers as ``(groups, 1, 1)`` float32, to multiply by."""
        return values.astype(np.float32)[:, None, None]

    def dots(self, a: Array, b: Array) -> Doubles:
        """Return the ``(groups,)`` inner products of two ``(groups, width, n)`` arrays."""
        products: Doubles = np.einsum("gwd,gwd->g", a, b).astype(np.float64)
        return products

    def sums(self, *factors: Array) -> Doubles:
        """Return the ``(groups,)`` sums of products of arrays, over all axes but the first, in double precision.

        The axes are the last of group, width and row; one that has no axis of groups counts for each.
        """
        axes = ",".join(_LETTERS[each.ndim] for each in factors)
        found: Doubles = np.einsum(f"{axes}->g", *factors, dtype=np.float64)
        return found

    def peaks(self, values: Array) -> Doubles:
        """Return the ``(groups,)`` largest absolute values."""
        found: Doubles = np.abs(values).max(axis=(1, 2))
        return found

    def square_sum(self, matrix: Array) -> float:
        """Return the sum of the squares of a matrix, in double precision."""
        return float(np.einsum("nd,nd->", matrix, matrix, dtype=np.float64))

    def softplus(self, z: Array) -> Array:
        """Return log(1 + exp(z))."""
        return np.logaddexp(0, z)

    def expit(self, z: Array) -> Array:
        """Return 1 / (1 + exp(-z))."""
        return expit(z)

    def where_true(self, mask: Array) -> Array:
        """Return the indices of what is true in a ``(n,)`` mask."""
        return np.flatnonzero(mask)

    def count(self, codes: Array, weights: Array, n_classes: int) -> Doubles:
        """Return the ``(n_classes,)`` sums of the ``(n,)`` weights of each code."""
        found: Doubles = np.bincount(codes, weights, n_classes).astype(np.float64, copy=False)
        return found

    def solve(self, system: Array, right: Array) -> Array:
        """Solve a system of equations; `numpy.linalg.LinAlgError` if it is singular."""
        # Not scipy's Cholesky: scipy brings a BLAS of its own, whose threads and numpy's would wait for each other.
        return np.linalg.solve(system, right)

    def within_memory(self) -> AbstractContextManager[None]:
        """Turn a library's own error of a device that is full into `DeviceFullError`."""
        return nullcontext()


HOST = Arithmetic()
"""NumPy on the cores of this machine."""

_chosen: ContextVar[Arithmetic] = ContextVar("what the fits of this thread compute with", default=HOST)


@contextmanager
def computing_with(arithmetic: Arithmetic) -> Iterator[None]:
    """Let the fits of this thread, and those that `stack.fitting.fits` runs for it, compute with an arithmetic."""
    token = _chosen.set(arithmetic)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_arithmetic() -> Arithmetic:
    """Return what the fits of this thread compute with."""
    return _chosen.get()
