"""What a steering may be trained on is, image by image, the training part of each fold that will be scored."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps, StackError, UsageError
from stackbone.stack import StackOptions, run_experiment, stack_options
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.folds.folds import inner_folds

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N = 60
FIXED = StackOptions(c=0.1, inner_splits=3)


def made_index(**columns: Any) -> DatasetIndex:  # noqa: ANN401 - columns of several types
    """Return a dataset with copies, conflicting labels, and files without label."""
    rng = np.random.default_rng(0)
    labels = [f"class {i % 3}" for i in range(N)]
    digests = rng.integers(0, 256, (N, 32)).astype(np.uint8)
    digests[[40, 43]] = digests[[10, 13]]  # copies
    digests[44] = digests[12]  # with another label
    labels[50] = ""
    index = DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i % 20}/{i}.jpg" for i in range(N)],
        label=labels,
        split=["test" if i % 5 == 0 else "train" for i in range(N)],
        group=[""] * N,
        image_sha256=digests,
        status=np.array([int(i == 51) for i in range(N)], np.uint8),
        reason=["no image" if i == 51 else "" for i in range(N)],
        stamps=FileStamps(np.full((N, 4), -1, np.int64)),
    )
    return replace(index, **columns)


def made_store(folder: Path, index: DatasetIndex, *, with_features: bool) -> FeatureStore:
    store = FeatureStore(folder / "features")
    store.write_dataset(index)
    if with_features:
        half = (0.5, 0.5, 0.5)
        spec = FeatureSpec("resnet50", "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        x = np.random.default_rng(1).normal(size=(N, 5)).astype(np.float32)
        _, first = np.unique(index.image_sha256, axis=0, return_index=True)
        store.feature_set("resnet50", spec).append(spec, index.image_sha256[first], x[first], {})
    return store


GROUPS = {"group": [f"group {i // 2}" if i < 50 else "" for i in range(N)]}
RARE = {"label": [f"class {i % 3}" if i > 1 else "rare" for i in range(N)]}
NUMBERS = {"label": [str(i % 7) for i in range(N)]}


@pytest.mark.parametrize(
    ("columns", "asked", "division"),
    [
        ({}, {"cv": 3}, {"cv": 3, "seed": 0}),
        ({}, {"cv": 4, "seed": 5}, {"cv": 4, "seed": 5}),
        (GROUPS, {"cv": 3}, {"group_by": "auto"}),
        (GROUPS, {"cv": 3, "group_by": "none"}, {"group_by": "none"}),
        ({}, {"cv": 3, "group_by": "folder"}, {"group_by": "folder"}),
        (RARE, {"cv": 3, "rare": "drop"}, {"rare": "drop"}),
        (RARE, {"cv": 3, "rare": "keep"}, {"rare": "keep"}),
        (NUMBERS, {"cv": 3, "task": "regression", "seed": 2}, {"task": "regression", "seed": 2}),
        ({}, {"split": "test"}, {"split": "test"}),
    ],
)
def test_parts_are_the_training_parts_of_the_experiment(
    tmp_path: Path, columns: dict[str, list[str]], asked: dict[str, Any], division: dict[str, Any]
) -> None:
    index = made_index(**columns)
    task = asked.get("task", "classification")
    options = FIXED if task == "classification" else stack_options("regression", inner_splits=3)
    store = made_store(tmp_path / "a", index, with_features=True)
    expected = run_experiment(store, **asked, options=options, recipes=["oof"])
    parts = training_parts(made_store(tmp_path / "b", index, with_features=False), **asked)
    assert len(parts) == len(expected.folds)
    for number, (part, fold) in enumerate(zip(parts, expected.folds, strict=True), start=1):
        np.testing.assert_array_equal(part.digests, expected.joined.digests[fold.train])
        assert part.paths == [expected.joined.paths[row] for row in fold.train]
        assert part.labels == expected.joined.labels[fold.train].tolist()
        assert len(part) == len(fold.train)
        assert part.division is not None
        assert part.division == json.loads(json.dumps(part.division))
        assert division.items() <= part.division.items()
        assert part.division.get("fold", number) == number


def test_with_neither_folds_nor_split_it_is_every_image_once(tmp_path: Path) -> None:
    index = made_index()
    [part] = training_parts(made_store(tmp_path, index, with_features=False))
    assert part.division is None
    left_out = {12, 40, 43, 44, 50, 51}
    assert part.paths == [path for row, path in enumerate(index.path) if row not in left_out]
    assert len(np.unique(part.digests, axis=0)) == len(part) == N - len(left_out)


def test_no_image_of_a_test_part_or_its_copy_is_in_the_training_part(tmp_path: Path) -> None:
    index = made_index()
    parts = training_parts(made_store(tmp_path, index, with_features=False), cv=3)
    everyone = {row.tobytes() for part in parts for row in part.digests}
    held_out = [everyone - {row.tobytes() for row in part.digests} for part in parts]
    assert sum(map(len, held_out)) == len(everyone) == len(set.union(*held_out))


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"cv": 3, "split": "test"}, UsageError, "--cv 3 .* --split test"),
        ({"rare": "drop"}, UsageError, "--rare .* --cv"),
        ({"inner_splits": 3}, UsageError, "--inner-cv .* give --cv or --split"),
        ({"split": "test", "rare": "drop"}, UsageError, "--rare is for classes"),
        ({"cv": 3, "rare": "hide"}, UsageError, "--rare 'hide'"),
        ({"cv": 3, "task": "ranking"}, UsageError, "task 'ranking'"),
        ({"cv": 3, "group_by": "patient"}, UsageError, "--group-column patient"),
        ({"split": "validation"}, StackError, "no split 'validation'; it has test, train"),
        ({"cv": 1}, StackError, "at least 2"),
        ({"dataset": "pictures"}, UsageError, "no dataset 'pictures'; it has photos"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    tmp_path: Path, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        training_parts(made_store(tmp_path, made_index(), with_features=False), **asked)


def test_a_part_says_which_images_belong_together(tmp_path: Path) -> None:
    store = made_store(tmp_path, made_index(**GROUPS), with_features=False)
    joined = {"group 20": "group 5", "group 21": "group 6", "group 22": "group 6"}  # by the copies in them
    for part in training_parts(store, cv=3):
        assert part.groups is not None
        named: dict[int, set[str]] = {}
        for path, group in zip(part.paths, part.groups, strict=True):
            row = int(Path(path).stem)
            name = GROUPS["group"][row] or path
            named.setdefault(group, set()).add(joined.get(name, name))
        assert all(len(names) == 1 for names in named.values())
        assert len(named) == len({name for names in named.values() for name in names})
    assert [part.groups for part in training_parts(store, cv=3, group_by="none")] == [None] * 3


@pytest.mark.parametrize(
    ("columns", "asked"),
    [
        ({}, {"cv": 3}),
        (GROUPS, {"cv": 3, "seed": 2}),
        (RARE, {"cv": 3, "rare": "keep"}),
        ({}, {"split": "test"}),
        ({}, {"cv": 2, "inner_splits": 3}),
        (GROUPS, {"cv": 3, "inner_splits": 2}),
        ({}, {"split": "test", "inner_splits": 4}),
    ],
)
def test_nested_parts_are_the_training_parts_of_the_experiments_inner_folds(
    tmp_path: Path, columns: dict[str, list[str]], asked: dict[str, Any]
) -> None:
    index = made_index(**columns)
    store = made_store(tmp_path, index, with_features=False)
    outer = training_parts(store, **asked)
    nested = training_parts(store, **asked, nested=True)
    assert [part.division for part in nested[: len(outer)]] == [part.division for part in outer]
    rest = nested[len(outer) :]
    for part in outer:
        own = [each for each in rest if part.division.items() <= each.division.items()]  # type: ignore[union-attr]
        assert [each.division["inner"] for each in own] == list(range(1, len(own) + 1))  # type: ignore[index]
        assert {each.division["inner_splits"] for each in own} == {len(own)}  # type: ignore[index]
        whole = {digest.tobytes() for digest in part.digests}
        held_out = [whole - {digest.tobytes() for digest in each.digests} for each in own]
        assert all({digest.tobytes() for digest in each.digests} < whole for each in own)
        assert sum(map(len, held_out)) == len(set.union(*held_out))
        codes = np.unique(np.array(part.labels), return_inverse=True)[1]
        groups = None if part.groups is None else np.array(part.groups)
        names, seed = np.unique(part.labels), asked.get("seed", 0)
        most = asked.get("inner_splits", INNER_FOLDS)
        folds = inner_folds(codes, names, seed, groups=groups, digests=part.digests, n_splits=most)
        for each, fold in zip(own, folds, strict=True):
            np.testing.assert_array_equal(each.digests, part.digests[fold.train])


def test_nested_parts_are_of_folds(tmp_path: Path) -> None:
    store = made_store(tmp_path, made_index(), with_features=False)
    with pytest.raises(UsageError, match="--nested is about the training part of a fold: give --cv or --split too"):
        training_parts(store, nested=True)
