"""A transfer method that keeps what it was shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Matrix, Method, Probabilities
from stackbone.stack.transfer.registry import METHODS


class Spy(Method):
    """Is `source-only`, and keeps what it was shown."""

    name = "spy"
    family = "multi-task"
    what = "a spy"
    source = "this test"
    by_default = False

    def __init__(self) -> None:
        self.met: list[Domains] = []
        self.made = 0
        self.refuses: str | None = None
        self.fails = False
        self.scale = 1.0
        self.gives_map = True

    def fits(self, domains: Domains) -> str | None:
        return self.refuses

    def fit(self, domains: Domains) -> Fitted:
        if self.fails:
            message = "no light at all"
            raise StackError(message)
        self.met.append(domains)
        fitted = METHODS["source-only"].fit(domains)
        assert isinstance(fitted, LinearFitted)
        domains.once_of_source("spy", self._make)
        return _Spied(fitted.linear_map, self.scale, is_linear=self.gives_map)

    def _make(self) -> NDArray[np.float64]:
        self.made += 1
        return np.zeros(1)


class _Spied(Fitted):
    def __init__(self, linear_map: LinearMap, scale: float, *, is_linear: bool) -> None:
        self._fitted, self._scale, self.chosen = LinearFitted(linear_map, {}), scale, {}
        self.linear_map = linear_map if is_linear else None

    def predict_proba(self, features: Matrix) -> Probabilities:
        return self._fitted.predict_proba(features) * self._scale
