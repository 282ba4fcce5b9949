"""What an evaluation teaches beyond its scores: is the gain real, what each backbone adds, where it errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.scores import Evaluation, ModelScore, pool
from stackbone.stack.folds.folds import Fold
from stackbone.stack.metrics.compare import (
    Difference,
    ErrorOverlap,
    bootstrap_difference,
    error_overlap,
    paired_difference,
)
from stackbone.stack.metrics.confusion import ClassReport, ConfusedPair, confidently_wrong, confused_pairs, per_class
from stackbone.stack.metrics.metrics import CalibrationBin, calibration_curve

_MOST = 20  # confused pairs and wrong images that are listed


@dataclass(frozen=True)
class WrongImage:
    """An image that a model is sure of, and wrong about: often the label is.

    Attributes
    ----------
    path : str
        Of the image, as the dataset lists it.
    label, predicted : str
        Its label, and the class that the model takes it for.
    score : float
        Probability of the predicted class, 0 to 1; of a linear SVM, the decision value.
    """

    path: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True, eq=False)
class Findings:
    """What the scores mean.

    Attributes
    ----------
    stack : str
        The model that all of this is about, named before its score was known.
    single : str
        The best model of a single backbone, by mean score.
    difference : Difference
        Accuracy of the first less that of the second.
    ablation : dict of str to Difference
        What ``stack:oof`` loses without each backbone; negative where it is better off without.
    overlap : ErrorOverlap
        Of the backbones' logistic regressions.
    classes : list of ClassReport
        Scores of each class.
    confused : list of ConfusedPair
        The most frequent confusions.
    wrong : list of WrongImage
        The most confidently wrong.
    calibration : list of CalibrationBin
        Confidence against accuracy; empty if the model gives no probabilities.
    """

    stack: str
    single: str
    difference: Difference
    ablation: dict[str, Difference]
    overlap: ErrorOverlap
    classes: list[ClassReport]
    confused: list[ConfusedPair]
    wrong: list[WrongImage]
    calibration: list[CalibrationBin]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "stack": self.stack,
            "single": self.single,
            "difference": self.difference.to_dict(),
            "ablation": {name: each.to_dict() for name, each in self.ablation.items()},
            "overlap": self.overlap.to_dict(),
            "classes": [each.to_dict() for each in self.classes],
            "confused": [each.to_dict() for each in self.confused],
            "wrong": [asdict(each) for each in self.wrong],
            "calibration": [each.to_dict() for each in self.calibration],
        }


def find(
    evaluation: Evaluation,
    y: NDArray[np.str_],
    folds: Sequence[Fold],
    paths: Sequence[str],
    seed: int,
    groups: NDArray[np.int64] | None = None,
    model: str = "stack:oof",
) -> Findings:
    """Compare models and look at the errors of an evaluation, each prediction of each repeat for itself.

    Parameters
    ----------
    evaluation : Evaluation
        With that model, and one of a single backbone.
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    folds : sequence of Fold
        The outer folds.
    paths : sequence of str
        ``n_images`` paths.
    seed : int
        Of the bootstrap that compares two models on a single split.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups, which that bootstrap draws whole.
    model : str
        What to look at.
    """
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    single = evaluation.best("lr:", "svm:")
    if single is None or model not in evaluation.predictions:
        message = f"the evaluation lacks {model}, or models of single backbones to compare it with"
        raise ValueError(message)
    stack = evaluation.score(model)
    rows = np.concatenate([fold.test for fold in folds])
    truth = codes[rows]
    joined = {name: np.concatenate([each.scores for each in found]) for name, found in evaluation.predictions.items()}
    predicted = {name: scores.argmax(axis=1) for name, scores in joined.items()}
    probability = evaluation.predictions[model][0].probability
    full = evaluation.score("stack:oof") if evaluation.without else stack

    def difference(a: ModelScore, b: ModelScore) -> Difference:
        if len(folds) > 1:
            return paired_difference(a.folds, b.folds, *mean_sizes(folds))
        right = (predicted[each.model] == truth for each in (a, b))
        return bootstrap_difference(*right, seed=seed, groups=None if groups is None else groups[rows])

    return Findings(
        stack=stack.model,
        single=single.model,
        difference=difference(stack, single),
        ablation={name: difference(full, each) for name, each in evaluation.without.items()},
        overlap=error_overlap(
            {name.partition(":")[2]: predicted[name] != truth for name in predicted if name.startswith("lr:")}
        ),
        classes=per_class(truth, predicted[model], names),
        confused=confused_pairs(truth, predicted[model], names, top=_MOST),
        wrong=_wrong_images(*pool(evaluation.predictions[model], folds), codes, names, paths, probability=probability),
        calibration=calibration_curve(truth, joined[model]) if probability else [],
    )


def _wrong_images(
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    codes: NDArray[np.int64],
    names: NDArray[np.str_],
    paths: Sequence[str],
    *,
    probability: bool,
) -> list[WrongImage]:
    """List the most confidently wrong images; of several repeats, each image counts once, with its mean scores."""
    wrong = confidently_wrong(codes[rows], scores, top=_MOST, probability=probability)
    best = np.exp(scores.max(axis=1)) if probability else scores.max(axis=1)
    predicted = names[scores.argmax(axis=1)]
    return [WrongImage(paths[rows[i]], str(names[codes[rows[i]]]), str(predicted[i]), float(best[i])) for i in wrong]


def mean_sizes(folds: Sequence[Fold]) -> tuple[int, int]:
    """Return the mean number of training and of test rows."""
    return round(np.mean([len(f.train) for f in folds])), round(np.mean([len(f.test) for f in folds]))
