"""The objectives of linear classifiers: which problems each is made of, and how their outputs stand for classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import Arithmetic
from stackbone.stack.solvers.objectives.losses import LogisticLoss, Loss, SoftmaxLoss, SquaredHingeLoss

Doubles = NDArray[np.float64]

Kind = Literal["log", "squared_hinge"]

EVERY_ROW = slice(None)


class Objective(ABC):
    """What is minimised on several training subsets of the same rows, as problems that are numbered subset by subset.

    Parameters
    ----------
    fitted : NDArray[np.bool_]
        ``(n_subsets, n_rows)`` which rows each subset is fitted on.
    weights : NDArray[np.float64] or None
        ``(n_rows,)`` what each counts for, above 0.
    told : NDArray[np.int64]
        ``(n_problems,)`` what each problem of a subset tells from the rest: a class, or a label.
    width : int
        Decision values of each problem and row.

    Attributes
    ----------
    n_problems : int
        Problems of each subset.
    subset_of, class_of : NDArray[np.int64]
        ``(n_subsets * n_problems,)`` the subset of each problem, and what it tells.
    width : int
        The same.
    """

    def __init__(self, fitted: NDArray[np.bool_], weights: Doubles | None, told: NDArray[np.int64], width: int) -> None:
        self._fitted, self._weights, self.width = fitted, weights, width
        self.n_problems = len(told)
        self.subset_of = np.repeat(np.arange(len(fitted)), self.n_problems)
        self.class_of = np.tile(told, len(fitted))

    @abstractmethod
    def loss(
        self, problems: NDArray[np.int64], arithmetic: Arithmetic, rows: NDArray[np.int64] | slice = EVERY_ROW
    ) -> Loss:
        """Return the loss of some problems, by number, in some rows."""

    @abstractmethod
    def outputs(self, coef: Doubles, intercept: Doubles) -> tuple[Doubles, Doubles]:
        """Return the ``(n_outputs, dim)`` coefficients and ``(n_outputs,)`` intercepts of a map's outputs.

        Parameters
        ----------
        coef, intercept : NDArray[np.float64]
            ``(n_problems * width, dim)`` and ``(n_problems * width,)`` those of one subset's problems.
        """


class ClassObjective(Objective):
    """One objective of all classes.

    ``log`` is one problem of all classes, for two classes with outputs (0, z). ``squared_hinge`` is one problem a
    class, against the rest; for two classes one, with outputs (-z, z).

    Parameters
    ----------
    kind : {"log", "squared_hinge"}
        The objective.
    codes : NDArray[np.int64]
        ``(n_rows,)`` class codes, 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes, at least 2.
    fitted, weights
        As of `Objective`.
    """

    def __init__(
        self,
        kind: Kind,
        codes: NDArray[np.int64],
        n_classes: int,
        fitted: NDArray[np.bool_],
        weights: Doubles | None,
    ) -> None:
        self._kind, self._codes, self._n_classes = kind, codes, n_classes
        n_problems = 1 if kind == "log" or n_classes == 2 else n_classes
        width = n_classes if kind == "log" and n_classes > 2 else 1
        super().__init__(fitted, weights, np.arange(n_classes)[-n_problems:], width)

    def loss(
        self, problems: NDArray[np.int64], arithmetic: Arithmetic, rows: NDArray[np.int64] | slice = EVERY_ROW
    ) -> Loss:
        """Return the loss of some problems, by number, in some rows."""
        fitted, codes = self._fitted[self.subset_of[problems]][:, rows], self._codes[rows]
        weights = None
        if self._weights is not None:  # a weight that single precision rounds to 0 would divide by it
            weights = np.maximum(self._weights[rows], np.finfo(np.float32).tiny).astype(np.float32)
        if self.width > 1:
            return SoftmaxLoss(codes, self._n_classes, fitted, weights, arithmetic)
        is_class = codes == self.class_of[problems][:, None]
        signs = np.where(is_class, fitted, -fitted.astype(np.float32)).astype(np.float32)
        return (LogisticLoss if self._kind == "log" else SquaredHingeLoss)(signs, weights, arithmetic)

    def decisions(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the decision values that ``(n_rows, n_classes)`` outputs stand for: by class, ``width``, row."""
        if self.width > 1:
            return np.broadcast_to(outputs.T, (self._n_classes, *outputs.T.shape))
        if self._n_classes > 2:
            return outputs.T[:, None]
        between = (outputs[:, 1] - outputs[:, 0]) / (1 if self._kind == "log" else 2)
        return np.broadcast_to(between, (2, 1, len(between)))

    def outputs(self, coef: Doubles, intercept: Doubles) -> tuple[Doubles, Doubles]:
        """Return the coefficients and intercepts of the outputs of all classes; see `Objective`."""
        if self.width > 1:
            # A shift shared by all classes changes no probability: of equal answers, scikit-learn's sums to zero.
            return coef - coef.mean(axis=0), intercept - intercept.mean()
        if self.n_problems == 1:
            first = 0.0 if self._kind == "log" else -1.0
            return np.vstack([first * coef, coef]), np.concatenate([first * intercept, intercept])
        return coef, intercept
