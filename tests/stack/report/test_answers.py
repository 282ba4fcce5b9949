"""What models say of single images: the surest errors with every vote, and examples that fit their pair."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.report.answers import Answers

CODES = np.arange(12, dtype=np.int64) % 3
ROWS = np.arange(12, dtype=np.int64) + 100  # the index has other rows before these
NAMES = ["hat", "cap", "wig"]


def log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    return logs


def answers(*, repeats: int = 1) -> Answers:
    """Return the answers of a stack that takes image 4 (a cap) for a wig, surely, and 6 (a hat) for a cap, less so."""
    sure = np.full((12, 3), 0.01)
    sure[np.arange(12), CODES] = 1
    sure[4] = [0.02, 0.03, 0.95]
    sure[6] = [0.2, 0.7, 0.1]
    unsure = np.full((12, 3), 0.2)
    unsure[:, 0] = 0.6
    folds = [Fold.testing(np.arange(k, 12, 2), 12) for k in (0, 1)] * repeats

    def parts(p: NDArray[np.float64]) -> list[Prediction]:
        return [Prediction(log(p)[fold.test], probability=True) for fold in folds]

    svm = [Prediction(sure[fold.test], probability=False) for fold in folds]
    found = {"lr:a": parts(sure), "lr:b": parts(unsure), "svm:a": svm, "mean": parts(unsure), "stack:oof": parts(sure)}
    return Answers(found, folds, NAMES, CODES, ROWS, "stack:oof")


@pytest.mark.parametrize("repeats", [1, 2])
def test_the_surest_errors_come_first_with_the_vote_of_every_logistic_regression(repeats: int) -> None:
    first, second = answers(repeats=repeats).wrong
    assert (first.row, first.true, first.predicted) == (104, "cap", "wig")
    assert (second.row, second.true, second.predicted) == (106, "hat", "cap")
    assert first.probability == pytest.approx(0.95)
    assert second.probability == pytest.approx(0.7)
    assert [(v.backbone, v.predicted) for v in first.votes] == [("a", "wig"), ("b", "hat")]
    assert [v.probability for v in first.votes] == pytest.approx([0.95, 0.6])
    assert not first.all_agree


def test_what_the_model_answers_against_all_backbones_is_shown_apart() -> None:
    fold = Fold.testing(np.arange(12), 12)

    def says(changed: dict[int, int]) -> list[Prediction]:
        p = np.full((12, 3), 0.1)
        p[np.arange(12), np.array([changed.get(i, int(code)) for i, code in enumerate(CODES)])] = 0.8
        return [Prediction(np.log(p), probability=True)]

    away = (CODES + 1) % 3
    # 0: the model alone is wrong; 1: it alone is right; 2: all are wrong alike; 3: one backbone stands by the model
    members = {"lr:a": says({1: away[1], 2: away[2], 3: away[3]}), "lr:b": says({1: away[1], 2: away[2]})}
    model = says({0: away[0], 2: away[2], 3: away[3]})
    found = Answers({**members, "stack:oof": model}, [fold], NAMES, CODES, ROWS, "stack:oof")
    assert [each.row for each in found.overruled] == [100, 101]
    assert [each.predicted == each.true for each in found.overruled] == [False, True]
    assert [each.row for each in found.wrong] == [102, 103]
    alone = Answers({"lr:a": members["lr:a"], "stack:oof": model}, [fold], NAMES, CODES, ROWS, "stack:oof")
    assert alone.overruled == []


def test_decision_values_order_the_errors_and_are_no_probabilities() -> None:
    decisions = np.eye(3)[CODES]
    decisions[5] = [9, 0, 1]
    fold = Fold.testing(np.arange(12), 12)
    predictions = {"stack:published": [Prediction(decisions, probability=False)]}
    found = Answers(predictions, [fold], NAMES, CODES, ROWS, "stack:published").wrong
    assert [(each.row, each.predicted, each.probability, each.votes) for each in found] == [(105, "hat", None, [])]


def test_examples_are_of_their_pair_the_surest_first() -> None:
    found = answers()
    assert found.examples("cap", "wig", 6) == [104]
    assert found.examples("hat", "cap", 6) == [106]
    assert found.examples("hat", "wig", 6) == []
    kept = found.examples("hat", "hat", 2)
    assert len(kept) == 2
    assert set(kept) <= {100, 103, 109}
