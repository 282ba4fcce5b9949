"""Learners, meta-learners and metrics of other people's packages are used from the command line like our own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import InProcess, MakeCache
from tests.made.commands import run_command
from tests.made.plugin import install_plugin

SOURCE = """
    import numpy as np

    from stackbone.stack.learners.learner import BaseLearner, FinalFit, MetaLearner
    from stackbone.stack.learners.meta_model import MetaModel
    from stackbone.stack.metrics.metric import Metric
    from stackbone.stack.metrics.model_scores import Prediction
    from stackbone.stack.solvers.linear import LinearMap


    class NearestMean(BaseLearner):
        name, task, what, uses_inner_folds = "nearest", "classification", "nearest class mean on {name}", False

        def settings(self, options, seed):
            return {"name": self.name}

        def fit(self, features, part, options, seed):
            x = np.hstack(features)
            train, test = x[part.fold.train], x[part.fold.test]
            means = np.stack([train[part.y_train == code].mean(axis=0) for code in range(part.n_classes)])
            distances = np.square(test[:, None] - means).sum(axis=2)
            return Prediction(-distances, probability=False)


    class NearestOfAll(NearestMean):
        name, what, sees_all = "nearest_of_all", "nearest class mean on all features", True


    class FirstAlone(MetaLearner):
        name, tasks, what, has_weights = "first", ("classification",), "the first backbone", False

        def fit(self, scores, part, options):
            n = part.n_classes
            coef = np.vstack([np.eye(n), np.zeros(((len(scores) - 1) * n, n))]).astype(np.float32)
            return MetaModel(options, None, LinearMap(coef, np.zeros(n, np.float32)), 1.0)


    class ErrorRate(Metric):
        name, task = "error_rate", "classification"

        def measure(self, truth, scores, *, probability, weights=None):
            return float((scores.argmax(axis=1) != truth).mean())


    LEARNERS = (NearestMean(), NearestOfAll())
    METAS = FirstAlone()
    METRIC = ErrorRate()
"""
GROUPS = {"stackbone.learners": "LEARNERS", "stackbone.meta_learners": "METAS", "stackbone.metrics": "METRIC"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, make_cache: MakeCache) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    make_cache(folder, [f"class {i % 3}" for i in range(60)])
    return folder


def stack(cache: Path, plugins: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    return run_command("stack", "--cv", "2", "--c", "0.1", *asked, "--cache", cache, cwd=plugins, path=plugins)


def results(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return by_model(done.stdout)


def by_model(content: str) -> dict[str, dict[str, Any]]:
    return {each["model"]: each for each in json.loads(content)["results"]}


def test_a_learner_from_outside_is_a_row_of_the_table(tmp_path: Path, cache: Path) -> None:
    plugins = install_plugin(tmp_path, "made_learners", SOURCE, GROUPS)
    shown = stack(cache, plugins, "--recipe", "oof", "--result", str(tmp_path / "r.json"))
    assert shown.returncode == 0, shown.stderr
    found = by_model((tmp_path / "r.json").read_text())
    assert list(found)[-5:] == ["nearest:resnet50", "nearest:vgg19", "mean", "concat", "stack:oof"]
    assert found["nearest:resnet50"]["accuracy"]["mean"] > 0.5
    for each in found.values():
        assert each["error_rate"]["mean"] == pytest.approx(1 - each["accuracy"]["mean"])
    assert "nearest class mean on resnet50" in shown.stdout
    assert "error_rate" in shown.stdout


def test_a_recipe_from_outside_is_what_the_verdict_is_about(tmp_path: Path, cache: Path) -> None:
    plugins = install_plugin(tmp_path, "made_learners", SOURCE, GROUPS)
    done = stack(cache, plugins, "--recipe", "nearest_of_all", "--json")
    assert "stack:nearest_of_all" in results(done)
    assert json.loads(done.stdout)["findings"]["stack"] == "stack:nearest_of_all"
    refused = stack(cache, plugins, "--recipe", "nearest_of_all", "--save", str(tmp_path / "model"))
    assert refused.returncode != 0
    assert "a model of the recipe nearest_of_all cannot be saved" in refused.stderr


def test_a_meta_learner_from_outside_makes_the_stack(tmp_path: Path, cache: Path) -> None:
    plugins = install_plugin(tmp_path, "made_learners", SOURCE, GROUPS)
    found = results(stack(cache, plugins, "--recipe", "oof", "--meta", "first", "--json"))
    assert found["stack:oof"]["accuracy"] == found["lr:resnet50"]["accuracy"]


@pytest.mark.parametrize("asked", [("--recipe", "nearest_of_all"), ("--meta", "first")])
def test_without_the_package_the_name_is_unknown(cache: Path, in_process: InProcess, asked: tuple[str, str]) -> None:
    done = in_process("stack", *asked, "--cache", cache, cwd=cache)
    assert done.returncode != 0
    what = "recipe" if asked[0] == "--recipe" else "meta-learner"
    assert f"unknown {what} '{asked[1]}'" in " ".join(done.stderr.split())
