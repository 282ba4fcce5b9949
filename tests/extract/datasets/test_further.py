"""Columns beside paths, labels, splits and groups are kept as text, image by image, whatever the form of the table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stackbone.cache import FeatureStore
from stackbone.extract import index_dataset
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.further import first_columns
from tests.made.listings import touch, write_parquet

Table = Callable[..., Path]

ROWS = {
    "path": ["b.jpg", "a.jpg", "c.jpg"],
    "label": ["x", "y", "x"],
    "fold": [2, 1, 2],
    "taken": ["2024-05-01", "2023-01-31 10:00", None],
}
KEPT = {"fold": ["1", "2", "2"], "taken": ["2023-01-31 10:00", "2024-05-01", ""]}


def write_rows(folder: Path, name: str) -> Path:
    touch(folder, "a.jpg", "b.jpg", "c.jpg")
    file = folder / name
    rows = {"file_name" if key == "path" and name.startswith("metadata") else key: each for key, each in ROWS.items()}
    if name.endswith(".parquet"):
        return write_parquet(file, rows)
    lines = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    if name.endswith(".jsonl"):
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return file
    cut = "\t" if name.endswith(".tsv") else ","
    cells = [list(rows), *([str(each or "") for each in line.values()] for line in lines)]
    file.write_text("".join(cut.join(row) + "\n" for row in cells))
    return file


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.parquet"])
def test_a_table_keeps_its_other_columns(tmp_path: Path, name: str) -> None:
    assert open_dataset(write_rows(tmp_path, name)).columns == KEPT


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.parquet", "metadata.jsonl"])
def test_a_table_beside_images_keeps_them_too(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, name)
    assert open_dataset(tmp_path).columns == KEPT


def test_a_table_that_corrects_a_folder_keeps_them_of_the_images_that_it_lists(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "photos", "cat/1.jpg", "cat/2.jpg", "dog/3.jpg")
    file = table("path,label,site\ncat/1.jpg,dog,north\ndog/3.jpg,dog,south\n", "fixes.csv")
    assert open_dataset(folder, labels=file).columns == {"site": ["north", "", "south"]}
    only = open_dataset(folder, labels=file, only_listed=True)
    assert (only.paths, only.columns) == (["cat/1.jpg", "dog/3.jpg"], {"site": ["north", "south"]})


def test_of_tables_above_an_image_the_nearest_counts(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "1.jpg", "in/2.jpg", "in/3.jpg")
    (folder / "metadata.csv").write_text("file_name,label,site,year\n1.jpg,a,x,1\nin/2.jpg,a,x,2\n")
    (folder / "in" / "metadata.csv").write_text("file_name,label,site\n2.jpg,b,y\n3.jpg,b,z\n")
    assert open_dataset(folder).columns == {"site": ["x", "y", "z"], "year": ["1", "2", ""]}


def test_paths_that_are_found_elsewhere_take_their_cells_along(tmp_path: Path, table: Table) -> None:
    file = table("path,label,fold\nimg\\a.jpg,x,1\nimg\\b.jpg,y,2\n", images=("img/a.jpg", "img/b.jpg"))
    assert open_dataset(file).columns == {"fold": ["1", "2"]}


@pytest.mark.parametrize("keep_na", [False, True])
def test_cells_mean_what_those_of_labels_mean(table: Table, *, keep_na: bool) -> None:
    file = table("path,label,fold,note\na.jpg,x,1.0,NA\nb.jpg,y,2.0, é \nc.jpg,y,,\n")
    found = open_dataset(file, keep_na=keep_na).columns
    assert found == {"fold": ["1", "2", ""], "note": ["NA" if keep_na else "", "é", ""]}


def test_a_table_without_header_names_them_by_number(table: Table) -> None:
    file = table("a.jpg,x,7\nb.jpg,y,8\n")
    assert open_dataset(file, path_column="1", label_column="2").columns == {"3": ["7", "8"]}


def test_a_table_of_another_encoding_is_mended_whole(table: Table) -> None:
    file = table("path,label,place\na.jpg,x,Köln\nb.jpg,y,Gent\n".encode("cp1252"))
    assert open_dataset(file).columns == {"place": ["Köln", "Gent"]}


def test_long_cells_and_cells_that_differ_for_one_image_are_not_kept_and_said(table: Table) -> None:
    long = "word " * 60
    file = table(f"path,label,caption,box,fold\na.jpg,x,{long},1 2,1\na.jpg,x,{long},3 4,1\nb.jpg,y,,,2\n")
    dataset = open_dataset(file)
    assert dataset.columns == {"fold": ["1", "2"]}
    assert dataset.notes == [
        "Columns of 'list.csv' that hold cells of more than 256 characters are not kept: 'caption'.",
        "Columns of 'list.csv' that say several things of one image are not kept: 'box'.",
    ]


@pytest.mark.parametrize("name", ["", "x" * 101, "odd\u200bname"])
def test_columns_that_cannot_be_named_are_passed_over(table: Table, name: str) -> None:
    assert open_dataset(table(f"path,label,{name},fold\na.jpg,x,1,1\nb.jpg,y,2,2\n")).columns == {"fold": ["1", "2"]}


def test_columns_of_one_name_are_passed_over(table: Table) -> None:
    assert open_dataset(table("path,label,f,f,g\na.jpg,x,1,1,1\n")).columns == {"g": ["1"]}


def test_of_very_many_columns_the_first_are_kept_and_that_is_said(table: Table) -> None:
    names = ",".join(f"f{i}" for i in range(130))
    dataset = open_dataset(table(f"path,label,{names}\na.jpg,x,{','.join(['1'] * 130)}\n"))
    assert list(dataset.columns) == [f"f{i}" for i in range(100)]
    assert dataset.notes == ["Of the 130 other columns of 'list.csv', the first 100 are kept."]


def test_a_very_large_table_keeps_none(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackbone.extract.datasets.tables.text.MOST_FURTHER", 3)
    dataset = open_dataset(table("path,label,f,g\na.jpg,x,1,1\nb.jpg,y,2,2\n"))
    assert (dataset.labels, dataset.columns) == (["x", "y"], {})


def test_lists_and_images_inside_a_parquet_file_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    columns = {
        "path": ["a.jpg", "b.jpg"],
        "label": ["x", "y"],
        "pixels": [[1], [2]],
        "image": [b"\xff\xd8\xff" * 9, b"\xff\xd8\xff" * 9],
        "weight": [0.5, 2.0],
        "seen": [True, None],
    }
    found = open_dataset(write_parquet(tmp_path / "list.parquet", columns)).columns
    assert found == {"weight": ["0.5", "2"], "seen": ["True", ""]}


def test_the_index_keeps_them_and_an_extraction_of_before_gets_them_without_a_new_image(tmp_path: Path) -> None:
    for i, name in enumerate("ab"):
        Image.new("RGB", (8, 8), (90 * i, 0, 0)).save(tmp_path / f"{name}.png")
    table, store = tmp_path / "list.csv", FeatureStore(tmp_path / "cache")
    table.write_text("path,label\na.png,x\nb.png,y\n")
    assert index_dataset(open_dataset(table), store).columns == {}
    table.write_text("path,label,fold\na.png,x,1\nb.png,y,2\n")
    index_dataset(open_dataset(table), store)
    assert store.dataset("list").columns == {"fold": ["1", "2"]}


def test_several_tables_have_a_hundred_columns_together(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    for folder, image, first in (("a", "1.jpg", 0), ("b", "2.jpg", 60)):
        names = ",".join(f"f{first + i}" for i in range(60))
        (tmp_path / folder / "metadata.csv").write_text(f"file_name,{names}\n{image},{','.join(['1'] * 60)}\n")
    dataset = open_dataset(tmp_path)
    assert list(dataset.columns) == [f"f{i}" for i in range(100)]
    assert dataset.notes[-1] == "Of the 120 other columns of all tables, the first 100 are kept."
    assert first_columns(dataset.columns) == (dataset.columns, [])


def test_a_row_of_no_image_says_nothing_of_one_of_its_name_elsewhere(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "1.jpg", "sub/2.jpg")
    (folder / "sub" / "metadata.csv").write_text("file_name,site\n1.jpg,wrong\n2.jpg,right\n")
    assert open_dataset(folder).columns == {"site": ["", "right"]}


@pytest.mark.parametrize("cell", ["кошка".encode("cp1251"), "кот".encode("koi8-r"), b"\x81\x8d"])
def test_a_column_that_nobody_asked_for_is_no_reason_to_refuse_a_table(table: Table, cell: bytes) -> None:
    file = table(b"path,label,note,fold\na.jpg,x," + cell + b",1\nb.jpg,y,,2\n")
    dataset = open_dataset(file)
    assert (dataset.labels, dataset.columns) == (["x", "y"], {"fold": ["1", "2"]})
    assert dataset.notes == ["Columns of 'list.csv' that are in neither UTF-8 nor Windows-1252 are not kept: 'note'."]


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00", "a\\udfff"])
def test_a_half_character_in_a_field_that_nobody_asked_for_leaves_the_field_out(tmp_path: Path, half: str) -> None:
    touch(tmp_path, "a.jpg")
    line = '{"file_name": "a.jpg", "label": "x", "fold": 1, "note": "HALF"}\n'.replace("HALF", half)
    (tmp_path / "metadata.jsonl").write_text(line)
    assert open_dataset(tmp_path).columns == {"fold": ["1"]}
