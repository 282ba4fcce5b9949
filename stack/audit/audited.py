"""What kinds of findings look at: a dataset's images, their features, scores and files, each gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex
from stackbone.cache.progress import Progress
from stackbone.stack.audit.facts import Facts
from stackbone.stack.audit.neighbours import Neighbours, find_neighbours
from stackbone.stack.audit.out_of_fold import OutOfFold
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.folds.groups import SAME_PICTURE, near_duplicates

MOST_NEIGHBOURS = 20


@dataclass(frozen=True, eq=False)
class Audited:
    """A dataset, and what is known of its images.

    Attributes
    ----------
    index : DatasetIndex
        All that is listed.
    rows : NDArray[np.int64]
        ``(n_images,)`` rows of the index that are sound, each image once, labelled or not, ascending.
    blocks : dict of str to NDArray[np.float32]
        Plain backbone to the ``(n_images, dim)`` features of these images; none where there is none.
    scores : OutOfFold, optional
        What classifiers that never saw an image say of it; None where there are none.
    facts : mapping of int to Facts
        What a look at the files told, by row of the index; empty where nobody looked.
    seed : int
        Of samples.
    progress : callable, optional
        See `cache.progress.Progress`.
    """

    index: DatasetIndex
    rows: NDArray[np.int64]
    blocks: dict[str, NDArray[np.float32]]
    scores: OutOfFold | None = None
    facts: Mapping[int, Facts] = field(default_factory=dict)
    seed: int = 0
    progress: Progress | None = None

    @cached_property
    def labels(self) -> list[str]:
        """Label of each of these images, as the index has it; ``""`` without one."""
        return [self.index.label[row] for row in self.rows]

    @cached_property
    def classes(self) -> tuple[list[str], NDArray[np.int64]]:
        """Names of the classes, ascending, and ``(n_images,)`` codes; -1 of images without a label."""
        names = sorted({*self.labels} - {""})
        places = {name: code for code, name in enumerate(names)}
        return names, np.array([places.get(label, -1) for label in self.labels], np.int64)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The nearest others of each of these images."""
        return find_neighbours(self.blocks, MOST_NEIGHBOURS, self.seed, self.progress)

    @property
    def compares(self) -> bool:
        """Whether near copies are looked for: there is a plain backbone, and not too many images."""
        return bool(self.blocks) and len(self.rows) <= MOST_COMPARED

    @cached_property
    def near(self) -> NDArray[np.int64]:
        """``(n_images,)`` groups of near copies, -1 for none; see `stack.folds.groups.near_duplicates`."""
        return near_duplicates(self.blocks, SAME_PICTURE, progress=self.progress)

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where rows of the index are among `rows`."""
        return np.searchsorted(self.rows, rows)
