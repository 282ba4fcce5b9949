"""What is true of every image, as the learners see it: class codes with the names that they stand for, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Truth:
    """What the labels of a dataset say.

    Attributes
    ----------
    values : NDArray[np.int64] or NDArray[np.float64]
        ``(n_images,)`` class codes, indices into `classes`; or numbers in the labels' unit.
    classes : NDArray[np.str_]
        ``(n_classes,)`` class names, ascending; empty where numbers are predicted.
    """

    values: NDArray[Any]
    classes: NDArray[np.str_]

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 where numbers are predicted."""
        return len(self.classes)

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n_images,)`` class names; of classes alone."""
        names: NDArray[np.str_] = self.classes[self.values]
        return names

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n_images,)`` class codes; zeros where numbers are predicted, as if all images were of one class."""
        return self.values if self.n_classes else np.zeros(len(self.values), np.int64)
