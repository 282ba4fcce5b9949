"""What changed between an earlier result and an experiment: scores, images won and lost, classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stackbone.stack.metrics.compare import Difference


@dataclass(frozen=True)
class ModelChange:
    """A model that both have: its mean score before and now, and by how much it is better now."""

    model: str
    before: float
    now: float
    difference: Difference | None


@dataclass(frozen=True)
class ImageChange:
    """An image on which the model came to be right or wrong, by its label of now.

    Attributes
    ----------
    path : str
        As the dataset has it now.
    label : str
        Its label now.
    before, now : str
        What was predicted.
    change : str
        ``won`` or ``lost``.
    """

    path: str
    label: str
    before: str
    now: str
    change: str


@dataclass(frozen=True)
class ClassChange:
    """A class: images of it that both tested, F1 before and now by the labels of now, images won and lost."""

    name: str
    n: int
    before: float
    now: float
    won: int = 0
    lost: int = 0


@dataclass(frozen=True, eq=False)
class Change:
    """What changed.

    Attributes
    ----------
    file : str
        The earlier result.
    metric : str
        In which the difference is.
    model_before, model_now : str
        The models that the two are about.
    before, now : float
        Their mean scores, as they are compared.
    difference : Difference, optional
        By how much now is better; None where nothing tells how sure it is.
    models : list of ModelChange
        Models of the same name, by the scores of the two results.
    n_both : int, optional
        Images that both tested; None, like all counts below, where the earlier result does not tell its images.
    n_new, n_gone, n_moved, n_relabelled, n_other_fold : int
        Images that it did not test; that are not tested any more; whose paths are others now; whose labels are; that
        are in another fold.
    images : list of ImageChange
        Images won, then images lost.
    classes : list of ClassChange
        Classes that changed, the most changed first.
    notes : list of str
        What a reader should know, in sentences.
    """

    file: str
    metric: str
    model_before: str
    model_now: str
    before: float
    now: float
    difference: Difference | None
    models: list[ModelChange]
    n_both: int | None = None
    n_new: int = 0
    n_gone: int = 0
    n_moved: int = 0
    n_relabelled: int = 0
    n_other_fold: int = 0
    images: list[ImageChange] = field(default_factory=list)
    classes: list[ClassChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def won(self) -> list[ImageChange]:
        """Images on which the model is right now, and was not."""
        return [each for each in self.images if each.change == "won"]

    @property
    def lost(self) -> list[ImageChange]:
        """Images on which the model was right, and is not now."""
        return [each for each in self.images if each.change == "lost"]

    def columns(self) -> dict[str, Sequence[str]]:
        """Return the images won and lost by column."""
        names = ("path", "change", "label", "before", "now")
        return {name: [getattr(each, name) for each in self.images] for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)
