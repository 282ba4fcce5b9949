"""The images that a report shows: the surest errors with each backbone's vote, examples of confusions, conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, as_keys
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.upkeep.summary import Conflict
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.used_features import UsedFeatures
from stackbone.stack.folds.folds import Fold
from stackbone.stack.folds.subsets import sample_rows
from stackbone.stack.metrics.confusion import ConfusedPair, confidently_wrong
from stackbone.stack.metrics.model_scores import Prediction, pool

MOST_WRONG = 60
MOST_CONFLICTS = 40

_EXAMPLES = 6  # of each confused pair
_COPIES_SHOWN = 6  # of each conflict
_MOST_ATTENTION = 12  # images of each steered backbone
_ATTENTION_ERRORS = 6  # of these


@dataclass(frozen=True)
class ReportImage:
    """An image that a report shows.

    Attributes
    ----------
    path, label : str
        As the dataset lists them.
    copies : int
        Files of the dataset with these very bytes, itself among them.
    """

    path: str
    label: str
    copies: int


class ImageList:
    """The images that a report shows, each once, numbered in the order in which its sections ask for them.

    Parameters
    ----------
    index : DatasetIndex
        Of the dataset.
    """

    def __init__(self, index: DatasetIndex) -> None:
        self._index = index
        self._number: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._number)

    def add(self, row: int) -> int:
        """Return the number of the image in this row of the index."""
        return self._number.setdefault(int(row), len(self._number))

    def numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ``(n,)`` numbers of images, -1 where one is not in the list."""
        return np.array([self._number.get(row, -1) for row in rows.tolist()], np.int64)

    def files(self) -> list[ListedFile]:
        """Return where each image lies, and which bytes were scored."""
        index = self._index
        return [ListedFile(index.root, index.path[row], index.image_sha256[row].tobytes()) for row in self._number]

    def records(self) -> list[ReportImage]:
        """Return the list, in order."""
        _, image, counts = np.unique(as_keys(self._index.image_sha256), return_inverse=True, return_counts=True)
        return [
            ReportImage(self._index.path[row], self._index.label[row], int(counts[image[row]])) for row in self._number
        ]


@dataclass(frozen=True)
class Vote:
    """What one backbone's logistic regression takes an image for, as a class code, and how surely (0 to 1)."""

    backbone: str
    predicted: int
    probability: float


@dataclass(frozen=True)
class WrongPicture:
    """An image that the examined model is sure of, and wrong about.

    Attributes
    ----------
    image : int
        Its number in the list.
    true, predicted : int
        Class codes.
    probability : float, optional
        Of the predicted class, 0 to 1; None where the stack knows none.
    votes : list of Vote
        Of each backbone.
    """

    image: int
    true: int
    predicted: int
    probability: float | None
    votes: list[Vote]


@dataclass(frozen=True)
class PairPictures:
    """One class taken for another; class codes, images, their share of the true class, and image numbers."""

    true: int
    predicted: int
    n: int
    share: float
    examples: list[int]


@dataclass(frozen=True)
class ConflictPictures:
    """Files with the same bytes and different labels."""

    images: list[int]
    labels: list[str]


@dataclass(frozen=True)
class AttentionPicture:
    """An image and the steered backbone whose attention to it is worth a picture."""

    image: int
    backbone: str


