"""Blocks of columns: found once by slice, place or name; taken from arrays, sparse matrices and DataFrames.

What a stack was asked for flows in, places flow out. Nothing here looks at a value, so that columns in no block
may hold anything.
"""

import re
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import _safe_indexing, check_array

from stackbone.cache.choices import nearest
from stackbone.cache.text import counted

Columns = slice | NDArray[np.intp]

BY_NAME = "auto"
"""In place of a mapping: the names of columns say which block each belongs to, as ``resnet50_0`` to resnet50."""

_NUMBERED = re.compile(r"(.+)_\d+", re.DOTALL)


def read_table(x: Any) -> Any:  # noqa: ANN401 - whatever holds rows and columns
    """Return DataFrames as they are, all else as an array or sparse matrix of two dimensions, of any values.

    Parameters
    ----------
    x : array-like, sparse matrix or DataFrame
        ``(n_samples, n_features)``.

    Returns
    -------
    ndarray, sparse matrix or DataFrame
        The same object where it is one of these.

    Raises
    ------
    ValueError
        If there are not two dimensions, or one of them is 0, or the numbers are complex.
    """
    if is_frame(x):
        return x
    return check_array(x, accept_sparse=True, dtype=None, ensure_all_finite=False, input_name="X")


def is_frame(x: object) -> bool:
    """Return whether `x` is a DataFrame, of pandas, polars or alike."""
    return hasattr(x, "columns") and hasattr(x, "dtypes")


def take_columns(x: Any, columns: Columns) -> Any:  # noqa: ANN401
    """Return these columns of an array, sparse matrix or DataFrame: a view where it can be, `x` itself if all."""
    n_columns = x.shape[1]
    places = np.arange(n_columns)[columns]
    if np.array_equal(places, np.arange(n_columns)):
        return x
    if sparse.issparse(x):
        return x.tocsc()[:, places].asformat(x.format)
    if is_frame(x):
        return _safe_indexing(x, places, axis=1)
    return x[:, columns]


def find_blocks(
    blocks: object, n_features: int, feature_names: NDArray[np.object_] | None, problems: list[str]
) -> dict[str, Columns]:
    """Resolve each block; what cannot be is added to `problems`.

    Parameters
    ----------
    blocks : mapping of str to slice, places or names, "auto" or None
        As given to the estimator. None: one block ``features`` of all columns; "auto": as the columns' names say.
    n_features : int
        Number of columns of X.
    feature_names : NDArray[np.object_] or None
        ``(n_features,)`` column names of X, if it has them.
    problems : list of str
        What was found wrong so far.

    Returns
    -------
    dict of str to slice or NDArray[np.intp]
        The columns of each block that could be found, in the same order.
    """
    if blocks is None:
        return {"features": slice(0, n_features)}
    if isinstance(blocks, str) and blocks == BY_NAME:
        return _named_blocks(feature_names, problems)
    if not isinstance(blocks, Mapping) or not blocks or not all(isinstance(name, str) for name in blocks):
        problems.append(f"blocks is {blocks!r}; give a mapping of each block's name to its columns, or {BY_NAME!r}")
        return {}
    found: dict[str, Columns] = {}
    for name, wanted in blocks.items():
        try:
            found[name] = _find_columns(wanted, n_features, feature_names)
        except ValueError as error:
            problems.append(f"block {name!r} {error}")
    return found


def _named_blocks(feature_names: NDArray[np.object_] | None, problems: list[str]) -> dict[str, Columns]:
    """Return the columns called ``NAME_0``, ``NAME_1``, ... as the block NAME, by their places."""
    if feature_names is None:
        problems.append(
            f"blocks is {BY_NAME!r}, and X has no column names to read them from: pass a DataFrame, as "
            "ImageEmbedder().set_output(transform='pandas') gives, or a mapping, such as its blocks_"
        )
        return {}
    numbered = [_NUMBERED.fullmatch(name) for name in feature_names]
    other = [str(name) for name, found in zip(feature_names, numbered, strict=True) if found is None]
    if other:
        problems.append(
            f"blocks is {BY_NAME!r}, and of X {counted(len(other), 'column has', 'columns have')} another name than "
            f"BLOCK_0, BLOCK_1, ... ({other[0]!r} first): rename them, or give a mapping of each block's name to its "
            "columns"
        )
        return {}
    places: dict[str, list[int]] = {}
    for place, found in enumerate(numbered):
        places.setdefault(found[1] if found else "", []).append(place)
    return {name: np.array(each, dtype=np.intp) for name, each in places.items()}


def _find_columns(wanted: object, n_features: int, feature_names: NDArray[np.object_] | None) -> Columns:
    known = f"X has {n_features} columns"
    if isinstance(wanted, slice):
        bounds = [bound for bound in (wanted.start, wanted.stop, wanted.step) if bound is not None]
        whole = all(isinstance(bound, Integral) for bound in bounds)
        if not whole or wanted.step == 0 or any(abs(bound) > n_features for bound in bounds[:2]):
            msg = f"is {wanted!r}, and {known}: give a slice within them"
            raise ValueError(msg)
        if len(range(n_features)[wanted]) == 0:
            msg = f"is {wanted!r}, which holds no column: give at least one"
            raise ValueError(msg)
        return wanted
    columns = np.asarray(wanted)
    if columns.ndim != 1 or columns.size == 0 or columns.dtype.kind not in "iuUOT":
        msg = f"is {wanted!r}: give a slice, a list of column indices, or a list of column names"
        raise ValueError(msg)
    if columns.dtype.kind in "iu":
        absent = columns[(columns < -n_features) | (columns >= n_features)]
        hint = f"{known}, 0 to {n_features - 1}"
        places = columns % n_features
    elif feature_names is None:
        msg = (
            f"names columns, such as {str(columns[0])!r}, but X has no column names: pass a DataFrame, or give indices"
        )
        raise ValueError(msg)
    else:
        place = {name: i for i, name in enumerate(feature_names)}
        if len(place) < n_features:
            msg = "names columns, but some names of X occur twice: give indices, or rename its columns"
            raise ValueError(msg)
        absent = np.array([name for name in columns if name not in place], dtype=object)
        near = nearest(str(absent[0]), place, cutoff=0.0) if len(absent) else None
        hint = f"{known}; did you mean {near!r}?" if near else known
        places = np.array([place.get(name, -1) for name in columns])
    if len(absent):
        msg = f"names {counted(len(absent), 'column')} that X lacks ({absent[0]} first): {hint}"
        raise ValueError(msg)
    if len(np.unique(places)) < len(places):
        repeated = len(places) - len(np.unique(places))
        msg = f"names {counted(repeated, 'column')} more than once: name each once"
        raise ValueError(msg)
    return places.astype(np.intp)
