"""What a result file holds of single images: who was tested in which fold, under which label, with which answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests
from stackbone.stack.experiments.experiment import Experiment, Planned

_HEX = 16  # digits of a SHA-256: enough to know an image of one dataset again


@dataclass(frozen=True, eq=False)
class ImagesTested:
    """Images that are tested, each once.

    Attributes
    ----------
    images : list of str
        First 16 hex digits of the SHA-256 of each.
    paths : list of str
        As the dataset has them.
    labels : list of str
        The labels that they are tested under.
    folds : list of int
        The fold of the first repeat that tests each, from 1.
    """

    images: list[str]
    paths: list[str]
    labels: list[str]
    folds: list[int]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class ImageAnswers(ImagesTested):
    """Images that were tested, each once, ascending by `images`.

    Attributes
    ----------
    images, paths, labels, folds
        As of `ImagesTested`.
    predicted : list of (str or float)
        What the model that the experiment is about said there.
    """

    predicted: list[Any]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "image_sha256": self.images,
            "path": self.paths,
            "label": self.labels,
            "fold": self.folds,
            "predicted": self.predicted,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ImageAnswers:
        """Return what `to_dict` returned.

        Raises
        ------
        ValueError
            If it is of another form.
        """
        names = ("image_sha256", "path", "label", "fold", "predicted")
        columns = [content.get(name) if isinstance(content, Mapping) else None for name in names]
        if not all(isinstance(each, list) and len(each) == len(columns[0] or []) for each in columns):
            message = "its images are no columns of one length"
            raise ValueError(message)
        images, paths, labels, folds, predicted = columns
        texts = (*images, *paths, *labels)  # type: ignore[misc]  # lists, as was just checked
        if not all(type(each) is str for each in texts) or not all(type(each) is int for each in folds):  # type: ignore[union-attr]
            message = "its images have fields of other types"
            raise ValueError(message)
        if not all(type(each) in (str, float, int) for each in predicted) or len(set(images)) != len(images):  # type: ignore[union-attr, arg-type]
            message = "what it says of its images is of other types, or an image is there twice"
            raise ValueError(message)
        return cls(images, paths, labels, folds, predicted)  # type: ignore[arg-type]


def image_answers(experiment: Experiment) -> ImageAnswers:
    """Return what the model that an experiment is about said of each tested image, in the first repeat."""
    joined, kind, truth = experiment.joined, experiment.kind, experiment.truth
    n_folds = len(experiment.folds) // experiment.repeats
    predictions = experiment.evaluation.predictions[experiment.model_name]
    found: list[tuple[str, str, str, int, Any]] = []
    digests, paths, labels = heads(joined.digests), joined.paths, joined.labels
    pairs = zip(experiment.folds[:n_folds], predictions, strict=False)
    for number, (fold, prediction) in enumerate(pairs, start=1):
        said = kind.say(prediction, truth.columns)
        found += [
            (digests[row], paths[row], str(labels[row]), number, each)
            for row, each in zip(fold.test.tolist(), said, strict=True)
        ]
    columns: list[list[Any]] = [list(each) for each in zip(*sorted(found, key=lambda row: row[0]), strict=True)]
    return ImageAnswers(*(columns or [[], [], [], [], []]))


def images_tested(planned: Planned) -> ImagesTested:
    """Return the images that an experiment is to test in its first repeat, by the order of its folds."""
    joined, folds = planned.joined, planned.folds[: len(planned.folds) // planned.division.repeats]
    found = [(row, number) for number, fold in enumerate(folds, start=1) for row in fold.test.tolist()]
    digests, paths, labels = heads(joined.digests), joined.paths, joined.labels
    return ImagesTested(
        [digests[row] for row, _ in found],
        [paths[row] for row, _ in found],
        [str(labels[row]) for row, _ in found],
        [number for _, number in found],
    )


def heads(digests: Digests) -> list[str]:
    """Return the first 16 hex digits of each of ``(n, 32)`` digests."""
    shown: NDArray[np.uint8] = digests[:, : _HEX // 2]
    return [row.tobytes().hex() for row in shown]
