"""Which images belong together: rows that must never be trained on and tested on at once.

Images of one patient, bird or photographer, and copies of one image, resemble each other by more than
their class; a classifier that learnt one of them recognises the others. `join_groups` merges every
reason for belonging together into one group id per row, which the folds then keep whole;
`near_duplicates` finds one such reason in the features themselves.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from stackbone.cache.errors import StackError, UsageError

TILE_ROWS = 1024
"""Rows compared with as many others at a time: 4 MiB of cosines, and up to twenty times that for its pairs."""

SAME_PICTURE = 0.98
"""Cosine, in every backbone, from which two images are taken for one picture."""

ROUNDING = 1e-5
"""A cosine this little below the threshold reaches it: float32 products of equal rows fall short of 1 by less."""


def join_groups(*columns: NDArray[np.generic]) -> NDArray[np.int64]:
    """Join the rows that share a value in any column, directly or through other rows.

    The groups are the connected components of the graph of rows and values: if row 0 shares its
    patient with row 1, and row 1 its camera with row 2, all three are one group.

    Parameters
    ----------
    *columns : NDArray
        One or more, each ``(n_images,)`` text, bytes, truth values or whole numbers. Empty text and
        negative numbers mean that the row belongs to no group of this column.

    Returns
    -------
    NDArray[np.int64]
        ``(n_images,)`` group ids, 0 to the number of groups - 1 by first appearance; a row that
        shares nothing is a group of its own.

    Raises
    ------
    StackError
        If a column is not one-dimensional, has another length than the first, or holds another kind
        of values.
    UsageError
        If there is no column.
    """
    if not columns:
        msg = "no group column was given; join_groups needs at least one, such as a patient per image"
        raise UsageError(msg)
    n = len(columns[0]) if columns[0].ndim else 0
    rows, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    n_nodes = n  # one node a row, then one a value
    for number, column in enumerate(columns, start=1):
        _check_column(column, n, f"group column {number} of {len(columns)}")
        members = np.flatnonzero(_is_named(column))
        names, value = np.unique(column[members], return_inverse=True)
        rows.append(members)
        values.append(n_nodes + value)
        n_nodes += len(names)
    return _number_by_appearance(_components(np.concatenate(rows), np.concatenate(values), n_nodes)[:n])


def check_threshold(threshold: float) -> None:
    """Raise `UsageError` unless it is a cosine above 0 and at most 1."""
    if not 0 < threshold <= 1:
        msg = f"the near-duplicate threshold is {threshold}; a cosine above 0 and at most 1 is needed: try 0.98"
        raise UsageError(msg)


def near_duplicates(
    blocks: Mapping[str, NDArray[np.float32]],
    threshold: float,
    *,
    known: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> NDArray[np.int64]:
    """Find the images that look the same to every backbone: crops, re-encodings, frames of one burst.

    Two rows are near-duplicates if the cosine of their features reaches the threshold in every
    backbone, and so are, in turn, their near-duplicates. Every, not any: a copy is a copy to all of
    them, while one backbone alone may be blind to what tells two images apart; and since belonging
    together is passed on, a few false pairs could chain a class into one group.

    All pairs are compared, ``n_images² · dim`` multiplications for the narrowest backbone; the others
    are asked only about tiles of `TILE_ROWS` by `TILE_ROWS` pairs in which a pair is still left. Beside
    the features no more than a few such tiles are held, whatever the number of images or pairs.

    Parameters
    ----------
    blocks : mapping of str to NDArray[np.float32]
        Backbone name to its ``(n_images, dim)`` finite features; the same rows in every block.
    threshold : float
        Least cosine, above 0 and at most 1; reached within `ROUNDING`.
    known : int
        So many rows, the first, are compared with all later ones and not with each other.
    progress : callable, optional
        Called with ("comparing", tiles done, tiles in all), first with none done.

    Returns
    -------
    NDArray[np.int64]
        ``(n_images,)`` group ids, 0 upwards by first appearance; -1 for an image that has no
        near-duplicate, so that the array is a column of `join_groups`. A row of zeros has none.

    Raises
    ------
    StackError
        If there are no features, or the blocks differ in their number of rows.
    UsageError
        If the threshold is not above 0 and at most 1.
    """
    check_threshold(threshold)
    n = _count_rows(blocks)
    group = np.arange(n)
    for first, second, close in _compare(blocks, list(_pair_tiles(n, known)), threshold, progress):
        left, right = np.nonzero(close)
        if len(left):
            # Each row is tied to its group so far: all earlier pairs in n edges.
            rows = np.concatenate([first.start + left, np.arange(n)])
            group = _representatives(_components(rows, np.concatenate([second.start + right, group]), n))
    return _number_by_appearance(np.where(np.bincount(group, minlength=n)[group] > 1, group, -1))


def near_known(
    blocks: Mapping[str, NDArray[np.float32]],
    n: int,
    threshold: float,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> NDArray[np.int64]:
    """Find for each of the first n images a later one that looks the same to every backbone.

    Of the pairs that `near_duplicates` compares, these are those of an image of each part, and none is passed on: a
    near copy of a near copy is not one.

    Parameters
    ----------
    blocks : mapping of str to NDArray[np.float32]
        Backbone name to its ``(n_images, dim)`` finite features, more than n; the same rows in every block.
    n : int
        Images that are looked for.
    threshold : float
        Least cosine, above 0 and at most 1; reached within `ROUNDING`.
    progress : callable, optional
        As of `near_duplicates`.

    Returns
    -------
    NDArray[np.int64]
        ``(n,)`` the row of the first of the others that does, -1 where none does.

    Raises
    ------
    StackError
        If there are no features, or the blocks differ in their number of rows.
    UsageError
        If the threshold is not above 0 and at most 1.
    """
    check_threshold(threshold)
    n_all = _count_rows(blocks)
    tiles = list(product(_tiles(0, n), _tiles(n, n_all)))
    found = np.full(n, -1)
    for mine, theirs, close in _compare(blocks, tiles, threshold, progress):
        first = np.where(close.any(axis=1), theirs.start + close.argmax(axis=1), -1)
        found[mine] = np.where(found[mine] < 0, first, found[mine])
    return found


def _tiles(start: int, stop: int) -> list[slice]:
    return [slice(i, min(i + TILE_ROWS, stop)) for i in range(start, stop, TILE_ROWS)]


def _pair_tiles(n: int, known: int) -> Iterator[tuple[slice, slice]]:
    """List the tiles that hold each pair of rows once, but of two known; those on the diagonal hold theirs twice."""
    tiles = _tiles(known, n)
    yield from product(_tiles(0, known), tiles)
    for place, first in enumerate(tiles):
        for second in tiles[place:]:
            yield first, second


def _compare(
    blocks: Mapping[str, NDArray[np.float32]],
    tiles: list[tuple[slice, slice]],
    threshold: float,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[tuple[slice, slice, NDArray[np.bool_]]]:
    """Yield each tile with which of its pairs every backbone finds close, and tell how many are done."""
    narrowest_first = sorted(blocks.values(), key=lambda x: x.shape[1])
    scaled = [(x, _inverse_lengths(x)) for x in narrowest_first]
    for done, (first, second) in enumerate(tiles):
        if progress is not None:
            progress("comparing", done, len(tiles))
        yield first, second, _close_pairs(scaled, first, second, threshold - ROUNDING)
    if progress is not None:
        progress("comparing", len(tiles), len(tiles))


def _close_pairs(
    scaled: list[tuple[NDArray[np.float32], NDArray[np.float32]]], first: slice, second: slice, least: float
) -> NDArray[np.bool_]:
    close = np.ones((first.stop - first.start, second.stop - second.start), np.bool_)
    if first == second:
        close = np.triu(close, k=1)
    for x, inverse in scaled:
        # The lengths join the rows and not the products: squares of large features would overflow.
        cosine = (x[first] * inverse[first, None]) @ (x[second] * inverse[second, None]).T
        close &= cosine >= least
        if not close.any():
            break
    return close


def _inverse_lengths(x: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.empty(len(x))
    for start in range(0, len(x), TILE_ROWS):
        lengths[start : start + TILE_ROWS] = np.linalg.norm(x[start : start + TILE_ROWS].astype(np.float64), axis=1)
    return np.divide(1, lengths, out=np.zeros(len(x)), where=lengths > 0).astype(np.float32)


def _components(a: NDArray[np.int64], b: NDArray[np.int64], n_nodes: int) -> NDArray[np.int64]:
    graph = coo_matrix((np.ones(len(a), np.bool_), (a, b)), shape=(n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    return np.asarray(component, np.int64)


def _representatives(component: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the first row of its component."""
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    rows: NDArray[np.int64] = first[inverse]
    return rows


