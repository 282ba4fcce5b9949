"""Parquet tables read like those of text, and what is no table of paths is refused in a line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache.errors import DatasetError, StackboneError, UsageError
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.listings import message, rows, touch, write_parquet

Table = Callable[..., Path]
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}.jpg" for name in "abcd"), "4.png", "17.png")


def test_a_parquet_file_reads_like_a_csv(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "birds.parquet",
        {
            "path": ["b.jpg", "a.jpg", "c.jpg", "d.jpg"],
            "label": [3.0, 12.5, None, float("nan")],
            "group": [1, 2, 2, None],
            "pixels": [[1], [2], [3], [4]],
        },
    )
    dataset = open_dataset(file)
    assert dataset.name == "birds"
    assert rows(dataset) == [
        ("a.jpg", "12.5", "", "2"),
        ("b.jpg", "3", "", "1"),
        ("c.jpg", "", "", "2"),
        ("d.jpg", "", "", ""),
    ]


def test_parquet_numbers_serve_as_paths_with_a_suffix_or_without(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"id": [17, 4], "label": ["x", "y"]})
    assert open_dataset(file, path_column="id", suffix=".png").paths == ["17.png", "4.png"]
    assert open_dataset(file).paths == ["17.png", "4.png"]


def test_columns_are_found_as_in_text(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"file_name": ["a.jpg"], "Class": ["x"], "split": ["VAL"]})
    assert rows(open_dataset(file)) == [("a.jpg", "x", "validation", "")]


def test_parquet_always_names_its_columns(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"what": ["a.jpg"], "b.jpg": ["x"]})
    assert "no column 'path'" in message(UsageError, data=file)
    assert rows(open_dataset(file, path_column="1", label_column="2")) == [("a.jpg", "x", "", "")]


@pytest.mark.parametrize("index", [None, "name", "path"])
def test_what_pandas_writes_is_read(tmp_path: Path, index: str | None) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "path": pandas.Categorical(["a.jpg", "b.jpg", "c.jpg"]),
            "label": pandas.Categorical(["x", None, "None"]),
            "group": pandas.array([1, None, 3], "Int64"),
        },
        index=[5, 3, 9],
    )
    if index == "path":
        frame = frame.set_index("path")
    else:
        frame.index.name = index
    frame.to_parquet(tmp_path / "l.parquet")
    assert rows(open_dataset(tmp_path / "l.parquet")) == [
        ("a.jpg", "x", "", "1"),
        ("b.jpg", "", "", ""),
        ("c.jpg", "", "", "3"),
    ]


@pytest.mark.parametrize(
    "column",
    [
        [{"bytes": None, "path": "a.jpg"}] * 2,  # as Hugging Face's datasets have images, which these are not
        [b"x" * 9_000, b"no image that is known"],
    ],
)
@pytest.mark.parametrize("name", ["image", "path"])
def test_a_column_of_what_may_be_images_is_refused_in_a_line(tmp_path: Path, column: list[Any], name: str) -> None:
    text = message(DatasetError, data=write_parquet(tmp_path / "l.parquet", {name: column, "label": [1, 2]}))
    assert f"The column {name!r} of " in text
    assert "holds the images themselves" in text
    assert "put its path into a column" in text
    assert text.isprintable()
    assert len(text) < 500


def test_paths_of_bytes_are_paths(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"path": [b"a.jpg", b"b.jpg"], "label": [b"x", b"y"]})
    assert rows(open_dataset(file)) == [("a.jpg", "x", "", ""), ("b.jpg", "y", "", "")]


@pytest.mark.parametrize("kind", ["text", "large text", "dictionary", "time"])
def test_parquet_values_that_cannot_be_read_are_refused_in_words(tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    names = pyarrow.array([b"caf\xe9.jpg", b"b.jpg"])
    columns = {
        "text": names.view(pyarrow.string()),
        "large text": names.cast(pyarrow.large_binary()).view(pyarrow.large_string()),
        "dictionary": pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1]), names.view(pyarrow.string())),
        "time": pyarrow.array([2**62, 0]).view(pyarrow.timestamp("ms")),
    }
    file = write_parquet(tmp_path / "l.parquet", {"path": columns[kind], "label": ["x", "y"]})
    with pytest.raises(DatasetError, match=r"l\.parquet"):
        open_dataset(file)


def test_parquet_errors_name_the_row_or_the_column(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "l.parquet", {"path": ["a.jpg", None], "label": [1, 2]})
    assert "row 2" in message(DatasetError, data=file)
    assert "--label-column label" in message(UsageError, data=file, label_column="lable")
    assert "Leave --encoding out" in message(UsageError, data=file, encoding="utf-8")
    nested = write_parquet(tmp_path / "n.parquet", {"path": ["a.jpg"], "label": [[[1, 2]]]})
    assert "holds list<" in message(DatasetError, data=nested)


def test_a_word_that_the_dictionary_lacks_is_refused(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "l.parquet"
    # Three words, so that an index has two bits and can be 3, and a long run of the first at the column's end.
    labels = pyarrow.array(["y", "z", *["x"] * 100])
    schema = pyarrow.schema([pyarrow.field("label", pyarrow.string(), nullable=False), ("path", pyarrow.string())])
    table = pyarrow.table([labels, [f"{i}.jpg" for i in range(102)]], schema=schema)
    parquet.write_table(table, file, compression="none", data_page_version="1.0")
    column = parquet.read_metadata(file).row_group(0).column(0)
    assert column.path_in_schema == "label"
    content = bytearray(file.read_bytes())
    end = column.dictionary_page_offset + column.total_compressed_size
    assert content[end - 1] == 2  # the run of 'x', the third word
    content[end - 1] = 3
    file.write_bytes(content)
    assert "is not a complete Parquet file" in message(DatasetError, data=file)


@pytest.mark.parametrize("content", [b"", b"not a table", b"PAR1" + bytes(64) + b"PAR1"])
def test_a_broken_parquet_file_is_an_error(table: Table, content: bytes) -> None:
    pytest.importorskip("pyarrow")
    assert "l.parquet" in message(DatasetError, data=table(content, "l.parquet"))


def test_parquet_without_pyarrow_says_what_to_install(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install pyarrow" in message(StackboneError, data=table(b"", "l.parquet"))
