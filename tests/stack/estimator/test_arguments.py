"""The parameters of StackedBackbones are judged together, and its inner folds must be able to score fairly."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from stackbone.stack.estimator.arguments import read_arguments
from stackbone.stack.estimator.estimator import StackedBackbones
from stackbone.stack.estimator.inner_folds import Split, split_rows
from tests.made.references import needs_shuffled_stratified_groups

Matrix = NDArray[np.float64]
Labels = NDArray[np.str_]


@pytest.fixture(scope="module")
def x() -> Matrix:
    return np.random.default_rng(0).normal(size=(320, 64))


@pytest.fixture(scope="module")
def y() -> Labels:
    return np.repeat(["zero", "one", "two", "three"], 80)[np.random.default_rng(1).permutation(320)]


def assert_same_splits(found: list[Split], reference: Iterable[Split]) -> None:
    for ours, theirs in zip(found, reference, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_a_number_of_folds_means_scikit_learns_shuffled_stratified_folds(x: Matrix, y: Labels) -> None:
    assert_same_splits(
        split_rows(x, y, None, 3, 7, classes=True), StratifiedKFold(3, shuffle=True, random_state=7).split(x, y)
    )
    assert split_rows(x, y, None, "in-sample", 7, classes=True) == []


@needs_shuffled_stratified_groups
@pytest.mark.parametrize("unit", [np.int64, np.str_, object], ids=["numbers", "names", "objects"])
def test_with_groups_it_means_scikit_learns_shuffled_stratified_group_folds(x: Matrix, y: Labels, unit: type) -> None:
    groups: NDArray[Any] = (np.arange(len(y)) // 2).astype(unit)
    for state in (7, np.random.RandomState(7)):
        reference = StratifiedGroupKFold(3, shuffle=True, random_state=7).split(x, y, groups)
        assert_same_splits(split_rows(x, y, groups, 3, state, classes=True), reference)


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_groups_keep_class_proportions(x: Matrix, y: Labels, seed: int) -> None:
    groups = np.array([f"{label} {number}" for label, number in zip(y, np.arange(len(y)) % 8, strict=True)])
    for _, test in split_rows(x, y, groups, 4, seed, classes=True):
        assert np.ptp([np.mean(y[test] == label) for label in set(y)]) < 0.1


def test_blocks_become_slices_and_places() -> None:
    asked: dict[str, Any] = {"slice": slice(-2, None), "places": [3, -1, 0], "names": ["c", "a"], "one": ["e"]}
    params = StackedBackbones(blocks=asked).get_params(deep=False)
    base = GaussianNB()
    names = np.array(list("abcde"), dtype=object)
    members = read_arguments("StackedBackbones", "classifier", params, base, 5, names)
    assert {member.name: member.estimator for member in members} == dict.fromkeys(asked, base)
    assert {member.method for member in members} == {"predict_proba"}
    columns = {member.name: member.columns for member in members}
    assert columns.pop("slice") == slice(-2, None)
    assert {name: list(np.arange(5)[each]) for name, each in columns.items()} == {
        "places": [3, 4, 0],
        "names": [2, 0],
        "one": [4],
    }


def test_folds_that_cannot_score_every_row_once_are_refused(x: Matrix, y: Labels) -> None:
    rows = np.arange(len(y))
    half = (rows[::2], rows[1::2])
    unfair = {
        r"160 of 320 rows are not in exactly one test part of cv \(row 0 is in 0\)": [half],
        r"160 of 320 rows are not in exactly one test part of cv \(row 1 is in 2\)": [half, half[::-1], half],
        r"320 of 320 rows are not in exactly one": [],
        "inner fold 1 of 2 trains on 1 rows of its test part": [(rows[:161], rows[160:]), (rows[160:], rows[:160])],
        "beyond the 320 rows": [(rows, rows + 1)],
        r"inner fold 1 of 2 has no row of 1 class \(two first\)": [
            (rows[y != "two"], rows[y == "two"]),
            (rows[y == "two"], rows[y != "two"]),
        ],
    }
    for message, folds in unfair.items():
        with pytest.raises(ValueError, match=message):
            StackedBackbones(cv=folds).fit(x, y)


def test_a_class_smaller_than_the_folds_is_scored_by_members_that_saw_it(x: Matrix, y: Labels) -> None:
    few = np.concatenate([np.flatnonzero(y != "two"), np.flatnonzero(y == "two")[:3]])
    with pytest.warns(UserWarning, match="least populated class in y has only 3 members"):  # scikit-learn's own
        folds = split_rows(x[few], y[few], None, 5, 0, classes=True)
    assert all("two" in y[few][train] for train, _ in folds)


def test_a_class_that_some_members_would_never_see_is_named(x: Matrix, y: Labels) -> None:
    few = np.concatenate([np.flatnonzero(y != "two"), np.flatnonzero(y == "two")[:1]])
    with pytest.raises(ValueError, match="1 class with one row only: two"):
        StackedBackbones().fit(x[few], y[few])
    groups = np.where(y == "one", 0, np.arange(len(y)))
    with pytest.raises(ValueError, match=r"1 class with one group only: one"):
        StackedBackbones(cv=2).fit(x, y, groups=groups)
    with pytest.raises(ValueError, match=r"no class has as many rows as cv has folds \(90\); the largest has 80"):
        StackedBackbones(cv=90).fit(x, y)


# Bad arguments


def test_all_wrong_arguments_are_named_at_once(x: Matrix, y: Labels) -> None:
    stack = StackedBackbones(
        [("left", LinearSVC), ("left", GaussianNB()), ("a__b", GaussianNB()), ("cv", GaussianNB())],
        blocks={
            "left": slice(0, 90),
            "right": [3, 64],
            "empty": [],
            "twice": [1, 1],
            "named": ["p0"],
            "masked": [True],
        },
        stack_method="predict_log_proba",
        combine="mean",  # type: ignore[arg-type]
        passthrough="yes",  # type: ignore[arg-type]
        cv=1,
        final_estimator="svm",
    )
    with pytest.raises(ValueError, match=r"15 wrong arguments of StackedBackbones") as caught:
        stack.fit(x, y)
    for found in (
        "stack_method is 'predict_log_proba'; it is one of 'auto', 'probability', 'predict_proba', 'log-probability', "
        "'decision', 'decision_function', 'predict': did you mean 'predict_proba'?",
        "combine is 'mean'; it is one of 'concat', 'average'\n",
        "passthrough is 'yes'",
        "cv is 1; give a number of folds from 2",
        "final_estimator is 'svm'",
        "block 'left' is slice(0, 90, None), and X has 64 columns",
        "block 'right' names 1 column that X lacks (64 first): X has 64 columns, 0 to 63",
        "block 'empty' is []",
        "block 'twice' names 1 column more than once",
        "block 'named' names columns, such as 'p0', but X has no column names",
        "block 'masked' is [True]",
        "estimators hold the name 'left' 2 times",
        "the name 'a__b' of a classifier holds '__'",
        "the name 'cv' of a classifier is a parameter's",
        "give every block one classifier",
    ):
        assert found in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"estimators": LinearSVC(), "stack_method": "probability"},
            r"\(LinearSVC\) has no predict_proba.*use stack_method='decision'",
        ),
        (
            {"estimators": GaussianNB(), "stack_method": "decision"},
            "has no decision_function.*stack_method='probability'",
        ),
        ({"estimators": StandardScaler()}, "has no predict_proba.*use another classifier"),
        ({"estimators": [GaussianNB()]}, r"a list of \(name, classifier\) tuples"),
        ({"estimators": []}, r"a list of \(name, classifier\) tuples"),
        ({"estimators": LinearSVC}, "give one with a method fit"),
        ({"blocks": {}}, "give a mapping of each block's name to its columns"),
        ({"blocks": [slice(0, 3)]}, "give a mapping of each block's name to its columns"),
        ({"blocks": {"a": slice(3, 3)}}, "holds no column"),
        ({"blocks": {"a": slice("p0", "p3")}}, "give a slice within them"),
        ({"blocks": {"a": 3}}, "give a slice, a list of column indices"),
        ({"cv": "prefit"}, "cv is 'prefit'"),
        ({"cv": True}, "cv is True"),
        ({"final_estimator": Ridge()}, "final_estimator is Ridge.*give a classifier"),
        ({"estimators": [("a", "drop"), ("b", "drop")]}, "all 2 estimators are 'drop'"),
        ({"estimators": GaussianNB(), "stack_method": "predict", "combine": "average"}, "classes, which have no mean"),
    ],
)
def test_a_wrong_argument_is_refused(x: Matrix, y: Labels, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StackedBackbones(**arguments).fit(x, y)
