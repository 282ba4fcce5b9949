"""What the models of a classification say about each image, for the sections that show single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.confusion import confidently_wrong, overruled
from stackbone.stack.metrics.model_scores import Prediction, pool

MOST_WRONG = 60


@dataclass(frozen=True)
class Vote:
    """The class that one backbone's logistic regression takes an image for, and its probability, 0 to 1."""

    backbone: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class ConfidentError:
    """What the examined model and the backbones say of an image, one that the model is wrong about or they are.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    true, predicted : str
        Its class, and the class that the model takes it for.
    probability : float, optional
        Of the predicted class, 0 to 1; None where the model gives none.
    votes : list of Vote
        Of each backbone.
    """

    row: int
    true: str
    predicted: str
    probability: float | None
    votes: list[Vote]

    @property
    def all_agree(self) -> bool:
        """Whether there are several backbones, and all of them agree with the model."""
        return len(self.votes) > 1 and all(vote.predicted == self.predicted for vote in self.votes)


class Answers:
    """What the models of a classification say about each image: with several repeats, the mean.

    Parameters
    ----------
    predictions : mapping of str to list of Prediction
        By model, one per fold.
    folds : sequence of Fold
        Their folds.
    names : sequence of str
        Of the classes, by code.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes.
    rows : NDArray[np.int64]
        ``(n_images,)`` row of the dataset's index of each image.
    model : str
        The model whose errors are shown.

    Attributes
    ----------
    tested : NDArray[np.int64]
        ``(n_scored,)`` the images that were scored.
    rows, truth, predicted : NDArray[np.int64]
        ``(n_scored,)`` their rows of the index, their class codes, and those that the model takes them for.
    """

    def __init__(
        self,
        predictions: Mapping[str, Sequence[Prediction]],
        folds: Sequence[Fold],
        names: Sequence[str],
        codes: NDArray[np.int64],
        rows: NDArray[np.int64],
        model: str,
    ) -> None:
        self._predictions, self._folds, self._names = predictions, folds, names
        self.tested, self._scores = pool(predictions[model], folds)
        self.rows, self.truth = rows[self.tested], codes[self.tested]
        self.predicted = self._scores.argmax(axis=1)
        self._gives_probability = predictions[model][0].probability

    @cached_property
    def wrong(self) -> list[ConfidentError]:
        """The images that the model is most confidently wrong about, the surest first; at most 60."""
        return self._shown(
            confidently_wrong(
                self.truth, self._scores, MOST_WRONG, probability=self._gives_probability, without=self._against
            )
        )

    @cached_property
    def overruled(self) -> list[ConfidentError]:
        """The images on which all backbones agree and the model answers otherwise, the surest first; at most 60."""
        return self._shown(self._surest[self._against[self._surest]][:MOST_WRONG])

    @cached_property
    def _against(self) -> NDArray[np.bool_]:
        """Return ``(n_scored,)`` whether the model answers otherwise than all backbones."""
        return overruled(self.predicted, [codes for codes, _ in self.votes.values()])

    def _shown(self, found: NDArray[np.int64]) -> list[ConfidentError]:
        return [
            ConfidentError(
                row=int(self.rows[i]),
                true=self._names[self.truth[i]],
                predicted=self._names[self.predicted[i]],
                probability=float(np.exp(self._scores[i].max())) if self._gives_probability else None,
                votes=[Vote(name, self._names[code[i]], float(sure[i])) for name, (code, sure) in self.votes.items()],
            )
            for i in found
        ]

    def examples(self, true: str, predicted: str, most: int) -> list[int]:
        """Return the rows of images of one class that are taken for another, the surest first."""
        pair = (self.truth == self._names.index(true)) & (self.predicted == self._names.index(predicted))
        found: list[int] = self.rows[self._surest[pair[self._surest]][:most]].tolist()
        return found

    @cached_property
    def _surest(self) -> NDArray[np.intp]:
        """Return ``(n_scored,)`` positions, the surest prediction first."""
        return np.argsort(-self._scores.max(axis=1), kind="stable")

    @property
    def probability(self) -> NDArray[np.float64] | None:
        """``(n_scored,)`` of the predicted classes, 0 to 1; None where the model gives none."""
        return np.exp(np.minimum(self._scores.max(axis=1), 0)) if self._gives_probability else None

    @cached_property
    def votes(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """``(n_scored,)`` class codes and probabilities by each backbone's logistic regression."""
        return {name: (each.argmax(axis=1), np.exp(each.max(axis=1))) for name, each in self._of_backbones.items()}

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """``(n_classifiers, n_scored, n_classes)`` of the backbones, or of the model where it has none that are known.

        None at all where no one gives probabilities.
        """
        own = [self._scores] if self._gives_probability else []
        found = [*self._of_backbones.values()] or own
        return np.stack(found) if found else np.zeros((0, *self._scores.shape))

    @cached_property
    def _of_backbones(self) -> dict[str, NDArray[np.float64]]:
        found = {}
        for model, predictions in self._predictions.items():
            kind, _, backbone = model.partition(":")
            if kind == "lr":
                found[backbone] = pool(predictions, self._folds)[1]
        return found
