"""Columns of a table are several numbers of each image, or marks of labels: what they hold tells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.label_numbers import are_quantities

N = 12
LENGTHS = [f"{10 + 0.5 * i}" for i in range(N)]
COUNTS = [str(i % 3) for i in range(N)]


def table(folder: Path, columns: Mapping[str, Sequence[str]]) -> Path:
    for i in range(N):
        (folder / f"{i:02}.jpg").touch()
    lines = [",".join(["path", *columns])]
    lines += [",".join([f"{i:02}.jpg", *cells]) for i, cells in enumerate(zip(*columns.values(), strict=True))]
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


def open_numbers(file: Path, names: str = "length,count", **given: str) -> Dataset:
    dataset = open_dataset(file, label_columns=names, **given)  # type: ignore[arg-type]
    assert dataset.label_form == "numbers"
    return dataset


def with_cell(cells: Sequence[str], cell: str, row: int = 3) -> list[str]:
    return [*cells[:row], cell, *cells[row + 1 :]]


def test_columns_of_quantities_are_numbers(tmp_path: Path) -> None:
    file = table(tmp_path, {"length": LENGTHS, "count": COUNTS, "note": ["x"] * N})
    dataset = open_numbers(file)
    assert dataset.labels[:3] == ["length=10|count=0", "length=10.5|count=1", "length=11|count=2"]
    assert dataset.columns == {"note": ["x"] * N}
    assert any("hold quantities ('length', 'count')" in note for note in dataset.notes)
    assert list(dataset.asked[-2:]) == ["--label-columns", "length,count"]
    assert open_numbers(file, "count,length").labels[1] == "count=1|length=10.5"


@pytest.mark.parametrize("form", ["parquet", "json lines"])
def test_other_tables_say_numbers_too(tmp_path: Path, form: str) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").touch()
    rows = [{"length": 10.5 + i, "count": i} for i in range(3)]
    if form == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        named = [{"path": f"{i}.jpg", **row} for i, row in enumerate(rows)]
        parquet.write_table(pyarrow.Table.from_pylist(named), tmp_path / "list.parquet")
        found = open_numbers(tmp_path / "list.parquet")
    else:
        lines = [json.dumps({"file_name": f"{i}.jpg", **row}) for i, row in enumerate(rows)]
        (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
        found = open_numbers(tmp_path)
    assert found.labels == ["length=10.5|count=0", "length=11.5|count=1", "length=12.5|count=2"]


@pytest.mark.parametrize(
    ("columns", "are"),
    [
        ([LENGTHS], True),
        ([["0", "1"] * 6, LENGTHS], True),
        ([["0", "1"] * 6], False),
        ([["true", "False"] * 6, ["1", "0.0"] * 6], False),
        ([with_cell(["0", "1"] * 6, "2")], False),
        ([["0", "1"] * 20, [*["0", "1"] * 18, "2", "2", "3", "4"]], True),
        ([[*["0", "1"] * 30, "2", "2", "2"]], False),
        ([["12.5", ""], ["", "3"]], True),
        ([["yes", "no"] * 6], False),
        ([[""] * N], False),
    ],
    ids=[
        *("a quantity", "one among marks", "marks", "words", "a slip", "a tenth", "three of many", "two rows"),
        *("other words", "nothing"),
    ],
)
def test_quantities_are_told_from_marks(columns: Sequence[Sequence[str]], are: bool) -> None:  # noqa: FBT001 - a case
    assert are_quantities(columns) is are


def test_marks_stay_labels_that_are_there_or_not(tmp_path: Path) -> None:
    file = table(tmp_path, {"cat": ["0", "1"] * 6, "indoor": ["1", "1", "0"] * 4})
    assert open_dataset(file, label_columns="cat,indoor").label_form == "sets"


def test_the_form_can_be_said_outright(tmp_path: Path) -> None:
    file = table(tmp_path, {"cats": ["0", "1"] * 6, "dogs": with_cell(["1", "0"] * 6, "2")})
    assert open_numbers(file, "cats,dogs", label_form="numbers").labels[3] == "cats=1|dogs=2"
    with pytest.raises(DatasetError, match=r"'dogs' holds '2' for '03\.jpg'.*leave the column out\.$"):
        open_dataset(file, label_columns="cats,dogs", label_form="sets")
    with pytest.raises(UsageError, match=r"unknown label_form 'number'.*did you mean 'numbers'"):
        open_dataset(file, label_columns="cats,dogs", label_form="number")


@pytest.mark.parametrize("cells", [["yes", "no"] * 6, ["true", "false"] * 6, with_cell(["0", "1"] * 6, "?")])
def test_what_was_said_to_be_numbers_is_not_refused_for_what_it_looks_like(tmp_path: Path, cells: list[str]) -> None:
    file = table(tmp_path, {"cat": cells})
    with pytest.raises(DatasetError, match=r"as the model \(or label_form\) asks for numbers. Expected a finite"):
        open_dataset(file, label_columns="cat", label_form="numbers")


@pytest.mark.parametrize("cells", [LENGTHS, ["2", "3"] * 6, with_cell(COUNTS, "-1")])
def test_what_was_said_to_be_marks_is_not_refused_for_what_it_looks_like(tmp_path: Path, cells: list[str]) -> None:
    file = table(tmp_path, {"cat": cells})
    with pytest.raises(DatasetError, match=r"for a label that is there or not.*leave the column out\.$"):
        open_dataset(file, label_columns="cat", label_form="sets")


@pytest.mark.parametrize("form", ["numbers", "sets"])
@pytest.mark.parametrize("columns", ["", []])
def test_a_form_of_no_columns_is_refused(tmp_path: Path, form: str, columns: str | list[str]) -> None:
    file = table(tmp_path, {"label": LENGTHS})
    with pytest.raises(UsageError, match=rf"label_form='{form}' says what .* and none are named: name the columns"):
        open_dataset(file, label_columns=columns, label_form=form)


def test_marks_with_a_third_value_are_refused_with_why_they_are_numbers(tmp_path: Path) -> None:
    uncertain = ["0", "1", "-1", "1"] * 3
    file = table(tmp_path, {"cat": uncertain, "dog": with_cell(["0", "1"] * 6, "")})
    with pytest.raises(DatasetError, match=r"'dog' is empty.*one holds others than 0 and 1; if they mark which labels"):
        open_dataset(file, label_columns="cat,dog")
    with pytest.raises(DatasetError, match=r"'dog' is empty.*leave the column out\.$"):
        open_dataset(file, label_columns="cat,dog", label_form="numbers")


def test_a_slip_among_marks_is_refused_with_what_would_be_numbers(tmp_path: Path) -> None:
    file = table(tmp_path, {"cat": ["0", "1"] * 6, "indoor": with_cell(["1", "0"] * 6, "2")})
    with pytest.raises(DatasetError, match=r"'indoor' holds '2'.*three at least, are other numbers than 0 and 1"):
        open_dataset(file, label_columns="cat,indoor")


def test_an_image_without_any_number_is_not_labelled(tmp_path: Path) -> None:
    columns = {"length": with_cell(LENGTHS, ""), "count": with_cell(COUNTS, "")}
    assert open_numbers(table(tmp_path, columns)).labels[3] == ""


@pytest.mark.parametrize("cell", ["", "NaN", "n/a"])
def test_a_missing_number_beside_others_is_refused(tmp_path: Path, cell: str) -> None:
    file = table(tmp_path, {"length": LENGTHS, "count": with_cell(COUNTS, cell)})
    with pytest.raises(DatasetError, match=r"'count' is empty for '03\.jpg'.*all numbers of an image, or none"):
        open_numbers(file)


@pytest.mark.parametrize("cell", ["three", "12 cm", "inf", "1_000", "-"])
def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path, cell: str) -> None:
    file = table(tmp_path, {"length": with_cell(LENGTHS, cell), "count": COUNTS})
    with pytest.raises(DatasetError, match=rf"'length' holds '{cell}' for '03\.jpg'.*such as 41\.5. Correct the cell"):
        open_numbers(file)


@pytest.mark.parametrize("name", ["a|b", "a=b"])
def test_a_name_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    file = table(tmp_path, {name: LENGTHS})
    with pytest.raises(DatasetError, match=r"its name holds '[|=]'.*Rename the column"):
        open_dataset(file, label_columns=[name])


def test_a_column_that_does_not_exist_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = table(tmp_path, {"length": LENGTHS, "count": COUNTS})
    with pytest.raises(UsageError, match=r"names 'lenght'.*The nearest is 'length'"):
        open_dataset(file, label_columns="lenght,count")


def test_two_columns_of_one_name_are_not_guessed(tmp_path: Path) -> None:
    file = table(tmp_path, {"length": LENGTHS, "count": COUNTS})
    file.write_text(file.read_text().replace("path,length,count", "path,length,length"))
    with pytest.raises(UsageError, match=r"names 'length', and no such column is kept.*two of that name"):
        open_dataset(file, label_columns="length")
    with pytest.raises(UsageError, match="names 'length' twice"):
        open_dataset(file, label_columns="length,length")


def test_numbers_take_no_separator(tmp_path: Path) -> None:
    file = table(tmp_path, {"length": LENGTHS})
    with pytest.raises(UsageError, match="--label-separator says what stands between labels"):
        open_dataset(file, label_columns="length", label_separator=",")
