"""What depends on the task lies in the task: nothing else asks which one it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.errors import UsageError
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.registry import BASE_LEARNERS, META_LEARNERS, meta_learners
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.tasks.registry import TASKS, get_task
from stackbone.stack.tasks.task import Task
from tests.made.checkout import ROOT

NAMES = {"classification", "multilabel", "multitarget", "regression"}


def classes_of_tasks() -> set[str]:
    """Return the classes that belong to one task alone."""
    files = [*(ROOT / "stack/tasks/kinds").glob("*.py"), *(ROOT / "stack/tasks").glob("*_findings.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


def questions(file: Path, classes: set[str]) -> Iterator[str]:
    """Yield every place where a file asks which task it has."""
    for node in ast.walk(ast.parse(file.read_text())):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Compare):
            sides = [each for side in (node.left, *node.comparators) for each in ast.walk(side)]
            words = {each.value for each in sides if isinstance(each, ast.Constant)}
            if words & NAMES:
                yield f"{where} compares a task's name"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked = {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
            if asked & classes:
                yield f"{where} asks for a class of one task"


def test_no_file_outside_of_the_tasks_asks_which_task_it_has() -> None:
    rooms = [*(ROOT / "stack").glob("**/*.py"), *(ROOT / "commands").glob("**/*.py")]
    files = [file for file in rooms if (ROOT / "stack/tasks") not in file.parents]
    assert len(files) > 80
    classes = classes_of_tasks()
    assert "ClassFindings" in classes
    assert [each for file in files for each in questions(file, classes)] == []


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    for source in ('x = task == "regression"', 'x = task in ("classification",)', "isinstance(found, ClassFindings)"):
        file = tmp_path / "made.py"
        file.write_text(source)
        assert len(list(questions(file, {"ClassFindings"}))) == 1, source


def test_names_are_pinned() -> None:
    assert list(TASKS) == ["classification", "multilabel", "multitarget", "regression"]
    bases = ["lr", "svm", "published", "lda", "knn", "prototype", "ridge_classifier", "ridge", "ridges", "ovr"]
    assert list(BASE_LEARNERS) == bases
    assert list(META_LEARNERS) == ["svm", "lr", "ridge", "svr", "convex", "label-lr", "greedy", "mean"]
    assert meta_learners("classification") == ["svm", "lr", "convex", "greedy", "mean"]
    assert meta_learners("regression") == ["ridge", "svr", "greedy", "mean"]
    assert meta_learners("multilabel") == ["label-lr", "mean"]
    assert meta_learners("multitarget") == ["ridge", "svr", "greedy", "mean"]
    classes = ["accuracy", "macro_f1", "top5", "log_loss", "calibration_error"]
    asked = ["balanced_accuracy", "weighted_f1", "roc_auc", "average_precision", "kappa", "mcc"]
    labels = ["mean_ap", "micro_f1", "label_macro_f1", "subset_accuracy", "hamming_loss", "label_log_loss"]
    several = ["mean_r2", "mean_mae", "mean_rmse"]
    assert list(METRICS) == [*classes, *asked, "r2", "mae", "rmse", *labels, *several]


def test_an_unknown_task_is_named_with_the_likely_one() -> None:
    with pytest.raises(UsageError, match=r"unknown task 'regresion'.*did you mean 'regression'"):
        get_task("regresion")


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_task_is_whole(task: Task) -> None:
    learners = {each.name: each for each in task.learners}
    assert not learners[task.base].sees_all
    assert f"{task.base}:" in task.singles
    assert task.primary_metric in {each.name for each in METRICS.values() if each.task == task.name}
    assert task.recipes["oof"] == "stack:oof"
    assert task.rare[0] == "refuse"


@pytest.mark.parametrize(
    ("task", "model", "options", "words"),
    [
        ("classification", "lr:resnet50", MetaOptions(), "logistic regression on resnet50"),
        ("classification", "concat", MetaOptions(), "logistic regression on all features side by side"),
        ("classification", "stack:published", MetaOptions(), "linear SVM on averaged in-sample probabilities"),
        ("classification", "stack:oof", MetaOptions("mean"), "calibrated mean of the backbones' probabilities"),
        (
            "classification",
            "stack:oof",
            MetaOptions("lr", "decision", "average"),
            "logistic regression on averaged out-of-fold decision values",
        ),
        ("regression", "mean", MetaOptions("ridge"), "mean of the backbones' predictions"),
        ("regression", "stack:oof", MetaOptions("svr"), "linear SVR on out-of-fold predictions"),
        ("multilabel", "ovr:vgg19", MetaOptions(), "one-versus-rest logistic regressions on vgg19"),
        ("multitarget", "ridges:vgg19", MetaOptions("ridge"), "ridge regressions on vgg19"),
        ("multilabel", "mean", MetaOptions(), "mean of the backbones' probabilities"),
    ],
)
def test_every_model_is_described(task: str, model: str, options: MetaOptions, words: str) -> None:
    assert TASKS[task].describe(model, options) == words


def test_labels_become_codes_and_names_once() -> None:
    truth = TASKS["classification"].read(np.array(["emu", "ape", "emu"]))
    assert (truth.values.tolist(), truth.classes.tolist(), truth.names.tolist()) == (
        [1, 0, 1],
        ["ape", "emu"],
        ["emu", "ape", "emu"],
    )
    several = TASKS["multilabel"].read(np.array(["emu|ape", "|", "emu"]))
    assert (several.values.tolist(), several.classes.tolist()) == ([[1, 1], [0, 0], [0, 1]], ["ape", "emu"])
    assert (several.has_one_class, several.codes.tolist()) == (False, [0, 1, 2])
    numbers = TASKS["regression"].read(np.array(["1.5", "-2"]))
    assert (numbers.values.tolist(), numbers.n_classes, numbers.codes.tolist()) == ([1.5, -2.0], 0, [0, 0])
    both = TASKS["multitarget"].read(np.array(["b=1.5|a=2", "b=-2|a=0"]))
    assert (both.values.tolist(), both.targets.tolist()) == ([[1.5, 2.0], [-2.0, 0.0]], ["b", "a"])
    assert (both.n_classes, both.columns, both.codes.tolist()) == (0, ["b", "a"], [0, 0])
