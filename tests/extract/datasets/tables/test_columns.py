"""Which column is which: by name, by another name that says the same, by number, or a message that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache.errors import UsageError
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.listings import message, rows

Table = Callable[..., Path]
BOTH = [("a.jpg", "hat", "", ""), ("b.jpg", "cap", "", "")]


def test_columns_of_other_names_are_read_by_option(table: Table) -> None:
    file = table("file,kind,fold,patient\na.jpg,hat,2,p\n")
    dataset = open_dataset(file, path_column="file", label_column="kind", split_column="fold", group_column="patient")
    assert rows(dataset) == [("a.jpg", "hat", "2", "p")]


@pytest.mark.parametrize(
    "name", ["filename", "file_name", "Image", "img", "Path", "FilePath", "image path", "id", "image_id", "Name"]
)
def test_a_column_that_is_obviously_the_path_is_taken_and_said(table: Table, name: str) -> None:
    dataset = open_dataset(table(f"n,{name},label\n1,a.jpg,hat\n2,b.jpg,cap\n"))
    assert rows(dataset) == BOTH
    assert dataset.notes == [f"The column {name!r} of 'list.csv' was taken for the path."]


@pytest.mark.parametrize("name", ["class", "Species", "class_name", "target", "Labels", "y"])
def test_a_column_that_is_obviously_the_label_is_taken_and_said(table: Table, name: str) -> None:
    dataset = open_dataset(table(f"path,{name}\na.jpg,hat\nb.jpg,cap\n"))
    assert rows(dataset) == BOTH
    assert dataset.notes == [f"The column {name!r} of 'list.csv' was taken for the label."]


def test_splits_and_groups_are_taken_too_but_not_missed(table: Table) -> None:
    assert rows(open_dataset(table("Path,Label,Data Set,Group\na.jpg,hat,test,g\n"))) == [("a.jpg", "hat", "test", "g")]
    assert rows(open_dataset(table("path,label,set,subset\na.jpg,hat,x,y\n"))) == [("a.jpg", "hat", "", "")]
    assert rows(open_dataset(table("Path,file,class,LABEL\na.jpg,1,x,hat\n"))) == [("a.jpg", "hat", "", "")]


@pytest.mark.parametrize("header", ["id,image,filename,class", "image,file,path_,class", "x,Which,name,class"])
def test_of_several_columns_that_which_holds_images_is_the_path(table: Table, header: str) -> None:
    place = {"id": 2, "image": 1, "x": 1}[header.split(",", 1)[0]]
    cells = [["7", "x", "y", "hat"], ["8", "x", "y", "cap"]]
    for row, image in zip(cells, ("a.jpg", "b.jpg"), strict=True):
        row[place] = image
    assert rows(open_dataset(table("\n".join([header, *map(",".join, cells)])))) == BOTH


@pytest.mark.parametrize(
    ("header", "arguments", "advice"),
    [
        ("path,kind", {}, "--label-column kind"),
        ("path,Set,kind", {}, "--label-column kind"),
        ("path,class,target", {}, "--label-column class"),
        ("path,Label title,label kind", {}, "--label-column 'label kind'"),
        ("path,label,my fold", {"split_column": "fold"}, "--split-column 'my fold'"),
        ("path,label", {"group_column": "patient"}, "--group-column NAME"),
        ("path,label", {"path_column": "pathh"}, "--path-column path"),
        ("path,label,label", {}, "2 columns named 'label'"),
        ("path,label", {"label_column": "3"}, "no column '3'"),
    ],
)
def test_a_missing_or_doubled_column_says_what_to_type(
    table: Table, header: str, arguments: dict[str, str], advice: str
) -> None:
    cells = ",".join("x" for _ in header.split(","))
    assert advice in message(UsageError, data=table(f"{header}\n{cells}\n"), **arguments)


def test_a_missing_column_names_the_columns_and_the_way_without(table: Table) -> None:
    text = message(UsageError, data=table("path,Labls,x\na.jpg,hat,1\n"))
    assert "'path', 'Labls', 'x'" in text
    assert "nearest is 'Labls'" in text
    assert "--label-column Labls" in text
    assert "--no-labels" in text


@pytest.mark.parametrize("header", ["path,kind", "img,file,what", "Bild,was", "a.jpg,hat,12", "path,class,target"])
def test_what_a_message_says_to_type_works_when_typed(table: Table, header: str) -> None:
    """Until the table is read: each message leads on."""
    names = header.split(",")
    cells = {"img": "b.jpg,a.jpg,hat", "Bild": "a.jpg,hat", "a.jpg": "b.jpg,cap,13"}
    text = f"{header}\n{cells.get(names[0], 'a.jpg,hat,1'.rsplit(',', 3 - len(names))[0])}\n"
    file = table(text)
    arguments: dict[str, str] = {}
    for _ in range(4):
        try:
            dataset = open_dataset(file, **arguments)  # type: ignore[arg-type] # names of columns
        except UsageError as exc:
            said = str(exc).split("if its first line is not a header, ")[-1].split("Type ")[-1]
            words = shlex.split(said.split(", or")[0].split(" or ")[0].rstrip("."))
            typed = dict(zip(words[::2], words[1::2], strict=True))
            if not typed:
                pytest.fail(f"nothing to type: {exc}")
            arguments |= {option[2:].replace("-", "_"): value for option, value in typed.items()}
        else:
            break
    else:
        pytest.fail(f"nothing helped: {arguments}")
    assert set(dataset.paths) <= {"a.jpg", "b.jpg"}


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        ("a.jpg,hat\nb.jpg,cap\n", BOTH),
        ("hat;a.jpg\ncap;b.jpg\n", BOTH),
        ("hat,Train,a.jpg\ncap,test,b.jpg\n", [("a.jpg", "hat", "train", ""), ("b.jpg", "cap", "test", "")]),
    ],
)
def test_a_table_without_header_is_read_by_position_and_said(
    table: Table, lines: str, read: list[tuple[str, str, str, str]]
) -> None:
    dataset = open_dataset(table(lines))
    assert rows(dataset) == read
    assert dataset.notes[0].startswith("The table 'list.csv' has no header line, so its columns went by place: column ")


def test_one_row_without_header_is_a_row(table: Table) -> None:
    assert rows(open_dataset(table("a.jpg,hat\n"))) == BOTH[:1]
    assert rows(open_dataset(table("a.jpg\nb.jpg\n"), label_column=None)) == [
        ("a.jpg", "", "", ""),
        ("b.jpg", "", "", ""),
    ]


def test_columns_of_a_table_without_header_go_by_number(table: Table) -> None:
    file = table("a.jpg,7,hat,1\nb.jpg,8,cap,2\n")
    assert "--label-column 2" in message(UsageError, data=file)
    assert rows(open_dataset(file, label_column="3")) == BOTH
    assert [row[3] for row in rows(open_dataset(file, label_column="3", group_column="4"))] == ["1", "2"]
    assert "a column's number, from 1 to 4" in message(UsageError, data=file, label_column="kind")
    ids = table("0001,hat\n0002,cap\n", "ids.csv", images=("0001.jpg", "0002.jpg"))
    assert "--path-column 1 --label-column 2" in message(UsageError, data=ids)
    dataset = open_dataset(ids, path_column="1", label_column="2")
    assert (dataset.paths, dataset.labels) == (["0001.jpg", "0002.jpg"], ["hat", "cap"])


def test_columns_with_a_header_go_by_number_too(table: Table) -> None:
    file = table("Which,Kind,2\na.jpg,hat,x\nb.jpg,cap,y\n")
    assert rows(open_dataset(file, path_column="1", label_column="Kind")) == BOTH
    assert open_dataset(file, path_column="1", label_column="2").labels == ["x", "y"]  # a name comes before a number


@pytest.mark.parametrize(
    ("text", "column"),
    [("a.jpg,cat\nb.jpg,dog\n", "cat"), ("a.png;cat\nb.png;dog\n", "cat"), ("a.jpg\tx\nb.jpg\ty\n", "x")],
)
def test_a_cell_that_was_taken_for_a_header_is_answered_with_numbers(table: Table, text: str, column: str) -> None:
    said = message(UsageError, data=table(text), path_column=column)
    assert said.endswith("type --path-column 1 --label-column 2.")
