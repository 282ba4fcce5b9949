"""Numeric labels: what is a number, what is refused and why, and the measures of a prediction."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.tasks.registry import TASKS
from stackbone.stack.tasks.targets import check_targets, parse_targets
from stackbone.stack.tasks.truth import Truth


def test_labels_are_read_as_numbers() -> None:
    targets = parse_targets(np.array(["41.5", "-3e2", " 7 ", "+.5", "0"]))
    assert targets.dtype == np.float64
    assert targets.tolist() == [41.5, -300.0, 7.0, 0.5, 0.0]


@pytest.mark.parametrize("label", ["cat", "", "12 cm", "12,5", "nan", "inf", "-inf", "1e999", "1_2", "0x10"])
def test_a_label_that_is_no_finite_number_is_named_with_its_row(label: str) -> None:
    with pytest.raises(StackError, match=r"1 of 3 labels are not finite numbers") as caught:
        parse_targets(np.array(["1", label, "2"]))
    assert f"{label!r} (row 1);" in str(caught.value)
    assert "leave out --task regression" in str(caught.value)


def test_of_many_bad_labels_the_first_five_are_named() -> None:
    with pytest.raises(StackError, match=r"7 of 8 .* 'f' \(row 5\), \.\.\.; regression needs"):
        parse_targets(np.array(["1", "b", "c", "d", "e", "f", "g", "h"]))


def test_sound_targets_pass() -> None:
    check_targets(np.array([0.0, 1e-6]))
    check_targets(np.array([2020.0, 2021.0, 2019.0]))
    check_targets(np.array([1e30, -1e30, 1.0]))


def test_targets_that_cannot_be_regressed_are_refused() -> None:
    with pytest.raises(StackError, match=r"shape \(2, 1\)"):
        check_targets(np.zeros((2, 1)))
    with pytest.raises(StackError, match=r"shape \(0,\)"):
        check_targets(np.zeros(0))
    with pytest.raises(StackError, match=r"2 of 4 targets are NaN or infinite \(row 1 first\)"):
        check_targets(np.array([1, np.nan, 2, np.inf]))
    with pytest.raises(StackError, match=r"every image has the target 3\.5"):
        check_targets(np.full(4, 3.5))
    for huge in (1e39, -1e300, 1.1e30):
        with pytest.raises(StackError, match=re.escape(f"a target is {huge:g} (row 1), too large") + ".*divide all"):
            check_targets(np.array([1, huge, 2, 0.5]))
    with pytest.raises(StackError, match=r"between 1700000000 and 1700000009.*subtract a constant"):
        check_targets(1_700_000_000 + np.arange(10.0))


def test_predictions_are_measured_fold_by_fold() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(40, 10, size=30)
    folds = [Fold.testing(rows, 30) for rows in (np.arange(0, 12), np.arange(12, 30))]
    said = [y[fold.test] + rng.normal(size=len(fold.test)) for fold in folds]
    predictions = [Prediction(values, probability=False) for values in said]
    score = TASKS["regression"].score("ridge:a", Truth(y, np.empty(0, np.str_)), predictions, folds)
    pairs = [(y[fold.test], values) for fold, values in zip(folds, said, strict=True)]
    assert score.folds == pytest.approx([r2_score(*pair) for pair in pairs])
    assert score.metrics["mae"] == pytest.approx([mean_absolute_error(*pair) for pair in pairs])
    assert score.metrics["rmse"] == pytest.approx([root_mean_squared_error(*pair) for pair in pairs])
    assert score.primary_metric == "r2"
    assert list(json.loads(json.dumps(score.to_dict()))) == ["model", "r2", "mae", "rmse"]
