"""The arithmetic of the solvers on a GPU, by torch; see `stack.computing.arithmetic` for what each method is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from stackbone.cache.errors import says_memory_is_full
from stackbone.stack.computing.arithmetic import Arithmetic, Array, DeviceFullError, Doubles


class TorchArithmetic(Arithmetic):
    """Tensors on one device.

    Products are those of float32, and not of TF32, which keeps ten bits of a number's 23: `lbfgs` tells by differences
    of float32's rounding when a step has brought something.

    Parameters
    ----------
    device : str
        As torch names it: ``cuda:0``.
    """

    xp = torch

    def __init__(self, device: str) -> None:
        self._device, self.most_columns = device, 1024
        self.name = f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device
        torch.backends.cuda.matmul.allow_tf32 = False

    def array(self, values: Array) -> Array:
        """Return a tensor on the device."""
        return torch.as_tensor(values, device=self._device)

    def numbers(self, values: Array) -> NDArray[np.floating]:
        """Return a NumPy array, after all that the device was to do before."""
        found: NDArray[np.floating] = values.cpu().numpy()
        return found

    def doubles(self, values: Array) -> Array:
        """Return float64 on the device."""
        return self.array(values).double()

    def singles(self, values: Array) -> Array:
        """Return float32."""
        return values.float()

    def empty(self, shape: tuple[int, int]) -> Array:
        """Return a matrix on the device."""
        return torch.empty(shape, device=self._device)

    def copy(self, values: Array) -> Array:
        """Return a copy."""
        return values.clone()

    def per_group(self, values: Doubles) -> Array:
        """Return numbers to multiply groups by."""
        return self.array(values.astype(np.float32))[:, None, None]

    def dots(self, a: Array, b: Array) -> Doubles:
        """Return inner products, of rows in float32 and across them in float64."""
        return self._host(torch.einsum("gwd,gwd->gw", a, b).sum(1, dtype=torch.float64))

    def sums(self, *factors: Array) -> Doubles:
        """Return sums in float64 of products in float32."""
        product = factors[0]
        for each in factors[1:]:
            product = product * each
        return self._host(product.flatten(1).sum(1, dtype=torch.float64))

    def peaks(self, values: Array) -> Doubles:
        """Return the largest absolute values."""
        return self._host(torch.linalg.vector_norm(values, torch.inf, dim=(1, 2)))

    def square_sum(self, matrix: Array) -> float:
        """Return the sum of squares, of rows in float32 and across them in float64."""
        return float(torch.linalg.vector_norm(matrix, dim=1).square().sum(dtype=torch.float64))

    def softplus(self, z: Array) -> Array:
        """Return log(1 + exp(z))."""
        return torch.nn.functional.softplus(z)

    def expit(self, z: Array) -> Array:
        """Return 1 / (1 + exp(-z))."""
        return torch.sigmoid(z)

    def where_true(self, mask: Array) -> Array:
        """Return the indices of what is true."""
        return torch.nonzero(mask).flatten()

    def count(self, codes: Array, weights: Array, n_classes: int) -> Doubles:
        """Return the sums of each code in float64, whose order on a GPU nothing fixes."""
        return self._host(torch.bincount(codes, weights.double(), n_classes))

    def solve(self, system: Array, right: Array) -> Array:
        """Solve a system of equations."""
        try:
            return torch.linalg.solve(system, right)
        except torch.linalg.LinAlgError as exc:  # type: ignore[attr-defined] # which torch documents
            raise np.linalg.LinAlgError(str(exc)) from exc

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """Turn the errors of a full device, torch's and those of the libraries below it, into `DeviceFullError`."""
        try:
            yield
        except RuntimeError as exc:
            if not says_memory_is_full(exc):
                raise
            raise DeviceFullError(str(exc).splitlines()[0]) from exc

    def _host(self, values: Array) -> Doubles:
        found: Doubles = values.cpu().numpy().astype(np.float64, copy=False)
        return found
