"""Means, scales and covariances of two domains, in which their features are compared.

A column is divided by its spread within the domains, that of both together: a scale that is common to them keeps what
differs between them. Covariances are decomposed once for all methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.rows import LazyRows, Matrix, some_rows
from stackbone.stack.solvers.scales import MODERATION, moderated_scales
from stackbone.stack.transfer.method import Domains

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_PIECE = 256  # rows converted to double precision at a time
_LEAST = 1e-10  # share of the largest eigenvalue below which a direction of few rows is rounding


@dataclass(frozen=True, eq=False)
class DomainMap:
    """From features of a domain as they are cached to what a classifier sees: ``(x - mean) / scale @ project``.

    Attributes
    ----------
    mean : NDArray[np.float64]
        ``(dim,)``.
    scale : NDArray[np.float64]
        ``(dim,)``, infinite for a column that is to count for nothing.
    project : NDArray[np.floating], optional
        ``(dim, k)``; None for none.
    """

    mean: Doubles
    scale: Doubles
    project: Doubles | Floats | None = None

    def apply(self, x: Matrix, out: Floats | None = None) -> Floats:
        """Return ``(n, k)`` what a classifier sees of ``(n, dim)`` features, in `out` where it is given."""
        project = None if self.project is None else self.project.astype(np.float32, copy=False)
        if out is None:
            out = np.empty((len(x), x.shape[1] if project is None else project.shape[1]), np.float32)
        for start in range(0, len(x), _PIECE):
            rows = slice(start, start + _PIECE)
            z = (x[rows] - self.mean) / self.scale
            out[rows] = z if project is None else z.astype(np.float32) @ project
        return out

    def compose(self, linear: LinearMap) -> LinearMap:
        """Return a map of ``(n, k)`` as one of features as they are cached."""
        coef, intercept = linear.uncentred()
        if self.project is not None:
            coef = self.project.astype(np.float64, copy=False) @ coef
        return LinearMap.rounded(coef / self.scale[:, None], intercept, self.mean)


def standardise(x: Matrix, mean: Doubles, scale: Doubles) -> Floats:
    """Return ``(x - mean) / scale`` in single precision; 0 where the scale is infinite."""
    return DomainMap(mean, scale).apply(x)


class MappedRows(LazyRows):
    """Rows of a domain as a map makes them, a piece at a time.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, dim)`` features.
    way : DomainMap
        The map.
    """

    def __init__(self, x: Matrix, way: DomainMap) -> None:
        self._x, self._way = x, way
        self.shape = (len(x), x.shape[1] if way.project is None else way.project.shape[1])

    def __getitem__(self, index: NDArray[np.int64] | slice | int | np.integer) -> Floats:
        """Return these rows, mapped; of one row, ``(k,)``."""
        rows = self._x[index]
        mapped = self._way.apply(np.atleast_2d(rows))
        return mapped if rows.ndim > 1 else mapped[0]

    def take(self, rows: NDArray[np.int64]) -> MappedRows:
        """Return some of the rows."""
        return MappedRows(some_rows(self._x, rows), self._way)


@dataclass(frozen=True, eq=False)
class Moments:
    """What is subtracted from the features of two domains, and what they are divided by.

    Attributes
    ----------
    source_mean, target_mean : NDArray[np.float64]
        ``(dim,)``.
    source_scale, target_scale : NDArray[np.float64]
        ``(dim,)`` standard deviation of each column within that domain, moderated (`stack.solvers.scales`); infinite
        where the column is constant there.
    scale : NDArray[np.float64]
        ``(dim,)`` likewise within both, each image about the mean of its own domain.
    """

    source_mean: Doubles
    target_mean: Doubles
    source_scale: Doubles
    target_scale: Doubles
    scale: Doubles


def moments(domains: Domains) -> Moments:
    """Return means and scales of both domains."""
    return domains.once_of_images("moments", lambda: _moments(domains.source, domains.target))


def _moments(source: Matrix, target: Matrix) -> Moments:
    n_source, n_target = len(source), len(target)
    source_mean, source_variance = column_moments(source)
    target_mean, target_variance = column_moments(target)
    both = (n_source * source_variance + n_target * target_variance) / (n_source + n_target)

    def scale(variance: Doubles, n: int) -> Doubles:
        scales: Doubles = moderated_scales(variance[None], n, MODERATION)[0]
        return scales

    return Moments(
        source_mean,
        target_mean,
        scale(source_variance, n_source),
        scale(target_variance, n_target),
        scale(both, n_source + n_target),
    )


def column_moments(x: Matrix) -> tuple[Doubles, Doubles]:
    """Return ``(dim,)`` means and population variances of ``(n, dim)`` features, exactly 0 of a constant column."""
    middle = x[0].astype(np.float64)
    sums, squares = np.zeros((2, x.shape[1]))
    for start in range(0, len(x), _PIECE):
        piece = x[start : start + _PIECE] - middle
        sums += piece.sum(axis=0)
        squares += np.square(piece).sum(axis=0)
    mean, spread = sums / len(x), squares / len(x)
    variance = spread - np.square(mean)
    return middle + mean, np.where(variance > _LEAST * spread, variance, 0.0)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The covariance of centred rows, decomposed.

    Attributes
    ----------
    values : NDArray[np.float64]
        ``(rank,)`` eigenvalues, descending; all others are 0.
    vectors : NDArray[np.float32]
        ``(dim, rank)`` their directions, of length 1; in single precision, since methods share them for long.
    """

    values: Doubles
    vectors: Floats

    @classmethod
    def of(cls, z: Matrix) -> Spectrum:
        """Decompose the covariance of ``(n, dim)`` rows whose mean is 0."""
        n, dim = z.shape
        wide = dim > n
        gram = np.zeros((n, n) if wide else (dim, dim))
        rows = z[:] if wide else np.empty((0, dim), np.float32)
        if wide:
            for start in range(0, dim, _PIECE):
                piece = rows[:, start : start + _PIECE].astype(np.float64)
                gram += piece @ piece.T
        else:
            for start in range(0, n, _PIECE):
                piece = z[start : start + _PIECE].astype(np.float64)
                gram += piece.T @ piece
        values, vectors = eigen(gram)
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > _LEAST * max(values[0], np.finfo(np.float64).tiny)
        values, vectors = values[kept], vectors[:, kept]
        if wide:
            vectors = rows.T.astype(np.float64) @ vectors / np.sqrt(values)
        return cls(values / n, np.ascontiguousarray(vectors, np.float32))

    def power(self, exponent: float, ridge: float) -> Floats:
        """Return ``(covariance + ridge I) ** exponent``, ``(dim, dim)``."""
        dim, rank = self.vectors.shape
        base = ridge**exponent if rank < dim else 0.0  # of directions without variance; taken off where there is some
        scales = np.asarray((self.values + ridge) ** exponent - base, np.float32)
        scaled: Floats = self.vectors * scales
        raised: Floats = scaled @ self.vectors.T
        raised[np.diag_indices_from(raised)] += np.float32(base)
        return raised


def eigen(symmetric: Doubles) -> tuple[Doubles, Doubles]:
    """Return eigenvalues, ascending, and eigenvectors of ``(k, k)`` values, in whose place they are found.

    By relatively robust representations (Dhillon & Parlett 2004, SIAM J. Matrix Anal. Appl. 25(3), 858-899), which take
    no further ``(k, k)`` arrays to work in; divide and conquer takes two, in the same time.
    """
    # Transposed, which is the same matrix, it has the order in memory that LAPACK takes without a copy.
    values, vectors = eigh(symmetric.T, overwrite_a=True, driver="evr", check_finite=False)
    return values, vectors


def spectra(domains: Domains) -> tuple[Spectrum, Spectrum]:
    """Return the covariances of source and target, each about its own mean and divided by their common scale."""

    def decompose() -> tuple[Spectrum, Spectrum]:
        both = moments(domains)
        return (
            Spectrum.of(MappedRows(domains.source, DomainMap(both.source_mean, both.scale))),
            Spectrum.of(MappedRows(domains.target, DomainMap(both.target_mean, both.scale))),
        )

    return domains.once_of_images("spectra", decompose)
