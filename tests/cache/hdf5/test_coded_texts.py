"""Coded columns of text behave as the lists that they stand for, and lie on disk as these do."""

from __future__ import annotations

import pickle
import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, FileStamps
from stackbone.cache.hdf5 import texts as text_columns
from stackbone.cache.hdf5.coded_texts import CodedTexts, are_told, code_texts, count_texts, join_texts, longest
from stackbone.cache.records.indexes.index_file import read_index, write_index

TEXTS = ["cat", "", "dog", "cat", "h\udce4t", "", "cat"]


def test_a_coded_column_reads_as_the_list() -> None:
    coded = code_texts(TEXTS)
    assert coded == TEXTS
    assert list(coded) == TEXTS
    assert [coded[np.int64(row)] for row in range(len(TEXTS))] == TEXTS
    assert coded[-1] == "cat"
    assert coded[1:4] == TEXTS[1:4]
    assert coded != TEXTS[:-1]
    assert coded != "cat"
    assert "dog" in coded
    assert "bird" not in coded
    assert np.array(coded).tolist() == TEXTS
    assert np.array(code_texts([])).tolist() == []
    assert pickle.loads(pickle.dumps(coded)) == TEXTS
    with pytest.raises(IndexError):
        coded[len(TEXTS)]


@pytest.mark.parametrize("other", [[1, 2], [None, None], ["a", None], ["a", "c"], ["a"], ("a", "b"), "ab", b"ab", 1])
def test_a_coded_column_differs_from_what_a_list_of_its_texts_differs_from(other: object) -> None:
    coded = code_texts(["a", "b"])
    assert (other == ["a", "b"]) is False
    assert (coded == other) is False
    assert (other == coded) is False


def test_a_coded_column_equals_one_with_other_codes() -> None:
    assert CodedTexts(["b", "a"], np.array([1, 0])) == code_texts(["a", "b"])
    assert CodedTexts(["b", "a"], np.array([0, 1])) != code_texts(["a", "b"])


@pytest.mark.parametrize("which", [1.0, None, "a", (0,)])
def test_no_row_is_found_by_what_no_list_takes(which: int) -> None:
    for texts in (TEXTS, code_texts(TEXTS)):
        with pytest.raises(TypeError):
            texts[which]
    assert code_texts(TEXTS)[True] == TEXTS[True]


def test_codes_take_a_byte_where_few_texts_differ() -> None:
    assert code_texts(TEXTS).codes.dtype == np.uint8
    assert code_texts([str(i) for i in range(300)]).codes.dtype == np.uint16


def test_counts_are_in_the_order_of_rows() -> None:
    rows = np.array([6, 5, 2, 0])
    expected = Counter(TEXTS[row] for row in rows)
    for texts in (TEXTS, code_texts(TEXTS)):
        found = count_texts(texts, rows)
        assert found == expected
        assert list(found) == list(expected)
        assert are_told(texts).tolist() == [text != "" for text in TEXTS]
        assert longest(texts) == 3
    assert longest([]) == longest(code_texts([])) == 0


def test_columns_are_joined_coded_where_all_are() -> None:
    both = join_texts([code_texts(TEXTS), code_texts(["bird", "cat"])])
    assert isinstance(both, CodedTexts)
    assert both == [*TEXTS, "bird", "cat"]
    assert join_texts([code_texts(TEXTS), ["bird"]]) == [*TEXTS, "bird"]


def index_of(n: int) -> DatasetIndex:
    """Return an index of lists."""
    return DatasetIndex(
        name="made",
        root="/photos",
        path=[f"class/{i:05d}.jpg" for i in range(n)],
        label=[TEXTS[i % len(TEXTS)] for i in range(n)],
        split=["train"] * n,
        group=[f"patient {i // 3}" for i in range(n)],
        image_sha256=np.random.default_rng(0).integers(0, 256, (n, 32), dtype=np.uint8),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.zeros((n, 4), np.int64)),
        columns={"site": [f"site {i % 4}" for i in range(n)], "by": ["", *["x"] * (n - 1)] if n else []},
    )


def test_a_column_is_the_same_file_whatever_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = replace(index_of(700), path=[f"{'x' * (i == 650)}h\udce4t/{i}.jpg" for i in range(700)])
    contents = []
    for rows in (1 << 16, 100, 1):
        monkeypatch.setattr(text_columns, "_PIECE_ROWS", rows)
        write_index(tmp_path / "made.h5", index)
        contents.append((tmp_path / "made.h5").read_bytes())
    assert contents[0] == contents[1] == contents[2]
    assert read_index(tmp_path / "made.h5").path == index.path


