"""What each column is divided by before a fit: its own spread, steadied by what it has in common with its part.

The columns of a matrix can come from several places: a network's last vector, the mean of each of its stages. Columns
of one place are a part: they are standardised among each other, and penalised alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

MODERATION = 50.0
"""Rows that the columns' common variance counts for when each is standardised; `bench/small_sets.py` shows why."""


@dataclass(frozen=True)
class ColumnParts:
    """Parts of consecutive columns, each standardised by itself and with a penalty of its own.

    Attributes
    ----------
    widths : tuple of int
        Columns of each part, in order.
    factors : tuple of float
        Above 0, one per part: what its standardised columns are multiplied by. A penalty that is the same for all
        coefficients then costs those of a part ``1 / factor**2`` as much for standardised columns. So multiple-penalty
        regression is plain regression of scaled columns (van de Wiel et al. 2021, J. Comput. Graph. Stat. 30(4),
        835-847).
    """

    widths: tuple[int, ...]
    factors: tuple[float, ...]

    @classmethod
    def alike(cls, *widths: int) -> ColumnParts:
        """Return parts of these widths that are penalised alike."""
        return cls(widths, (1.0,) * len(widths))

    def slices(self) -> Iterator[slice]:
        """Yield the columns of each part."""
        ends = np.cumsum(self.widths).tolist()
        return (slice(end - width, end) for end, width in zip(ends, self.widths, strict=True))

    def scales(self, variances: Doubles, n_rows: float | NDArray[Any], moderation: float) -> Doubles:
        """Return ``(n_subsets, dim)`` divisors: the `moderated_scales` of each part by its factor."""
        each = (
            moderated_scales(variances[:, own], n_rows, moderation) / factor
            for own, factor in zip(self.slices(), self.factors, strict=True)
        )
        return np.hstack(list(each))


def moderated_scales(variances: Doubles, n_rows: float | NDArray[Any], moderation: float) -> Doubles:
    """Return what each column is divided by: a standard deviation that a handful of rows cannot make tiny by chance.

    A column's variance over `n_rows` rows is averaged with what the columns have in common, their median, which
    counts for `moderation` rows (the moderated variance of Smyth 2004, Statistical Applications in Genetics and
    Molecular Biology 3(1), article 3, equation 3.2, with the median for its prior). Columns standardised by
    their own few rows alone would throw rows not among them hundreds of standard deviations out.

    Parameters
    ----------
    variances : NDArray[np.float64]
        ``(n_subsets, dim)`` population variances; 0 where a column is constant.
    n_rows : float or NDArray
        Rows that they were taken over (of weighted ones, the sum); ``(n_subsets, 1)`` where subsets differ.
    moderation : float
        Rows that the median counts for; 0 gives the columns' own standard deviations.

    Returns
    -------
    NDArray[np.float64]
        ``(n_subsets, dim)`` scales. A constant column gets infinity, which takes it out of a fit: scikit-learn's
        StandardScaler gives it 1, and its fits give it the coefficient 0.
    """
    varying = np.where(variances > 0, variances, np.nan)
    common = np.zeros((len(variances), 1))
    some = variances.any(axis=1)
    common[some] = np.nanmedian(varying[some], axis=1, keepdims=True)
    moderated = (n_rows * variances + moderation * common) / (n_rows + moderation)
    return np.sqrt(np.where(variances > 0, moderated, np.inf))
