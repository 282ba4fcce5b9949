"""Tables of text: what separates cells, which lines are rows, and what is wrong with those that are not."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.tables.text import find_delimiter, stated_delimiter
from tests.made.listings import message, rows, touch

Table = Callable[..., Path]


def test_a_csv_gives_labels_splits_and_groups(table: Table) -> None:
    file = table("path,label,split,group\nb/2.jpg,hat,test,p1\na.jpg,dress,fold 3,\n", images=("a.jpg", "b/2.jpg"))
    dataset = open_dataset(file)
    assert (dataset.name, dataset.root) == ("list", file.parent)
    assert rows(dataset) == [("a.jpg", "dress", "fold 3", ""), ("b/2.jpg", "hat", "test", "p1")]
    assert dataset.notes == []


def test_split_and_group_columns_may_be_absent(table: Table) -> None:
    assert rows(open_dataset(table("label,path\nhat,a.jpg\n"))) == [("a.jpg", "hat", "", "")]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("l.tsv", "\t"),
        ("l.csv", ";"),
        ("L.CSV", ","),
        ("l.csv", "\t"),
        ("l.csv", "|"),
        ("l.tsv", ","),
        ("l.tsv", "|"),
    ],
)
@pytest.mark.parametrize("header", ["path{}label", "Kind{}filename{}class", "a.jpg{}hat"])
def test_whatever_separates_the_cells_is_seen(table: Table, name: str, delimiter: str, header: str) -> None:
    body = "x{}a.jpg{}hat" if header.startswith("Kind") else "a.jpg{}hat"
    lines = f"{header}\n{body}\n".replace("{}", delimiter)
    assert rows(open_dataset(table(lines, name))) == [("a.jpg", "hat", "", "")]


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["path;label, in words"], ";"),  # names of columns say more than the number of cells
        (["path,label;colour"], ","),
        (["which\twhat", "a, b.jpg\tx"], "\t"),  # every line alike
        (["which;how much", "a.jpg;0,5", "b.jpg;1"], ";"),
        (["path"], ","),
        ([], ","),
    ],
)
def test_the_delimiter_is_judged_by_names_then_by_even_lines(lines: list[str], delimiter: str) -> None:
    assert find_delimiter(lines, ".csv", {"path", "label"}.__contains__) == delimiter


@pytest.mark.parametrize(
    ("line", "delimiter"), [("sep=;\r\n", ";"), ('"sep=|"\n', "|"), ("SEP=\t\n", "\t"), ("sep=;;\n", None), ("", None)]
)
def test_a_first_line_may_state_the_delimiter(line: str, delimiter: str | None) -> None:
    assert stated_delimiter(line) == delimiter


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_stated_delimiter_counts_as_a_line(table: Table, encoding: str) -> None:
    lines = "sep=|\r\npath|label\r\na.jpg|x, y; z\r\n"
    assert rows(open_dataset(table(lines.encode(encoding)))) == [("a.jpg", "x, y; z", "", "")]
    assert "line 4" in message(DatasetError, data=table(f"{lines}b.jpg\r\n".encode(encoding)))


def test_a_byte_order_mark_empty_lines_and_quoted_line_breaks_are_read(table: Table) -> None:
    text = '\ufeffpath,label\r\n\r\n"two\nlines.jpg","a ""hat"", red"\r\n,\r\nb.jpg, dress \r\n'
    assert rows(open_dataset(table(text, images=("two\nlines.jpg", "b.jpg")))) == [
        ("b.jpg", "dress", "", ""),
        ("two\nlines.jpg", 'a "hat", red', "", ""),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])  # Excel for Mac's "CSV (Macintosh)" has the last
def test_lines_end_as_on_any_system(table: Table, end: str) -> None:
    text = end.join(["path,label", "a.jpg,hat", "b.jpg", ""])
    assert "line 3" in message(DatasetError, data=table(text))
    assert open_dataset(table(text.replace("b.jpg", "b.jpg,cap"))).labels == ["hat", "cap"]


def test_a_table_without_labels_is_read_when_asked_for(table: Table) -> None:
    dataset = open_dataset(table("path\na.jpg\n"), label_column=None)
    assert rows(dataset) == [("a.jpg", "", "", "")]


@pytest.mark.parametrize("suffix", [".jpg", "jpg"])
def test_the_suffix_is_added_only_where_it_is_missing(table: Table, suffix: str) -> None:
    file = table("path,label\n0001,3\nb.JPG,4\nc.jpg,4\n", images=("0001.jpg", "b.JPG", "c.jpg"))
    assert open_dataset(file, suffix=suffix).paths == ["0001.jpg", "b.JPG", "c.jpg"]


def test_paths_are_relative_to_the_table_and_absolute_outside_its_folder(tmp_path: Path) -> None:
    names = [f"lists/{name}.jpg" for name in ("a", "b/c", "in", "e")]
    folder = touch(tmp_path / "photos", "images/o.jpg", *names)
    outside = touch(tmp_path / "elsewhere", "else.jpg") / "else.jpg"
    file = folder / "lists" / "l.csv"
    inside = folder / "lists" / "in.jpg"
    file.write_text(f"path,label\n./a.jpg,1\nb//c.jpg,1\n{inside},1\n../images/o.jpg,1\n{outside},1\nd/../e.jpg,1\n")
    dataset = open_dataset(file)
    expected = ["a.jpg", "b/c.jpg", "in.jpg", str(folder / "images" / "o.jpg"), str(outside), "e.jpg"]
    assert dataset.paths == sorted(expected)
    assert dataset.notes == []


def test_a_parent_step_behind_a_link_names_the_file_the_system_would_open(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "list/x.txt")
    target = touch(tmp_path / "elsewhere", "deep/inside/x.txt", "deep/a.jpg")
    (folder / "list" / "link").symlink_to(target / "deep" / "inside")
    (folder / "list" / "l.csv").write_text("path,label\nlink/../a.jpg,1\n")
    dataset = open_dataset(folder / "list" / "l.csv")
    assert (dataset.root / dataset.paths[0]).samefile(target / "deep" / "a.jpg")


def test_a_repeated_row_counts_once(table: Table) -> None:
    assert open_dataset(table("path,label\na.jpg,hat\n./a.jpg,hat\n")).n == 1


def test_rows_that_disagree_about_a_path_are_an_error_with_the_line(table: Table) -> None:
    text = message(DatasetError, data=table("path,label\na.jpg,hat\n\na.jpg,dress\n"))
    assert "line 4" in text
    assert "'a.jpg'" in text
    assert "'hat'" in text
    assert "'dress'" in text


@pytest.mark.parametrize("row", ["b.jpg", "b.jpg,hat,1", "b,c.jpg,hat"])
def test_ragged_rows_are_an_error_with_the_line(table: Table, row: str) -> None:
    text = message(DatasetError, data=table(f'path,label\n"a\n.jpg",x\n{row}\n'))
    assert "line 4" in text
    assert "expected 2" in text


def test_empty_cells_past_the_last_column_are_no_cells(table: Table) -> None:
    assert rows(open_dataset(table("path,label\na.jpg,x,\nb.jpg,y, ,\n"))) == [
        ("a.jpg", "x", "", ""),
        ("b.jpg", "y", "", ""),
    ]


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "a\0" * 9999])
def test_rows_without_a_usable_path_are_an_error_with_the_line(table: Table, path: str) -> None:
    text = message(DatasetError, data=table(f"path,label\na.jpg,x\n{path},hat\n"))
    assert "line 3" in text
    assert "'path'" in text
    assert len(text) < 700


@pytest.mark.parametrize("text", ["", "\n\n", "path,label\n", "path,label\n\n,\n"])
def test_a_table_without_rows_is_an_error(table: Table, text: str) -> None:
    error = UsageError if text.strip() and "path" not in text else DatasetError
    assert "list.csv" in message(error, data=table(text))


@pytest.mark.parametrize("text", ['path,label\n"a.jpg,hat\nb.jpg,hat\n', 'path,label\n"a"b.jpg,hat\n'])
def test_broken_quoting_is_an_error_with_the_line(table: Table, text: str) -> None:
    assert "starts on line 2" in message(DatasetError, data=table(text))


@pytest.mark.parametrize("length", [131_072, 131_073, 1_000_000])
def test_a_cell_of_another_column_may_be_long(table: Table, length: int) -> None:
    before = csv.field_size_limit()
    assert rows(open_dataset(table(f"path,text,label\na.jpg,{'x' * length},hat\n"))) == [("a.jpg", "hat", "", "")]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("row", ["{},hat", "a.jpg,{}"])
def test_a_cell_that_is_read_may_not(table: Table, row: str) -> None:
    before = csv.field_size_limit()
    assert "a cell of 131,073 characters" in message(
        DatasetError, data=table("path,label\n" + row.format("x" * 131_073) + "\n")
    )
    assert csv.field_size_limit() == before
