"""A table is read in the encoding that it is in, or refused with what to type: no label is ever half a letter."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from tests.made.listings import message

Table = Callable[..., Path]


def labels(dataset: Dataset) -> Sequence[str]:
    for text in (*dataset.labels, *dataset.splits, *dataset.groups):
        text.encode()  # no surrogates
    return dataset.labels


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_unicode_is_read_with_and_without_its_mark(table: Table, encoding: str, delimiter: str) -> None:
    if encoding == "utf-32-be":
        text = "\ufeffpath,label\na.jpg,Größe\nb.jpg,猫\n"
    else:
        text = "path,label\na.jpg,Größe\nb.jpg,猫\n"
    dataset = open_dataset(table(text.replace(",", delimiter).encode(encoding)))
    assert labels(dataset) == ["Größe", "猫"]
    assert dataset.notes == []


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("latin-1", ["Größe", "café"]), ("cp1252", ["100 €", "Škoda"]), ("iso8859-15", ["señor", "Ångström"])],
)
def test_what_excel_saves_in_the_west_is_read_and_said(table: Table, encoding: str, words: list[str]) -> None:
    dataset = open_dataset(table(f"path,label\na.jpg,{words[0]}\nb.jpg,{words[1]}\nc.jpg,x\n".encode(encoding)))
    assert labels(dataset) == [*words, "x"]
    (note,) = dataset.notes
    assert "Windows-1252" in note
    assert repr(words[0]) in note
    assert "--encoding" in note


def test_columns_of_western_names_are_found(table: Table) -> None:
    file = table("path,Catégorie\na.jpg,été\n".encode("cp1252"))
    assert labels(open_dataset(file, label_column="Catégorie")) == ["été"]


def test_in_a_table_of_two_encodings_each_cell_is_what_it_is(table: Table) -> None:
    dataset = open_dataset(table(b"path,label\na.jpg,caf\xc3\xa9\nb.jpg,caf\xe9\nc.jpg,\xe7\xb1\xb3\n"))
    assert labels(dataset) == ["café", "café", "米"]


@pytest.mark.parametrize(
    ("encoding", "word", "typed"),
    [
        ("cp1251", "кошка", "cp1251"),
        ("gb18030", "小狗", "gb18030"),
        ("shift-jis", "ネコ", "shift-jis"),
        ("mac-roman", "café", "mac-roman"),
        ("cp437", "müde", "cp437"),
    ],
)
def test_what_looks_like_no_western_text_is_refused_until_its_encoding_is_named(
    table: Table, encoding: str, word: str, typed: str
) -> None:
    file = table(f"path,label\nb.jpg,x\na.jpg,{word}\n".encode(encoding))
    text = message(DatasetError, data=file)
    assert "neither UTF-8 nor UTF-16" in text
    assert "line 3 has the bytes" in text
    assert "--encoding" in text
    assert labels(open_dataset(file, encoding=typed)) == [word, "x"]


def test_a_wrong_encoding_is_refused_in_words(table: Table) -> None:
    file = table("path,label\na.jpg,é\n".encode("latin-1"))
    assert "not in UTF-8" in message(DatasetError, data=file, encoding="utf-8")
    assert "not in SHIFT_JIS" in message(DatasetError, data=table(b"path,label\na.jpg,\xff\n"), encoding="shift-jis")
    assert "not in UTF-16" in message(DatasetError, data=table(b"\xff\xfep\0a\0t\0h\0,\0l\0\n\0a\0.\0,\0\0\xd8"))
    assert "Did you mean cp1251?" in message(UsageError, data=file, encoding="cp12511")
    for name in ("base64", "unicode_escape", "utf-7", "no/such"):
        assert "not an encoding of text" in message(UsageError, data=file, encoding=name)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_is_known_as_one(table: Table, start: bytes) -> None:
    assert "workbook" in message(DatasetError, data=table(start + bytes(100)))


@pytest.mark.parametrize("on_disk", [b"caf\xe9.jpg", "café.jpg".encode()])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_a_file_is_found_whatever_its_name_and_the_table_are_encoded_in(
    table: Table, on_disk: bytes, encoding: str
) -> None:
    file = table("path,label\ncafé.jpg,é\n".encode(encoding))
    with open(os.fsencode(file.parent) + b"/" + on_disk, "wb"):
        pass
    dataset = open_dataset(file)
    assert os.fsencode(dataset.paths[0]) == on_disk
    assert labels(dataset) == ["é"]


@pytest.mark.parametrize("encoding", ["shift-jis", "gb18030", "koi8-r"])
def test_a_file_whose_name_is_in_any_encoding_is_found_by_its_bytes(table: Table, encoding: str) -> None:
    word = "ночь" if encoding == "koi8-r" else "日本"
    file = table(f"path,label\n{word}.jpg,hat\n".encode(encoding))
    assert "--encoding" in message(DatasetError, data=file)
    with open(os.fsencode(file.parent) + b"/" + f"{word}.jpg".encode(encoding), "wb"):
        pass
    dataset = open_dataset(file)
    assert os.fsencode(dataset.paths[0]) == f"{word}.jpg".encode(encoding)
    assert (dataset.labels, dataset.notes) == (["hat"], [])
    table("", images=(f"{word}.jpg",))
    file.write_bytes(f"path,label\n{word}.jpg,hat\n".encode(encoding))
    assert open_dataset(file, encoding=encoding).paths == [f"{word}.jpg"]


def test_both_files_of_a_name_in_two_encodings_stay_apart(table: Table) -> None:
    file = table(b"path,label\ncaf\xe9.jpg,old\ncaf\xc3\xa9.jpg,new\n")
    for name in (b"caf\xe9.jpg", "café.jpg".encode()):
        with open(os.fsencode(file.parent) + b"/" + name, "wb"):
            pass
    dataset = open_dataset(file)
    found = {os.fsencode(path): label for path, label in zip(dataset.paths, dataset.labels, strict=True)}
    assert found == {b"caf\xe9.jpg": "old", b"caf\xc3\xa9.jpg": "new"}
