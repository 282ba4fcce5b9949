"""Systems with the Hessian of linear classifiers: near enough by a spectrum, or exact where few rows are curved.

The spectrum of the matrix's second moments preconditions every problem; where a loss is curved in few rows alone,
Newton's own direction comes from a system as large as there are of these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import HOST, Arithmetic, Array

Doubles = NDArray[np.float64]

FULL_RANK = 1024
"""Up to this many coefficients the preconditioner knows the whole spectrum; beyond, its largest part."""

SKETCH_RANK = 256
"""Eigenpairs of the preconditioner where it does not know all."""

_WELL_CONDITIONED = 1e5  # curvature times squared length of a row, up to which products in float32 will do


class Spectrum:
    """The largest eigenpairs of the matrix's second moments, which precondition every group and every C.

    With the loss's curvature the same in all rows, h in sum, the Hessian is ``h·M + I`` with the second moments M. Its
    inverse needs only M's eigenpairs, whatever h is. The held-out rows and the subsets' own scales are
    left out of account: the preconditioner need only be near. Where the matrix is wide, the largest eigenpairs come
    from a randomised range finder (Halko, Martinsson & Tropp 2011, SIAM Review 53(2), 217-288, section 4), and the
    rest counts by its mean, as in Nyström preconditioning (Frangella, Tropp & Udell 2023, SIAM J. Matrix
    Anal. Appl. 44(2), 718-752).

    Parameters
    ----------
    matrix : NDArray[np.float32]
        ``(n_rows, n_coefficients)``, its last column ones.
    offset : NDArray[np.float64] or None
        ``(n_coefficients - 1,)`` what to add to every row, or None for nothing.
    free_intercept : bool
        Whether the last coefficient is unpenalised. Then every column but the last must be centred, which
        makes the intercept a problem of its own.
    arithmetic : Arithmetic
        What the matrix is an array of.
    full_rank : int, optional
        Coefficients up to which the whole spectrum is found, `FULL_RANK` by default.
    """

    def __init__(
        self,
        matrix: Array,
        offset: Doubles | None,
        *,
        free_intercept: bool,
        arithmetic: Arithmetic = HOST,
        full_rank: int | None = None,
    ) -> None:
        self._free, self._arithmetic = free_intercept, arithmetic
        self._offset = None if offset is None else arithmetic.array(offset.astype(np.float32))
        self._matrix = matrix[:, :-1] if free_intercept else matrix
        n_rows, size = self._matrix.shape
        if size <= (FULL_RANK if full_rank is None else full_rank):
            moments = self._lower(self._lower(self._matrix.T @ self._matrix).T)
            values, self._vectors = arithmetic.xp.linalg.eigh(moments / n_rows)
            self._rest = np.inf  # no direction is left, and none is moved
        else:
            values, self._vectors = self._sketch(min(SKETCH_RANK, n_rows))
            total = arithmetic.square_sum(self._matrix) / n_rows
            if offset is not None:
                total += np.square(offset.astype(np.float32), dtype=np.float64).sum()
            self._rest = float(np.float32(max(total - float(values.sum()), 0) / max(size - len(values), 1)))
        self._values = arithmetic.xp.clip(values, 0, None)
        self.largest = float(self._values.max())
        del self._matrix

    def solve(self, g: Array, curvature: Array) -> Array:
        """Return ``(h·M + I)⁻¹ g`` of each row of `g`, for the ``(rows, 1)`` curvatures h."""
        xp = self._arithmetic.xp
        h = xp.clip(curvature, 1e-6, None)
        body = g[:, :-1] if self._free else g
        rest = 1 / (h * self._rest + 1)
        # Beyond this ratio the rounding of the eigenvectors would outweigh what it scales.
        damping = xp.maximum(1 / (h * self._values + 1), 4e-6 * rest)
        coordinates = body @ self._vectors
        coordinates *= damping - rest
        solution = coordinates @ self._vectors.T
        solution += rest * body
        return xp.hstack([solution, g[:, -1:] / h]) if self._free else solution

    def _sketch(self, rank: int) -> tuple[Array, Array]:
        linalg = self._arithmetic.xp.linalg
        random = np.random.default_rng(0).standard_normal((self._matrix.shape[1], rank), dtype=np.float32)
        image = self._lower(self._matrix.T @ (self._matrix @ self._raise(self._arithmetic.array(random))))
        basis, _ = linalg.qr(image)
        seen = self._matrix @ self._raise(basis)
        values, rotation = linalg.eigh(seen.T @ seen / len(self._matrix))
        return values, basis @ rotation

    def _raise(self, v: Array) -> Array:
        """Turn coefficients of the offset rows into those of the matrix: only the intercept changes."""
        if self._offset is None:
            return v
        raised = self._arithmetic.copy(v)
        raised[-1] += self._offset @ v[:-1]
        return raised

    def _lower(self, v: Array) -> Array:
        """Apply the transpose of `_raise`, in place."""
        if self._offset is not None:
            v[:-1] += self._offset[:, None] * v[-1]
        return v


def newton_direction(block: Array, g: Array, curvature: float | Array, arithmetic: Arithmetic = HOST) -> Array:
    """Solve ``(I + blockᵀ diag(curvature) block) v = g`` by the Woodbury identity.

    Parameters
    ----------
    block : Array
        ``(n_curved, n_coefficients)`` float32 rows where the loss is curved.
    g : Array
        ``(n_coefficients,)`` float32 gradient.
    curvature : float or Array
        The loss's second derivative in these rows, the same in all or ``(n_curved,)``.
    arithmetic : Arithmetic
        What they are arrays of.

    Returns
    -------
    Array
        As `g`.
    """
    if len(block) == 0:
        return g
    xp, doubles = arithmetic.xp, arithmetic.doubles
    wide = block
    if (curvature * xp.einsum("nd,nd->n", block, block)).max() > _WELL_CONDITIONED:
        wide, g = doubles(block), doubles(g)
    system = doubles(wide @ wide.T)
    diagonal = arithmetic.array(np.arange(len(system)))
    system[diagonal, diagonal] += 1 / curvature
    right = doubles(wide @ g)
    try:
        weights = arithmetic.solve(system, right)
    except np.linalg.LinAlgError:  # rows so long that 1 / curvature is lost in their rounding
        system[diagonal, diagonal] += len(system) * np.finfo(np.float64).eps * system.diagonal().max()
        weights = arithmetic.solve(system, right)
    return arithmetic.singles(g) - arithmetic.singles(weights) @ block
