"""What a transfer method is: labelled images of one domain and what is seen of another go in, a classifier comes out.

To add one is to write one file in a folder of `stack.transfer.methods`, or in a package of one's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.memo import Memo

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Probabilities = NDArray[np.float64]

Family = Literal["baseline", "instance", "feature", "model", "relation", "adversarial", "multi-task"]

FAMILIES: tuple[Family, ...] = ("baseline", "instance", "feature", "model", "relation", "adversarial", "multi-task")
"""In the order of the table, as surveys of the field divide it (Zhuang et al. 2021, Proc. IEEE 109(1), 43-76)."""

HIDDEN = -1
"""Code of a label that a method may not see."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Domains:
    """Two domains on one backbone: all that a method may see of them.

    Attributes
    ----------
    source : NDArray[np.float32]
        ``(n_source, dim)`` features as they are cached; none is of an image, or of a group, that is tested.
    source_labels : NDArray[np.int64]
        ``(n_source,)`` class codes, 0 to ``n_classes - 1``.
    target : NDArray[np.float32]
        ``(n_target, dim)`` features of the target's training part, with a label or without; never of its test part.
    target_labels : NDArray[np.int64]
        ``(n_target,)`` class codes; `HIDDEN` where the setting does not show the label.
    n_classes : int
        Classes that both domains have.
    seed : int
        Of everything that is drawn.
    source_groups, target_groups : NDArray[np.int64], optional
        ``(n_source,)`` and ``(n_target,)`` ids of what belongs together, of one numbering, for inner folds; None where
        each image stands alone.
    memo : Memo
        What was computed of these domains: see `once`.
    source_memo : Memo
        What was computed of the source alone, which other folds and settings may share: see `once_of_source`.
    image_memo : Memo
        What was computed without target labels, which other settings may share: see `once_of_images`.
    """

    source: Matrix
    source_labels: Codes
    target: Matrix
    target_labels: Codes
    n_classes: int
    seed: int
    source_groups: Codes | None = None
    target_groups: Codes | None = None
    memo: Memo = field(default_factory=Memo, repr=False)
    source_memo: Memo = field(default_factory=Memo, repr=False)
    image_memo: Memo = field(default_factory=Memo, repr=False)

    @property
    def seen(self) -> Codes:
        """``(n_seen,)`` rows of the target whose label is shown, ascending."""
        return np.flatnonzero(self.target_labels != HIDDEN)

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """Return what `make` makes, made once for all methods: a Gram matrix, domain weights, a chosen C.

        Parameters
        ----------
        name : str
            Of what is made, unique among all methods; with what it depends on beyond these domains.
        make : callable
            Makes it of these domains alone; nobody may change what it returns.
        """
        return self.memo.get(name, make)

    def once_of_source(self, name: str, make: Callable[[], _T]) -> _T:
        """Return what `make` makes of `source`, its labels and groups and `seed` alone, made once; as `once`."""
        return self.source_memo.get(name, make)

    def once_of_images(self, name: str, make: Callable[[], _T]) -> _T:
        """Return what `make` makes of all but `target_labels`, made once for all settings; as `once`."""
        return self.image_memo.get(name, make)


class Fitted(ABC):
    """A classifier of the target's images.

    Attributes
    ----------
    chosen : dict of str to (float or str)
        Hyper-parameters that were chosen, and under ``by`` the criterion, if any was.
    linear_map : LinearMap, optional
        The map from features as they are cached to decision values, whose softmax gives the probabilities; None where
        it is not linear, so that it cannot be saved.
    """

    chosen: dict[str, float | str]
    linear_map: LinearMap | None = None

    @abstractmethod
    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return ``(n, n_classes)`` probabilities, each row of sum 1, of ``(n, dim)`` features of target images."""


class LinearFitted(Fitted):
    """A classifier whose decision values are a linear map of features as they are cached.

    Parameters
    ----------
    linear_map : LinearMap
        With ``n_classes`` outputs.
    chosen : dict of str to (float or str)
        See `Fitted`.
    """

    linear_map: LinearMap

    def __init__(self, linear_map: LinearMap, chosen: dict[str, float | str]) -> None:
        self.linear_map, self.chosen = linear_map, chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the softmax of the decision values."""
        shares: Probabilities = softmax(self.linear_map.decide(features).astype(np.float64), axis=1)
        return shares


class Method(ABC):
    """One way to learn from a source domain for a target domain.

    Attributes
    ----------
    name : str
        As users type it.
    family : str
        One of `FAMILIES`.
    what : str
        It in a few words, for the table.
    source : str
        The paper, in a line: authors, year, where.
    statistics : str
        What images of the target are standardised by before they are classified, as a saved model says.
    place : int
        Where it stands within its family, ascending.
    is_linear : bool
        Whether its classifier is a linear map of features as they are cached, as a saved model holds.
    by_default : bool
        Whether it runs where no method is named; one that takes minutes does not.
    """

    name: str
    family: Family
    what: str
    source: str
    statistics: str = "both domains' statistics"
    place: int = 100
    is_linear: bool = True
    by_default: bool = True

    def fits(self, domains: Domains) -> str | None:
        """Return in words why the method cannot serve these domains, such as without target labels; None if it can."""
        return None

    @abstractmethod
    def fit(self, domains: Domains) -> Fitted:
        """Learn from both domains.

        Nothing but `domains` decides the outcome: the same domains and seed give the same classifier.

        Raises
        ------
        StackError
            If what it was given does not allow it, though `fits` knew no reason.
        """
