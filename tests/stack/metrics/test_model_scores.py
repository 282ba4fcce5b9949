"""Scores add up: per model over folds, per image over repeats."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore, Prediction, pool


def fold(*test: int) -> Fold:
    return Fold.testing(np.array(test), 6)


def logs(*probabilities: list[float]) -> Prediction:
    return Prediction(np.log(np.array(probabilities)), probability=True)


def evaluation(*results: ModelScore) -> Evaluation:
    return Evaluation(results=list(results), predictions={}, without={}, chosen={})


def test_mean_and_population_std_over_folds() -> None:
    score = ModelScore("mean", [0.5, 0.7, 0.9])
    assert score.mean == pytest.approx(0.7)
    assert score.std == pytest.approx(np.std([0.5, 0.7, 0.9], ddof=0))


def test_model_score_goes_to_json_with_every_metric() -> None:
    score = ModelScore("mean", [0.5, 0.7], {"log_loss": [1.0, 3.0]})
    assert json.loads(json.dumps(score.to_dict())) == {
        "model": "mean",
        "accuracy": {"mean": pytest.approx(0.6), "std": pytest.approx(0.1), "folds": [0.5, 0.7]},
        "log_loss": {"mean": 2.0, "std": 1.0, "folds": [1.0, 3.0]},
    }


def test_chief_score_of_a_regression_goes_by_its_own_name() -> None:
    found = ModelScore("ridge:a", [0.5], {"mae": [2.0]}, primary_metric="r2").to_dict()
    assert list(found) == ["model", "r2", "mae"]


def test_models_are_found_by_name_and_the_best_by_prefix() -> None:
    scores = [
        ModelScore("lr:a", [0.7]),
        ModelScore("lr:b", [0.9]),
        ModelScore("svm:a", [0.9]),
        ModelScore("mean", [1.0]),
    ]
    found = evaluation(*scores)
    assert found.score("svm:a") is scores[2]
    assert found.best("lr:", "svm:") is scores[1]  # the first of equals
    assert found.best("svm:") is scores[2]
    assert found.best("stack:") is None


def test_folds_are_pooled_in_the_order_of_the_rows() -> None:
    predictions = [logs([0.9, 0.1], [0.8, 0.2]), logs([0.3, 0.7], [0.4, 0.6])]
    rows, scores = pool(predictions, [fold(1, 5), fold(0, 3)])
    assert rows.tolist() == [0, 1, 3, 5]  # 2 and 4 are in no test part
    np.testing.assert_allclose(np.exp(scores), [[0.3, 0.7], [0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])


def test_probabilities_of_repeats_are_averaged_as_such() -> None:
    predictions = [logs([0.9, 0.1], [0.5, 0.5]), logs([0.1, 0.9]), logs([0.2, 0.8])]
    rows, scores = pool(predictions, [fold(1, 2), fold(1), fold(2)])
    assert rows.tolist() == [1, 2]
    np.testing.assert_allclose(np.exp(scores), [[0.5, 0.5], [0.35, 0.65]])


def test_decision_values_of_repeats_are_averaged() -> None:
    made: list[NDArray[np.float32]] = [np.array([[2.0, -2.0]], np.float32), np.array([[-1.0, 1.0]], np.float32)]
    rows, scores = pool([Prediction(each, probability=False) for each in made], [fold(4), fold(4)])
    assert rows.tolist() == [4]
    assert scores.tolist() == [[0.5, -0.5]]
    assert scores.dtype == np.float64


def test_a_probability_that_underflows_has_a_finite_logarithm() -> None:
    _, scores = pool([Prediction(np.array([[0.0, -2000.0]]), probability=True)], [fold(0)])
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(np.exp(scores), [[1.0, 0.0]], atol=1e-300)


def test_predictions_of_one_fold_are_their_own_pool() -> None:
    made = logs([0.25, 0.75], [0.5, 0.5])
    rows, scores = pool([made], [fold(2, 3)])
    assert rows.tolist() == [2, 3]
    np.testing.assert_allclose(scores, made.scores, rtol=1e-12)