def _number_by_appearance(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber ids from 0 in the order of their first rows; negative ones stay as they are."""
    numbered = group.copy()
    named = group >= 0
    _, numbered[named] = np.unique(_representatives(group[named]), return_inverse=True)
    return numbered


def _is_named(column: NDArray[np.generic]) -> NDArray[np.bool_]:
    if column.dtype.kind in "US":
        return np.asarray(column != column.dtype.type())
    if column.dtype.kind == "i":
        return np.asarray(column.astype(np.int64, copy=False) >= 0)
    return np.ones(len(column), np.bool_)


def _check_column(column: NDArray[np.generic], n: int, where: str) -> None:
    if column.shape != (n,):
        msg = f"{where} has shape {column.shape}; expected one group per image, shape ({n},), as the first column has"
        raise StackError(msg)
    if column.dtype.kind not in "USbiu":
        msg = (
            f"{where} holds values of type {column.dtype}; groups are text or whole numbers, "
            "empty or negative where there is none: convert the column"
        )
        raise StackError(msg)


def _count_rows(blocks: Mapping[str, NDArray[np.float32]]) -> int:
    shapes = {name: x.shape for name, x in blocks.items()}
    if not shapes:
        msg = "no features were given; near-duplicates are found by the features of at least one backbone"
        raise StackError(msg)
    if any(len(shape) != 2 for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        found = ", ".join(f"{name!r} {shape}" for name, shape in shapes.items())
        msg = f"features have shapes {found}; expected (n_images, dim) with the same images in every block"
        raise StackError(msg)
    return int(next(iter(shapes.values()))[0])
