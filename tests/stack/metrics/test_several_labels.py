"""Metrics of labels are scikit-learn's, and never NaN."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, hamming_loss, log_loss

from stackbone.cache.errors import StackError
from stackbone.stack.metrics.metrics import METRICS, label_metrics
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.metrics.resample import resampled
from stackbone.stack.metrics.several.labels import average_precisions, per_label
from tests.made.multilabel import NAMES, make_presence

PRESENCE = make_presence(200)
PROBABILITY = np.round(expit(np.random.default_rng(0).normal(size=PRESENCE.shape) + PRESENCE), 2)  # with equal scores
SAID = PROBABILITY >= 0.6


def test_metrics_are_those_of_scikit_learn() -> None:
    found = label_metrics(PRESENCE, np.log(PROBABILITY), SAID)
    assert found["mean_ap"] == pytest.approx(average_precision_score(PRESENCE, PROBABILITY, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(PRESENCE, SAID, average="micro"))
    assert found["label_macro_f1"] == pytest.approx(f1_score(PRESENCE, SAID, average="macro"))
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(PRESENCE, SAID))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(PRESENCE, SAID))
    losses = [log_loss(PRESENCE[:, label], PROBABILITY[:, label]) for label in range(3)]
    assert found["label_log_loss"] == pytest.approx(np.mean(losses))


def test_a_label_that_nobody_has_is_left_out_of_the_mean() -> None:
    presence = PRESENCE.copy()
    presence[:, 1] = 0
    found = label_metrics(presence, np.log(PROBABILITY), SAID)
    rest = average_precision_score(presence[:, [0, 2]], PROBABILITY[:, [0, 2]], average="macro")
    assert found["mean_ap"] == pytest.approx(rest)
    assert np.isnan(average_precisions(presence, PROBABILITY)[1])
    assert all(np.isfinite(each) for each in found.values())


def test_impossible_and_certain_labels_have_finite_losses() -> None:
    with np.errstate(divide="ignore"):
        scores = np.log(np.array([[0.0, 1.0], [1.0, 0.0]]))
    found = label_metrics(np.array([[1, 0], [0, 1]], np.int8), scores, scores == 0)
    assert 700 < found["label_log_loss"] < 710


def test_each_label_by_itself() -> None:
    reports = per_label(np.array(NAMES), PRESENCE, PROBABILITY, SAID)
    assert [each.name for each in reports] == list(NAMES)
    for label, each in enumerate(reports):
        assert each.n == PRESENCE[:, label].sum()
        assert each.ap == pytest.approx(average_precision_score(PRESENCE[:, label], PROBABILITY[:, label]))
        assert each.f1 == pytest.approx(f1_score(PRESENCE[:, label], SAID[:, label]))


@pytest.mark.parametrize(
    ("presence", "scores", "said"),
    [
        (np.zeros((2, 2), np.int8), np.zeros((2, 2)), "none of the 2 images that are tested has a label"),
        (np.ones((2, 2), np.int8), np.zeros((2, 3)), "cannot be compared"),
        (np.ones((2, 2), np.int8), np.array([[-1, np.nan], [0, 0]]), r"in 1 of 2 rows \(row 0 first\)"),
        (np.ones((2, 2), np.int8), np.array([[-1, -1], [0, 3.0]]), r"in 1 of 2 rows \(row 1 first\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(presence: NDArray[np.int8], scores: NDArray[np.float64], said: str) -> None:
    with pytest.raises(StackError, match=said):
        label_metrics(presence, scores, scores > -0.5)


def test_weights_count_as_scikit_learn_counts_them() -> None:
    weights = np.random.default_rng(2).uniform(0.1, 3, len(PRESENCE))
    found = label_metrics(PRESENCE, np.log(PROBABILITY), SAID, weights=weights)
    own = {"sample_weight": weights}
    assert found["mean_ap"] == pytest.approx(average_precision_score(PRESENCE, PROBABILITY, average="macro", **own))
    assert found["micro_f1"] == pytest.approx(f1_score(PRESENCE, SAID, average="micro", **own))
    assert found["label_macro_f1"] == pytest.approx(f1_score(PRESENCE, SAID, average="macro", **own))
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(PRESENCE, SAID, **own))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(PRESENCE, SAID, **own))
    losses = [log_loss(PRESENCE[:, label], PROBABILITY[:, label], **own) for label in range(3)]
    assert found["label_log_loss"] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("name", ["mean_ap", "micro_f1", "label_macro_f1"])
@pytest.mark.filterwarnings("error")
def test_draws_without_any_label_have_no_number(name: str) -> None:
    presence = np.zeros((4, 3), np.int8)
    presence[0, 1] = 1
    scores = np.log(np.where(presence == 1, 0.9, 0.1))
    said = Prediction(scores, probability=True, thresholds=np.full(3, 0.5))
    drawn = resampled(METRICS[name], presence, said, seed=0).drawn
    assert 0 < np.isnan(drawn).sum() < len(drawn)
    assert (drawn[~np.isnan(drawn)] == 1).all()
    nothing = np.zeros((4, 3))
    assert METRICS[name].measure(nothing.astype(np.int8), nothing, probability=True) is None
