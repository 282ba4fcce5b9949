"""Fits that take no time, and what is to run those that cannot leave this process where there are none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.fitting.on_ray import FitKey

LARGE = np.arange(1 << 17, dtype=np.float64)


def total(x: NDArray[np.float64], factor: float) -> float:
    if factor > 2:
        warnings.warn(f"factor {factor}", UserWarning, stacklevel=1)
    return float(x.sum() * factor)


def none_here(fits: Mapping[FitKey, Any]) -> Iterator[Any]:
    assert not fits
    return iter(())
