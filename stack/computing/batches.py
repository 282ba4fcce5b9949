"""Problems solved side by side, fewer at once where a device is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.computing.arithmetic import Arithmetic, DeviceFullError

_log = logging.getLogger(__name__)


def run_in_batches(
    arithmetic: Arithmetic, problems: NDArray[np.int64], width: int, solve: Callable[[NDArray[np.int64]], None]
) -> None:
    """Solve problems, as many at once as keep working memory small beside the matrix.

    Parameters
    ----------
    arithmetic : Arithmetic
        What they are solved with. Where its device is full, half as many are solved at once from then on, by all that
        compute with it, which a log message says once.
    problems : NDArray[np.int64]
        Their numbers.
    width : int
        Decision values that each has of a row.
    solve : callable
        Solves the problems of these numbers.

    Raises
    ------
    StackError
        If the device has not the memory for one.
    """
    left = problems
    while len(left):
        size = -(-len(left) // -(-len(left) // max(1, arithmetic.most_columns // width)))
        try:
            with arithmetic.within_memory():
                solve(left[:size])
        except DeviceFullError as exc:
            if size == 1:
                raise _full(arithmetic, exc) from exc
        else:
            left = left[size:]
            continue
        arithmetic.most_columns = size // 2 * width
        _log.warning(
            "the memory of %s is full: %s problems are solved at once from here on, not %s, which gives the same "
            "results more slowly",
            arithmetic.name,
            f"{size // 2:,}",
            f"{size:,}",
        )


@contextmanager
def smallest_part(arithmetic: Arithmetic) -> Iterator[None]:
    """Say of what cannot be made smaller that a device has not the memory for it.

    Raises
    ------
    StackError
        If its device is full.
    """
    try:
        with arithmetic.within_memory():
            yield
    except DeviceFullError as exc:
        raise _full(arithmetic, exc) from exc


def _full(arithmetic: Arithmetic, exc: DeviceFullError) -> StackError:
    message = (
        f"the memory of {arithmetic.name} is full ({exc}), and the fit cannot be made smaller. End other programs on "
        "it, or use --device cpu; scores that were computed are kept"
    )
    return StackError(message)
