"""What is true of every image, as the learners see it: class codes with their names, labels it has, or numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Truth:
    """What the labels of a dataset say.

    Attributes
    ----------
    values : NDArray[np.int64], NDArray[np.int8] or NDArray[np.float64]
        ``(n_images,)`` class codes, indices into `classes`; or numbers in the labels' unit; or, where an image can have
        several labels, ``(n_images, n_classes)``: 1 where it has a label, else 0. Of several numbers
        ``(n_images, n_targets)``.
    classes : NDArray[np.str_]
        ``(n_classes,)`` names of classes or labels, ascending; empty where numbers are predicted.
    targets : NDArray[np.str_]
        ``(n_targets,)`` names of the numbers, where there are several; else empty.
    """

    values: NDArray[Any]
    classes: NDArray[np.str_]
    targets: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))

    @property
    def n_classes(self) -> int:
        """Number of classes, or of labels; 0 where numbers are predicted."""
        return len(self.classes)

    @property
    def columns(self) -> list[str]:
        """Names of what each column of scores is of: classes, labels, or several numbers; of one number, none."""
        return [str(name) for name in (*self.classes, *self.targets)]

    @property
    def has_one_class(self) -> bool:
        """Whether every image is of one class."""
        return self.n_classes > 0 and self.values.ndim == 1

    @property
    def presence(self) -> NDArray[np.int8] | None:
        """``(n_images, n_classes)``: 1 where an image has a label, else 0; None where it cannot have several."""
        return self.values if self.n_classes and self.values.ndim == 2 else None

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n_images,)`` class names; of classes alone."""
        names: NDArray[np.str_] = self.classes[self.values]
        return names

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n_images,)`` codes by which images are sampled: of its class, or of the rarest label that it has.

        Of a label that most images have, lacking it is what is rare. An image without anything rare has `n_classes`.
        Zeros where numbers are predicted, as if all images were of one class.
        """
        if self.has_one_class:
            return self.values
        if not self.n_classes:
            return np.zeros(len(self.values), np.int64)
        has = self.values == 1
        rarer = np.where(2 * has.sum(axis=0) > len(has), ~has, has)
        rarest_first = np.argsort(rarer.sum(axis=0), kind="stable")
        ranked = rarer[:, rarest_first]
        codes = np.where(ranked.any(axis=1), rarest_first[ranked.argmax(axis=1)], self.n_classes)
        return codes.astype(np.int64)
