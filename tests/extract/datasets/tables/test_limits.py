"""A table that stands for more than memory holds is refused by its size, and little is read of it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.kinds.table import read_table
from stackbone.extract.datasets.tables import text as tables
from stackbone.extract.datasets.tables.typed import columns, parquet


def write_parquet(file: Path, path: Any, **options: Any) -> Path:  # noqa: ANN401 - pyarrow has no types
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"path": path, "label": ["x"] * len(path)}), file, **options)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_table(file, file.parent, TableColumns())
    assert str(file) in str(caught.value)
    return str(caught.value)


def repeated(text: str, n: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * n, "int32"), pyarrow.array([text]))


def test_a_kilobyte_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "bomb.parquet", repeated("x" * 1_000_000, 6_500), compression="zstd")
    assert file.stat().st_size < 10_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "a cell of 1,000,000 characters" in refusal(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


@pytest.mark.parametrize("options", [{"use_dictionary": False}, {"use_dictionary": True}, {"row_group_size": 100}])
def test_more_text_than_allowed_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    paths = [f"{i:0100d}" for i in range(1_000)]
    file = write_parquet(tmp_path / "wide.parquet", paths, **options)
    assert len(read_table(file, tmp_path, TableColumns()).entries) == 1_000
    monkeypatch.setattr(parquet, "MOST_TEXT_BYTES", 1 << 16)
    monkeypatch.setattr(columns.TypedColumns, "add", lambda *_: pytest.fail("rows were read"))
    assert "MiB of text" in refusal(file)


def test_text_is_counted_as_it_is_read_whatever_the_file_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_parquet(tmp_path / "lies.parquet", [f"{i:0100d}" for i in range(1_000)])
    monkeypatch.setattr(columns, "MOST_TEXT_BYTES", 1 << 16)
    monkeypatch.setattr(parquet, "_check_declared", lambda *_: None)
    assert "MiB of text" in refusal(file)


def test_more_rows_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_parquet(tmp_path / "long.parquet", repeated("a.jpg", 101))
    text = tmp_path / "long.csv"
    text.write_text("path,label\n" + "a.jpg,x\n" * 101)
    for module in (parquet, tables):
        monkeypatch.setattr(module, "MOST_ROWS", 100)
    assert "101 rows" in refusal(file)
    assert "more than 100 rows" in refusal(text)


def without_line_end(file: Path) -> None:
    file.touch()
    os.truncate(file, 20 << 30)  # a sparse file takes no space


def with_an_endless_row(file: Path) -> None:
    file.write_text('path,label\n"' + "a" * 3_000_000)


def with_an_endless_header(file: Path) -> None:
    file.write_text("path," * 1_000_000)


@pytest.mark.parametrize("write", [without_line_end, with_an_endless_row, with_an_endless_header])
def test_text_without_line_ends_is_not_read_whole(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "line.csv")
    assert "a line of 2,097,152 characters or more" in refusal(tmp_path / "line.csv")


def test_text_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large.csv"
    file.write_text("path,label\n" + "".join(f"{i}.jpg,x\n" for i in range(1_000)))
    assert len(read_table(file, tmp_path, TableColumns()).entries) == 1_000
    monkeypatch.setattr(tables, "MOST_TEXT_BYTES", 5_000)
    assert "MiB of text" in refusal(file)


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.parquet"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    os.mkfifo(tmp_path / name)
    assert "regular file" in refusal(tmp_path / name)


def test_repeated_texts_read_as_they_would_alone(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    words = pyarrow.DictionaryArray.from_arrays(pyarrow.array([1, 0, None, 1], "int32"), pyarrow.array(["b", "a"]))
    file = tmp_path / "d.parquet"
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"path": ["1", "2", "3", "4"], "label": words}), file, row_group_size=2)
    assert [entry[0] for entry in read_table(file, tmp_path, TableColumns()).entries.values()] == ["a", "b", "", "a"]
