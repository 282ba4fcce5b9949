"""What an evaluation teaches beyond its scores: is the gain real, what each backbone adds, where it errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stack.compare import Difference, ErrorOverlap, bootstrap_difference, error_overlap, paired_difference
from stack.confusion import ClassReport, ConfusedPair, confidently_wrong, confused_pairs, per_class
from stack.folds import Fold
from stack.metrics import CalibrationBin, calibration_curve
from stack.scores import Evaluation, ModelScore, pool

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
    stack, single : str
        The best stack and the best model of a single backbone, by mean score.
    difference : Difference
        Accuracy of the first less that of the second.
    ablation : dict of str to Difference
        What ``stack:oof`` loses without each backbone; negative where it is better off without.
    overlap : ErrorOverlap
        Of the backbones' logistic regressions.
    examined : str
        The stack that the rest is about.
    classes : list of ClassReport
        Scores of each class.
    confused : list of ConfusedPair
        The most frequent confusions.
    wrong : list of WrongImage
        The most confidently wrong.
    calibration : list of CalibrationBin
        Confidence against accuracy; empty if the examined stack gives no probabilities.
    """

    stack: str
    single: str
    difference: Difference
    ablation: dict[str, Difference]
    overlap: ErrorOverlap
    examined: str
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
            "examined": self.examined,
            "classes": [each.to_dict() for each in self.classes],
            "confused": [each.to_dict() for each in self.confused],
            "wrong": [asdict(each) for each in self.wrong],
            "calibration": [each.to_dict() for each in self.calibration],
        }


def find(
    evaluation: Evaluation, y: NDArray[np.str_], folds: Sequence[Fold], paths: Sequence[str], seed: int
) -> Findings:
    """Compare models and look at the errors of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        With at least one stack.
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    folds : sequence of Fold
        The outer folds.
    paths : sequence of str
        ``n_images`` paths.
    seed : int
        Of the bootstrap that compares two models on a single split.
    """
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    stack, single = evaluation.best("stack:"), evaluation.best("lr:", "svm:")
    if stack is None or single is None:
        message = "an evaluation has a stack and a single backbone"
        raise ValueError(message)
    pooled = {model: pool(each, folds) for model, each in evaluation.predictions.items()}
    predicted = {model: scores.argmax(axis=1) for model, (_, scores) in pooled.items()}
    examined = "stack:oof" if "stack:oof" in pooled else stack.model
    rows, scores = pooled[examined]
    truth = codes[rows]
    probability = evaluation.predictions[examined][0].probability
    wrong = confidently_wrong(truth, scores, top=_MOST, probability=probability)
    best = scores.max(axis=1)
    full = evaluation.score("stack:oof") if evaluation.without else stack
    return Findings(
        stack=stack.model,
        single=single.model,
        difference=_difference(stack, single, predicted, truth, folds, seed),
        ablation={
            name: _difference(full, each, predicted, truth, folds, seed) for name, each in evaluation.without.items()
        },
        overlap=error_overlap(
            {model.partition(":")[2]: predicted[model] != truth for model in predicted if model.startswith("lr:")}
        ),
        examined=examined,
        classes=per_class(truth, predicted[examined], names),
        confused=confused_pairs(truth, predicted[examined], names, top=_MOST),
        wrong=[
            WrongImage(
                path=paths[rows[i]],
                label=str(names[truth[i]]),
                predicted=str(names[predicted[examined][i]]),
                score=float(np.exp(best[i]) if probability else best[i]),
            )
            for i in wrong
        ],
        calibration=calibration_curve(truth, scores) if probability else [],
    )


def _difference(
    a: ModelScore,
    b: ModelScore,
    predicted: dict[str, NDArray[np.int64]],
    truth: NDArray[np.int64],
    folds: Sequence[Fold],
    seed: int,
) -> Difference:
    if len(folds) > 1:
        return paired_difference(a.folds, b.folds, *_sizes(folds))
    return bootstrap_difference(predicted[a.model] == truth, predicted[b.model] == truth, seed=seed)


def _sizes(folds: Sequence[Fold]) -> tuple[int, int]:
    return round(np.mean([len(f.train) for f in folds])), round(np.mean([len(f.test) for f in folds]))
