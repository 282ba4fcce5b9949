"""Warnings of fits are told once, in words, with the models that they concern."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.fitting.fit_warnings import fitting, in_words, recorded
from stackbone.stack.fitting.fits import FitCounter, FitKey, run_alone, run_fits
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import stratified_folds
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.model_scores import Prediction


def grumble(message: str) -> Callable[[], int]:
    def fit() -> int:
        warnings.warn(message, ConvergenceWarning, stacklevel=1)
        return 1

    return fit


@pytest.mark.parametrize("run", [run_fits, run_alone])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_warning_is_told_of_the_fit_that_it_came_from(
    run: Callable[..., dict[FitKey, int]], n_jobs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    fits = {("lr:a", n): grumble(f"stopped after {n + 10} steps") for n in range(3)}
    fits |= {("svm:b", 0): grumble("failed to\nconverge")}
    with recorded() as found:
        run(fits, n_jobs, FitCounter(None, 4))
    assert list(found.by_model()) == ["lr:a", "svm:b"]
    (said,) = found.by_model()["lr:a"]  # one sentence, though the numbers differ
    assert said.endswith("steps (3 fits)")
    assert found.by_model()["svm:b"] == ["failed to converge (1 fit)"]
    assert capfd.readouterr().err == ""


def test_warnings_outside_are_python_warnings_again() -> None:
    with recorded(), fitting("lr:a", 0):
        warnings.warn("odd", UserWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="odd"):
        warnings.warn("odd", UserWarning, stacklevel=1)


def test_a_thread_without_a_fit_is_told_of_no_model() -> None:
    with recorded() as found, fitting("lr:a", 0):
        thread = threading.Thread(target=lambda: warnings.warn("from nowhere", FutureWarning, stacklevel=1))
        thread.start()
        thread.join()
    assert found.by_model() == {"": ["FutureWarning: from nowhere (1 fit)"]}


def test_one_sentence_names_all_models_that_it_concerns() -> None:
    assert in_words({"lr:a": ["slow (2 fits)"], "svm:a": ["slow (2 fits)"], "": ["odd (1 fit)"]}) == [
        "lr:a, svm:a: slow (2 fits)",
        "a fit: odd (1 fit)",
    ]


def test_scores_from_the_cache_bring_their_warnings(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path, {"a": np.eye(4, dtype=np.float32)}, dataset="made", feature_sets={"a": "a-0"})
    fold = Fold(np.arange(3), np.arange(3, 4))
    key = cache.key({"name": "svm"}, ["a"], np.array([0, 1, 0, 1]), fold, number=0)

    def run() -> Prediction:
        warnings.warn("failed to converge", ConvergenceWarning, stacklevel=1)
        return Prediction(np.zeros((1, 2), np.float32), probability=False)

    told = []
    for _ in range(2):
        with recorded() as found, fitting("svm:a", 0):
            cache.find_or_run(key, run)
        told.append(found.by_model())
    assert told == [{"svm:a": ["failed to converge (1 fit)"]}] * 2


def test_an_evaluation_carries_what_the_published_recipe_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbone.stack.learners.bases.published._MAX_ITER", 1)
    rng = np.random.default_rng(0)
    y = np.repeat(np.array(["cat", "dog", "owl"]), 20)
    x = (rng.normal(size=(60, 6)) * 50 + np.repeat(np.arange(3), 20)[:, None]).astype(np.float32)
    folds = stratified_folds(y, 3, 0)
    found = evaluate({"a": x}, y, folds, recipes=["published"], options=StackOptions(c=1.0))
    assert list(found.warnings) == ["stack:published"]
    assert any("converge" in each and each.endswith("(3 fits)") for each in found.warnings["stack:published"])
