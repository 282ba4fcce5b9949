"""Folds that leave out one image or group at a time, and folds in the order of time; what is impossible is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.divisions import division as divisions
from stackbone.stack.divisions.division import Division, choose_plan, options_of
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.folds.fold import Fold
from tests.made.divisions import FOLDS, LABELS, N, divide, made, rows_tested

DAYS = [f"2024-01-{1 + (7 * i) % N:02}" for i in range(N)]  # all different, in another order than the rows


def test_leaving_out_each_image_tests_each_once() -> None:
    images, folds = divide(made(), cv="loo")
    assert rows_tested(folds) == [[i] for i in range(N)]
    assert all(len(fold.train) == N - 1 for fold in folds)
    assert "each fold tests one image" in images.notes[-1]


def test_leaving_out_each_group_tests_each_once() -> None:
    groups = [f"site {i // 6}" for i in range(N)]
    _, folds = divide(made(group=groups), cv="logo")
    assert rows_tested(folds) == [[*range(start, start + 6)] for start in range(0, N, 6)]


def test_folders_are_groups_too() -> None:
    index = made(path=[f"{i % 3}/{i}.jpg" for i in range(N)])
    _, folds = divide(index, cv="logo", group_by="folder")
    assert rows_tested(folds) == [[*range(start, N, 3)] for start in range(3)]


def test_an_image_of_a_group_is_not_left_out_alone() -> None:
    index = made(group=["a" if i < 3 else "" for i in range(N)])
    with pytest.raises(StackError, match=r"belong together.*--cv logo.*--group-by none"):
        divide(index, cv="loo")
    assert len(divide(index, cv="loo", group_by="none")[1]) == N
    assert len(divide(index, cv="logo")[1]) == N - 2


@pytest.mark.parametrize(
    ("groups", "found"), [([""] * N, "is not grouped. Type --group-by folder"), (["a"] * N, "needs at least 2 groups")]
)
def test_groups_are_needed_to_leave_one_out(groups: list[str], found: str) -> None:
    with pytest.raises(StackError, match=found):
        divide(made(group=groups), cv="logo")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cv": "loo"}, "--cv loo makes 24 folds, one for each image, .* about 8 times the work of --cv 3"),
        ({"cv": "logo"}, "--cv logo makes 12 folds, one for each group"),
        ({"folds": "fold"}, "--folds fold makes 12 folds, one for each text of 'fold'"),
    ],
)
def test_more_folds_than_can_be_waited_for_are_refused_with_their_cost(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], found: str
) -> None:
    monkeypatch.setattr(divisions, "MOST_FOLDS", 11)
    pairs = [str(i // 2) for i in range(N)]
    index = made(columns={"fold": pairs}, group=pairs if asked == {"cv": "logo"} else [""] * N)
    with pytest.raises(StackError, match=found):
        divide(index, **asked)


@pytest.mark.parametrize(
    "cells",
    [
        DAYS,
        [f"{day}T10:30:00+02:00" for day in DAYS],
        [str(0.5 + (7 * i) % N) for i in range(N)],
    ],
)
def test_dates_and_numbers_put_images_in_order(cells: list[str]) -> None:
    images, folds = divide(made(columns={"taken": cells}), time_column="taken", cv=2)
    rank = np.argsort(np.argsort([(7 * i) % N for i in range(N)]))
    assert [sorted(rank[fold.test].tolist()) for fold in folds] == [[*range(8, 16)], [*range(16, 24)]]
    assert [sorted(rank[fold.train].tolist()) for fold in folds] == [[*range(8)], [*range(16)]]
    assert images.times is not None
    assert "the first 8 images are never tested" in images.notes[-1]


@pytest.mark.parametrize("cell", ["yesterday", "31.05.2024", "2024-13-01", "7"])
def test_time_stamps_that_cannot_be_read_are_refused(cell: str) -> None:
    index = made(columns={"taken": [cell, *DAYS[1:]]})
    with pytest.raises(StackError, match=r"1 cell of 24 in the column 'taken' cannot be read as a time: .*in/0.jpg"):
        divide(index, time_column="taken")


def test_an_image_without_a_time_is_refused() -> None:
    with pytest.raises(StackError, match=r"1 image of 24 has no time in the column 'taken', such as 'in/0.jpg'"):
        divide(made(columns={"taken": ["", *DAYS[1:]]}), time_column="taken")


def test_an_unknown_column_of_times_gets_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="type --time-column taken"):
        divide(made(columns={"taken": DAYS}), time_column="Taken")


def test_a_class_that_comes_too_late_is_refused_and_dropped_if_asked() -> None:
    times = [f"{i:03}" for i in range(N)]
    index = made([*LABELS[:20], *["bird"] * 4], columns={"taken": times})
    with pytest.raises(StackError, match=r"has no image of class 'bird', which .*--rare drop"):
        divide(index, time_column="taken", cv=2)
    assert len(divide(index, time_column="taken", cv=2, rare="drop")[1]) == 2


def test_too_many_folds_are_refused_with_a_number_that_works() -> None:
    index = made(columns={"taken": [str(i) for i in range(N)]})
    with pytest.raises(StackError, match=r"ask for \d folds \(--time-column taken --cv (\d)\)") as caught:
        divide(index, time_column="taken", cv=11)
    number = int(str(caught.value).split("taken --cv ")[1][0])
    assert len(divide(index, time_column="taken", cv=number)[1]) == number


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cv": 3, "folds": "fold"}, "--folds fold and --cv 3 each say which images are tested"),
        ({"split": "test", "folds": "fold"}, "--split test and --folds fold each"),
        ({"split": "test", "time_column": "taken"}, "--split test and --time-column taken each"),
        ({"folds": "fold", "time_column": "taken"}, "--folds fold and --time-column taken each"),
        ({"cv": "loo", "time_column": "taken"}, "--cv loo is not a number of folds. Expected 2 or more"),
        ({"cv": "lpo"}, "--cv lpo is not a number of folds. Expected 2 or more, loo .* or logo"),
        ({"cv": 1, "time_column": "taken"}, "--cv 1 is not a number of folds"),
        ({"cv": "loo", "repeats": 2}, "--repeats draws new folds, and --cv loo gives the same ones each time"),
        ({"folds": "fold", "repeats": 2}, "and --folds fold gives the same ones"),
        ({"time_column": "taken", "repeats": 2}, "and --time-column taken --cv 3 gives the same ones"),
        ({"folds": "fold", "rare": "keep"}, "use --rare drop"),
    ],
)
def test_options_that_contradict_each_other_are_refused(asked: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        divide(made(columns={"fold": FOLDS, "taken": DAYS}), **asked)


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"folds": "my folds"}, "--folds 'my folds' --seed 0"),
        ({"cv": "logo"}, "--cv logo --seed 0"),
        ({"time_column": "taken", "cv": 4}, "--time-column taken --cv 4 --seed 0"),
    ],
)
def test_a_steering_names_the_folds_that_it_was_trained_for(asked: dict[str, Any], options: str) -> None:
    own = {name: asked.get(name) for name in ("cv", "split", "folds", "time_column")}
    division = Division(**choose_plan(**own))
    assert division.options() == options
    assert options_of(division.to_dict(0)) == options


def test_a_file_of_folds_is_named_without_its_folder_in_a_steering() -> None:
    division = Division(plan="given", column="/somewhere/private/folds.csv", cv=2)
    assert division.to_dict(1)["column"] == "folds.csv"


@pytest.mark.parametrize("column", ["site/camera", "a/b.csv", "plain"])
def test_a_column_is_named_whole_in_a_steering(column: str) -> None:
    assert Division(plan="given", column=column, cv=2).to_dict(1)["column"] == column


def test_distinct_texts_are_refused_before_a_fold_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    index = made(["cat", "dog"] * 501, columns={"fold": [str(i) for i in range(1002)]})
    monkeypatch.setattr(Fold, "testing", lambda *_: pytest.fail("a fold was made"))
    with pytest.raises(StackError, match="makes 1,002 folds, one for each text of 'fold'"):
        divide(index, folds="fold")


def test_drawn_folds_are_named_as_ever() -> None:
    assert Division().to_dict(0) == {
        "cv": 3,
        "seed": 0,
        "fold": 1,
        "group_by": "auto",
        "rare": "refuse",
        "task": "classification",
        "dealing": "digests",
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"cv": "loo"}, "would train a network for each image"),
        ({"time_column": "taken", "nested": True}, "--nested divides inner training parts again"),
    ],
)
def test_steerings_that_cannot_be_made_are_refused(tmp_path: Path, asked: dict[str, Any], found: str) -> None:
    store = FeatureStore(tmp_path)
    store.write_dataset(made(columns={"taken": DAYS}))
    with pytest.raises(UsageError, match=found):
        training_parts(store, **asked)