class Answers:
    """What the models of a classification say of each image, of several repeats their mean.

    Parameters
    ----------
    predictions : mapping of str to list of Prediction
        By model, one per fold.
    folds : sequence of Fold
        Their folds.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes.
    examined : str
        The model whose errors are shown.
    """

    def __init__(
        self,
        predictions: Mapping[str, Sequence[Prediction]],
        folds: Sequence[Fold],
        codes: NDArray[np.int64],
        examined: str,
    ) -> None:
        self._predictions, self._folds = predictions, folds
        self._rows, self._scores = pool(predictions[examined], folds)
        self._truth = codes[self._rows]
        self._predicted = self._scores.argmax(axis=1)
        self._probability = predictions[examined][0].probability

    def wrong(self, images: ImageList, rows: NDArray[np.int64]) -> list[WrongPicture]:
        """Return the most confidently wrong images.

        Parameters
        ----------
        images : ImageList
            Grows by them.
        rows : NDArray[np.int64]
            ``(n_images,)`` row of the index of each image.
        """
        found = confidently_wrong(self._truth, self._scores, MOST_WRONG, probability=self._probability)
        votes = self._votes(found)
        return [
            WrongPicture(
                image=images.add(rows[self._rows[i]]),
                true=int(self._truth[i]),
                predicted=int(self._predicted[i]),
                probability=float(np.exp(self._scores[i].max())) if self._probability else None,
                votes=[Vote(name, int(code[n]), float(sure[n])) for name, (code, sure) in votes.items()],
            )
            for n, i in enumerate(found)
        ]

    def pairs(
        self, pairs: Sequence[ConfusedPair], names: Sequence[str], images: ImageList, rows: NDArray[np.int64]
    ) -> list[PairPictures]:
        """Return confused pairs with the surest examples; `names` are those of the classes, by code."""
        code_of = {name: code for code, name in enumerate(names)}
        surest = np.argsort(-self._scores.max(axis=1), kind="stable")
        truth, predicted = self._truth[surest], self._predicted[surest]
        pictured = []
        for pair in pairs:
            true, taken_for = code_of[pair.true], code_of[pair.predicted]
            found = surest[(truth == true) & (predicted == taken_for)][:_EXAMPLES]
            examples = [images.add(rows[self._rows[i]]) for i in found]
            pictured.append(PairPictures(true, taken_for, pair.n, pair.share, examples))
        return pictured

    def _votes(self, found: NDArray[np.int64]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Return each backbone's class codes and probabilities for some of the scored rows."""
        votes = {}
        for model, predictions in self._predictions.items():
            kind, _, backbone = model.partition(":")
            if kind == "lr":
                scores = pool(predictions, self._folds)[1][found]
                votes[backbone] = scores.argmax(axis=1), np.exp(scores.max(axis=1))
        return votes


def picture_conflicts(conflicts: Sequence[Conflict], images: ImageList, paths: Sequence[str]) -> list[ConflictPictures]:
    """Return the first conflicts with the numbers of their images; `paths` are those of the index, row by row."""
    shown = conflicts[:MOST_CONFLICTS]
    wanted = {path for conflict in shown for path in conflict.paths[:_COPIES_SHOWN]}
    row_of = {path: row for row, path in enumerate(paths) if path in wanted}
    return [
        ConflictPictures([images.add(row_of[path]) for path in each.paths[:_COPIES_SHOWN]], each.labels[:_COPIES_SHOWN])
        for each in shown
    ]


def picture_attention(
    experiment: Experiment,
    features: Sequence[UsedFeatures],
    codes: NDArray[np.int64],
    wrong: Sequence[WrongPicture],
    images: ImageList,
) -> list[AttentionPicture]:
    """Choose images for each steered backbone that its steering of the first fold never saw: errors, then others.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    features : sequence of UsedFeatures
        Of its backbones.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes; of a regression all equal.
    wrong : sequence of WrongPicture
        Images that the stack is wrong about.
    images : ImageList
        Grows by them.
    """
    steered = [used.name for used in features if used.per_fold]
    if not steered:
        return []
    test, rows = experiment.folds[0].test, experiment.joined.rows
    unseen = set(images.numbers(rows[test]).tolist())
    errors = [each.image for each in wrong if each.image in unseen][:_ATTENTION_ERRORS]
    spread = test[sample_rows(codes[test], _MOST_ATTENTION, experiment.seed)]
    chosen = dict.fromkeys([*errors, *(images.add(row) for row in rows[spread])])
    return [AttentionPicture(image, name) for name in steered for image in list(chosen)[:_MOST_ATTENTION]]