def test_to_write_paths_takes_less_memory_than_they_do(tmp_path: Path) -> None:
    n = 300_000
    nothing = code_texts([""] * n)
    index = replace(
        index_of(0),
        path=[f"{i % 1000:04d}/a photograph of something or other, {i:08d}.jpg" for i in range(n)],
        label=nothing,
        split=nothing,
        group=nothing,
        reason=nothing,
        image_sha256=np.zeros((n, 32), np.uint8),
        status=np.ones(n, np.uint8),
        stamps=FileStamps(np.zeros((n, 4), np.int64)),
        columns={},
    )
    tracemalloc.start()
    write_index(tmp_path / "made.h5", index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 70 * n  # the digests, which are not compressed, once in the file and a piece of all else


@pytest.mark.parametrize("n", [0, 1, 700])
def test_an_index_of_coded_columns_is_the_same_file(tmp_path: Path, n: int) -> None:
    index = index_of(n)
    coded = replace(
        index,
        label=code_texts(index.label),
        split=code_texts(index.split),
        group=code_texts(index.group),
        reason=code_texts(index.reason),
        columns={name: code_texts(cells) for name, cells in index.columns.items()},
    )
    contents = []
    for each in (index, coded):
        write_index(tmp_path / "made.h5", each)
        contents.append((tmp_path / "made.h5").read_bytes())
    assert contents[0] == contents[1]
    found = read_index(tmp_path / "made.h5")
    assert found.path == index.path
    for name in ("label", "split", "group", "reason"):
        assert getattr(found, name) == getattr(index, name)
    assert dict(found.columns) == dict(index.columns)


def test_a_text_that_no_row_has_is_not_written(tmp_path: Path) -> None:
    index = index_of(4)
    wide = CodedTexts(["cat", "x" * 500, "\ud800"], np.array([0, 0, 0, 0], np.uint8))
    write_index(tmp_path / "made.h5", replace(index, label=["cat"] * 4))
    expected = (tmp_path / "made.h5").read_bytes()
    write_index(tmp_path / "made.h5", replace(index, label=wide))
    assert (tmp_path / "made.h5").read_bytes() == expected


def bytes_of_an_image(path: Path, index: DatasetIndex) -> float:
    """Return what an index that is read again takes in memory for each image, beside its paths."""
    write_index(path, index)
    read_index(path)  # what is imported at the first time is none of it
    tracemalloc.start()
    try:
        found = read_index(path)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return (taken - sys.getsizeof(found.path) - sum(map(sys.getsizeof, found.path))) / len(found)


@pytest.mark.parametrize(("rows_each", "most"), [(100_000, 72), (10, 80), (3, 100)])
def test_a_read_index_takes_at_most_a_hundred_bytes_an_image_beside_its_paths(
    tmp_path: Path, rows_each: int, most: int
) -> None:
    n = 220_000  # 73,333 groups of three: more than two bytes tell apart
    index = replace(index_of(n), columns={}, group=[f"patient {i // rows_each}" for i in range(n)])
    assert bytes_of_an_image(tmp_path / "made.h5", index) <= most


def test_many_texts_in_no_order_are_coded_too(tmp_path: Path) -> None:
    n = 400_000
    groups = np.random.default_rng(0).integers(0, n // 3, n)  # in the first piece of it nearly all differ
    index = replace(index_of(n), columns={}, group=[f"patient {i}" for i in groups.tolist()])
    write_index(tmp_path / "made.h5", index)
    found = read_index(tmp_path / "made.h5").group
    assert isinstance(found, CodedTexts)
    assert found == index.group


def test_texts_that_nearly_all_differ_take_no_more_than_a_list_of_them(tmp_path: Path) -> None:
    n = 90_000
    index = replace(index_of(n), columns={}, group=[f"patient {i}" for i in range(n)])
    write_index(tmp_path / "made.h5", index)
    found = read_index(tmp_path / "made.h5")
    assert type(found.group) is list
    assert found.group == index.group


def test_one_long_text_among_many_costs_no_room_for_each_when_written(tmp_path: Path) -> None:
    n = 20_000
    group = code_texts([f"patient {i}" for i in range(n - 1)] + ["x" * 4_000])
    tracemalloc.start()
    try:
        write_index(tmp_path / "made.h5", replace(index_of(n), columns={}, group=group))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n * 4_000  # bytes, of all of them as wide as the longest
    assert read_index(tmp_path / "made.h5").group == group
