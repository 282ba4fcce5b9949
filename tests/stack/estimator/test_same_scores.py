"""The estimator and the command line score alike on equal folds and options: they share the fits."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps
from stackbone.stack import (
    Experiment,
    MetaOptions,
    StackedBackbones,
    StackedBackbonesRegressor,
    run_experiment,
    stack_options,
)
from stackbone.stack.estimator.classifiers import SoftmaxRegression
from stackbone.stack.estimator.meta_classifier import MetaClassifier
from stackbone.stack.estimator.ridge_regression import RidgeRegression
from stackbone.stack.learners.bases.ridge import choose_alpha
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.solvers.scales import MODERATION

pytestmark = pytest.mark.usefixtures("one_blas_thread", "exact_solver")

Digits = tuple[NDArray[np.float32], NDArray[np.int64]]
N = 500
COLUMNS = {"left": slice(0, 30), "right": slice(30, 64)}
C, META_C = 0.01, 0.1


def store_of(folder: Path, x: NDArray[np.float32], labels: list[str]) -> FeatureStore:
    """Return a cache with two backbones, each of which sees some pixels."""
    store, half = FeatureStore(folder), (0.5, 0.5, 0.5)
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(len(x)))
    digests = np.frombuffer(content, np.uint8).reshape(len(x), 32)
    for name, columns in COLUMNS.items():
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        store.feature_set(name, spec).append(spec, digests, np.ascontiguousarray(x[:, columns]), {})
    store.write_dataset(
        DatasetIndex(
            name="digits",
            root="/digits",
            path=[f"{i}.png" for i in range(len(x))],
            label=labels,
            split=[""] * len(x),
            group=[f"writer {i // 2}" for i in range(len(x))],
            image_sha256=digests.copy(),
            status=np.zeros(len(x), np.uint8),
            reason=[""] * len(x),
            stamps=FileStamps(np.full((len(x), 4), -1, np.int64)),
        )
    )
    return store


def inner_folds(experiment: Experiment, number: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    train, options = experiment.folds[number].train, experiment.options
    made = experiment.kind.inner_folds(
        experiment.truth, train, experiment.joined.units("digests"), experiment.seed, options.inner_splits
    )
    return [(each.train, each.test) for each in made]


@pytest.mark.parametrize(("learner", "n_classes"), [("svm", 10), ("lr", 10), ("svm", 2)])
def test_a_classification_scores_alike(tmp_path: Path, digits: Digits, learner: str, n_classes: int) -> None:
    rows = np.flatnonzero(digits[1] < n_classes)[:N] if n_classes > 2 else np.flatnonzero(digits[1] % 7 == 1)[:N]
    x, y = digits[0][rows], digits[1][rows].astype(np.str_)
    store = store_of(tmp_path, x, y.tolist())
    options = replace(stack_options(c=C, inner_splits=3), meta=MetaOptions(learner, c=META_C))
    experiment = run_experiment(store, cv=3, recipes=["oof"], options=options)
    for number, fold in enumerate(experiment.folds):
        stack = StackedBackbones(
            SoftmaxRegression(C, moderation=MODERATION),
            MetaClassifier(learner, C=META_C),  # type: ignore[arg-type]
            blocks=COLUMNS,
            cv=inner_folds(experiment, number),
            stack_method="probability",
        ).fit(x[fold.train], y[fold.train])
        assert stack.score(x[fold.test], y[fold.test]) == experiment.evaluation.score("stack:oof").folds[number]
        for name, member in stack.named_estimators_.items():
            alone = member.score(x[fold.test][:, COLUMNS[name]], y[fold.test])
            assert alone == experiment.evaluation.score(f"lr:{name}").folds[number]
    assert 0.8 < experiment.evaluation.score("stack:oof").mean < 1


def test_a_regression_scores_alike(tmp_path: Path, digits: Digits) -> None:
    x, y = digits[0][:N], digits[1][:N].astype(np.float64) + 0.25
    store = store_of(tmp_path, x, [str(each) for each in y])
    experiment = run_experiment(store, cv=3, task="regression", options=stack_options("regression", inner_splits=3))
    for number, fold in enumerate(experiment.folds):
        chosen = {name: experiment.evaluation.chosen[f"ridge:{name}"][number] for name in COLUMNS}
        stack = StackedBackbonesRegressor(
            [(name, RidgeRegression(alpha)) for name, alpha in chosen.items()],
            blocks=COLUMNS,
            cv=inner_folds(experiment, number),
        ).fit(x[fold.train], y[fold.train])
        inner = experiment.kind.inner_folds(experiment.truth, fold.train, experiment.joined.units("digests"), 0, 3)
        alpha, _ = choose_alpha(SideBySide.whole(stack.stacked_features_), y[fold.train], inner)
        stack.set_params(final_estimator=RidgeRegression(alpha)).fit(x[fold.train], y[fold.train])
        found = r2_score(y[fold.test], stack.predict(x[fold.test]))
        assert found == pytest.approx(experiment.evaluation.score("stack:oof").folds[number], abs=1e-6)
