"""Folds of the user's own: taken as they are, and refused where they cannot be scored fairly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import StackError, UsageError
from stackbone.stack.divisions.division import Division, choose_plan
from stackbone.stack.divisions.labelled_images import label_images
from stackbone.stack.divisions.outer_folds import outer_folds
from tests.made.divisions import FOLDS, LABELS, N, divide, made, rows_tested


@pytest.mark.parametrize("names", [["1", "2", "3"], ["-3", "2", "10"], ["a", "b", "c"]])
def test_a_column_gives_folds_in_the_order_of_their_names(names: list[str]) -> None:
    cells = [names[i // 8] for i in range(N)]
    images, folds = divide(made(columns={"fold": cells}), folds="fold")
    assert rows_tested(folds) == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]
    assert all(sorted([*fold.train, *fold.test]) == [*range(N)] for fold in folds)
    assert images.notes == [
        f"folds are those of 'fold', in the order of their names: {', '.join(f'{n!r} (8)' for n in names)}"
    ]


@pytest.mark.parametrize("named", ["split", "group"])
def test_splits_and_groups_are_columns_too(named: str) -> None:
    _, folds = divide(made(**{named: FOLDS}), folds=named)
    assert rows_tested(folds) == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]


def test_the_fold_minus_one_is_always_trained_on() -> None:
    cells = ["-1" if i < 4 else FOLDS[i] for i in range(N)]
    _, folds = divide(made(columns={"fold": cells}), folds="fold")
    assert rows_tested(folds) == [[4, 5, 6, 7], [*range(8, 16)], [*range(16, 24)]]
    assert all({0, 1, 2, 3} <= set(fold.train.tolist()) for fold in folds)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("filename,fold\n{rows}", "folds.csv"),
        ("fold;file_name;more\n{turned}", "folds.csv"),
        ("path\tfold\n{rows}", "folds.tsv"),
        ("filename,fold\n{rows}", "FOLDS.CSV"),
    ],
)
def test_a_file_gives_them_by_path_or_name(tmp_path: Path, text: str, name: str) -> None:
    paths = [f"in/{i}.jpg" if i % 3 else f"{i}.jpg" for i in range(N)]
    paths[4] = "/photos/in/4.jpg"
    cut = "\t" if name.endswith("tsv") else ","
    rows = "".join(f"{path}{cut}{fold}\n" for path, fold in zip(paths, FOLDS, strict=True))
    turned = "".join(f"{fold};{path};x\n" for path, fold in zip(paths, FOLDS, strict=True))
    (tmp_path / name).write_text(text.format(rows=rows, turned=turned))
    _, folds = divide(made(), folds=str(tmp_path / name))
    assert rows_tested(folds) == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]


def test_a_parquet_file_gives_them_too(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"filename": [f"in/{i}.jpg" for i in range(N)], "fold": [int(fold) for fold in FOLDS]})
    parquet.write_table(table, tmp_path / "folds.parquet")
    _, folds = divide(made(), folds=tmp_path / "folds.parquet")
    assert rows_tested(folds) == [[*range(8)], [*range(8, 16)], [*range(16, 24)]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("filename,fold\nin/1.jpg,1\nin/1.jpg,2\n", "puts 'in/1.jpg' into the folds '1' and '2'"),
        ("filename,fold\nin/1.jpg,1\nin/2.jpg,2\n", "leaves out 22 images of 24, such as 'in/0.jpg'"),
        ("filename,fold\nout/1.jpg,1\nnone.jpg,2\n", "no image of the dataset 'photos' is named in"),
        ("name,part\nin/1.jpg,1\n", "Expected rows below the names filename and fold"),
        ("filename,fold\n", "has 0 rows"),
        ("filename,fold\nin/1.jpg,1,in/2.jpg\nin/2.jpg,1,x\n", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_file_that_does_not_divide_the_images_is_refused(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises((StackError, UsageError), match=found):
        divide(made(), folds=str(tmp_path / "folds.csv"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00filename", b"PAR1 and no more"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / ("folds.parquet" if content and content.startswith(b"PAR1") else "folds.csv")
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StackError, match=r"--folds .* cannot be read"):
        divide(made(), folds=str(file))


@pytest.mark.parametrize(("named", "near"), [("Fold", "fold"), ("folds", "fold"), ("sight", "site")])
def test_an_unknown_column_gets_the_nearest_one(named: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"has no column '{named}'; it has 'fold', 'site'.*type --folds {near}"):
        divide(made(columns={"fold": FOLDS, "site": FOLDS}), folds=named)


def test_a_dataset_of_before_columns_is_to_be_extracted_again() -> None:
    with pytest.raises(UsageError, match=r"it has none.*`stackbone extract TABLE` again with the options that it had"):
        divide(made(), folds="fold")


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["1"] * N, "names 1 fold, and at least 2"),
        (["-1"] * N, "names 0 folds"),
        (["", *FOLDS[1:]], "leaves out 1 image of 24, such as 'in/0.jpg'.* `extract --keep-na` keeps them"),
    ],
)
def test_a_column_that_does_not_divide_the_images_is_refused(cells: list[str], found: str) -> None:
    with pytest.raises(StackError, match=found):
        divide(made(columns={"fold": cells}), folds="fold")


def test_a_group_in_two_folds_is_refused_and_the_way_out_works() -> None:
    index = made(columns={"fold": FOLDS}, group=["a" if i in (7, 8) else "" for i in range(N)])
    with pytest.raises(StackError, match=r"'in/8.jpg' and 'in/7.jpg'.*type --group-by none"):
        divide(index, folds="fold")
    assert len(divide(index, folds="fold", group_by="none")[1]) == 3


@pytest.mark.parametrize("n", [1, 3])
def test_a_class_that_a_fold_tests_alone_is_refused_and_dropped_if_asked(n: int) -> None:
    labels = ["bird" if i < n else LABELS[i] for i in range(N)]
    index = made(labels, columns={"fold": FOLDS})
    with pytest.raises(
        StackError, match=r"fold 1 of 3 has no image of class 'bird', which the fold tests.*--rare drop"
    ):
        divide(index, folds="fold")
    images, folds = divide(index, folds="fold", rare="drop")
    assert sorted(set(images.labels)) == ["cat", "dog"]
    assert sum(len(fold.test) for fold in folds) == N - n
    assert f"({n} image{'s' * (n > 1)}): bird" in images.notes[-1]


def test_a_copy_in_another_fold_counts_once_and_is_said() -> None:
    index = made(columns={"fold": FOLDS})
    digests = index.image_sha256.copy()
    digests[20] = digests[0]
    images, folds = divide(replace(index, image_sha256=digests), folds="fold")
    assert sum(len(fold.test) for fold in folds) == N - 1
    assert images.notes[-1].startswith("1 file is byte-identical to an image of another fold and counts once")


def test_rows_of_no_image_are_said(tmp_path: Path) -> None:
    rows = "".join(f"in/{i}.jpg,{fold}\n" for i, fold in enumerate(FOLDS))
    (tmp_path / "folds.csv").write_text(f"filename,fold\nout/1.jpg,1\n{rows}none.jpg,2\n")
    images, _ = divide(made(), folds=str(tmp_path / "folds.csv"))
    assert images.notes[0] == "2 rows of 'folds.csv' name no image of the dataset; the first is 'out/1.jpg'"


@pytest.mark.parametrize("kind", ["string", "Int64", "object"])
def test_a_missing_fold_of_a_parquet_file_is_a_fold_that_is_missing(tmp_path: Path, kind: str) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    cells = [None, *(int(fold) if kind == "Int64" else fold for fold in FOLDS[1:])]
    table = pd.DataFrame({"filename": [f"in/{i}.jpg" for i in range(N)], "fold": pd.array(cells, dtype=kind)})
    table.to_parquet(tmp_path / "folds.parquet")
    with pytest.raises(StackError, match=r"leaves out 1 image of 24, such as 'in/0.jpg'"):
        divide(made(), folds=tmp_path / "folds.parquet")


@pytest.mark.parametrize("asked", [{"folds": "fold"}, {"cv": "loo"}])
def test_near_copies_are_divided_without_near_duplicates(asked: dict[str, str]) -> None:
    images = label_images(made(columns={"fold": FOLDS})).join(np.array([*[-1] * 7, 0, 0, *[-1] * 15]))
    division = Division(**choose_plan(**dict.fromkeys(("cv", "split", "folds", "time_column")) | asked), inner_splits=2)
    with pytest.raises(StackError, match=r"--group-by none \(and leave --near-duplicates out\)"):
        outer_folds(images, division)
