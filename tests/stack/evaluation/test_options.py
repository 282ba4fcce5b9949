"""Options that contradict the task or each other are refused at once, in words."""

import pytest

from stackbone.cache import UsageError
from stackbone.stack import MetaOptions, StackOptions, stack_options
from stackbone.stack.learners.bases.lr import C_GRID, c_grid


def test_the_defaults_are_the_oof_recipe() -> None:
    assert stack_options() == StackOptions(None, 5, MetaOptions("svm", "probability", "concat", None))
    assert stack_options("regression").meta.learner == "ridge"


def test_a_fixed_c_is_not_searched() -> None:
    assert c_grid(stack_options()) == C_GRID
    assert c_grid(stack_options(c=0.3)) == (0.3,)


@pytest.mark.parametrize(
    ("task", "learner"),
    [
        ("classification", "svm"),
        ("classification", "lr"),
        ("classification", "mean"),
        ("regression", "ridge"),
        ("regression", "svr"),
        ("regression", "mean"),
    ],
)
def test_every_meta_learner_of_a_task_is_accepted(task: str, learner: str) -> None:
    assert stack_options(task, meta=learner).meta.learner == learner


def test_scores_and_combination_reach_the_meta_learner() -> None:
    chosen = stack_options(meta="lr", scores="log-probability", combine="average", inner_splits=3)
    assert chosen == StackOptions(None, 3, MetaOptions("lr", "log-probability", "average"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"task": "regresion"},
            r"unknown task 'regresion': choose from classification, multilabel, .*, regression; .*'regression'",
        ),
        ({"meta": "smv"}, r"unknown meta-learner 'smv': choose from svm, lr, convex, greedy, mean; did you mean 'svm'"),
        ({"meta": "ridge"}, r"unknown meta-learner 'ridge': choose from svm, lr, convex, greedy, mean"),
        ({"task": "regression", "meta": "svm"}, r"unknown meta-learner 'svm': choose from ridge, svr, greedy, mean"),
        ({"meta": ""}, r"unknown meta-learner ''"),
        ({"scores": "probabilities"}, r"--meta-scores 'probabilities': .*did you mean 'probability'"),
        ({"combine": "concatenate"}, r"--meta-combine 'concatenate': .*did you mean 'concat'"),
        ({"c": 0.0}, r"--c is 0\.0; .*above 0 and up to 1e\+06, such as 0\.01"),
        ({"c": -1.0}, r"--c is -1\.0"),
        ({"c": float("nan")}, r"--c is nan"),
        ({"c": float("inf")}, r"--c is inf"),
        ({"inner_splits": 1}, r"1 inner folds were asked for; use 2 or more"),
        ({"meta": "mean", "scores": "decision"}, r"mean.*probabilities"),  # it would not be what it is called
        ({"task": "regression", "c": 0.1}, r"--c.* for classification"),
        ({"task": "regression", "scores": "decision"}, r"--meta-scores.* for classification"),
        ({"task": "regression", "combine": "average"}, r"--meta-combine.* for classification"),
    ],
)
def test_a_bad_value_is_named_with_what_is_possible(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stack_options(**asked)  # type: ignore[arg-type]


def test_the_way_out_of_a_contradiction_can_be_typed() -> None:
    with pytest.raises(UsageError, match=r"--task classification"):
        stack_options("regression", c=0.1)
