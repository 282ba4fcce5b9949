"""Several numbers of an image are one text in an index, and come back as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.cache.errors import CorruptFileError
from stackbone.cache.labels.numbers import as_number, join_numbers, name_problem, ranges, split_numbers
from stackbone.cache.records.indexes.index_file import index_path, read_index, write_index
from stackbone.cache.upkeep.dataset_summary import summarise_dataset
from tests.made.caches import make_digests, make_index, on_disk


@pytest.mark.parametrize(
    ("names", "cells"),
    [(["length"], ["12.5"]), (["b", "a"], ["-3e2", "0"]), (["ünder (cm)", "9 lives, or so"], ["1", "0.10"])],
)
def test_numbers_come_back_in_their_order(names: list[str], cells: list[str]) -> None:
    assert list(split_numbers(join_numbers(names, cells)).items()) == list(zip(names, cells, strict=True))


def test_an_unlabelled_image_has_none() -> None:
    assert split_numbers("") == {}
    assert ranges(["", "a=1|b=2", "a=-1|b=5"]) == {"a": (-1.0, 1.0), "b": (2.0, 5.0)}


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "-Infinity", "1_000", "1,5", "3 cm", "1e999", "0x10"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert as_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("41.5", 41.5), ("-3e2", -300.0), (" 7 ", 7.0)])
def test_numbers_are_read(text: str, number: float) -> None:
    assert as_number(text) == number


def test_names_that_cannot_be_written_are_told_by_their_mark() -> None:
    assert [name_problem(name) for name in ("a|b", "a=b", "a (cm)")] == ["|", "=", None]


@pytest.mark.parametrize("texts", [["a=1|b=2.5", "a=3|b=-1"], ["a=1|b=2.5", ""], ["kg=1e3", "kg=2e3"]])
def test_an_index_keeps_them(tmp_path: Path, texts: list[str]) -> None:
    index = replace(make_index("animals", make_digests(2), texts), label_form="numbers", label=texts)
    file = index_path(tmp_path, "animals")
    on_disk(file.parent).mkdir()
    write_index(file, index)
    again = read_index(file)
    assert (again.label, again.label_form) == (texts, "numbers")
    assert again.names_of(0) == []
    assert "several numbers each" in repr(again)
    summary = summarise_dataset(again)
    assert summary.classes == {}
    assert summary.numbers == ranges(texts)
    assert summary.to_dict()["numbers"] == {name: list(each) for name, each in ranges(texts).items()}
    n, noun = (2, "numbers") if texts[0].count("=") == 2 else (1, "number")
    assert f"{n} {noun} of each labelled image: " in " ".join(summary.facts())
    assert not [each for each in summary.oddities if "class" in each.says]


@pytest.mark.parametrize(("n", "more"), [(12, None), (13, "and 1 more"), (300, "and 288 more")])
def test_many_numbers_are_not_all_listed(n: int, more: str | None) -> None:
    texts = [join_numbers([f"n{i}" for i in range(n)], [str(row)] * n) for row in range(2)]
    summary = summarise_dataset(replace(make_index("animals", make_digests(2), texts), label_form="numbers"))
    said = next(fact for fact in summary.facts() if fact.startswith(f"{n} numbers of each labelled image: n0 0 to 1, "))
    assert said.endswith(more or "n11 0 to 1")
    assert ("n12 " in said) is False
    assert len(summary.to_dict()["numbers"]) == n


def test_a_form_of_a_later_version_is_refused(tmp_path: Path) -> None:
    file = index_path(tmp_path, "animals")
    on_disk(file.parent).mkdir()
    write_index(file, replace(make_index("animals", make_digests(2)), label_form="grades"))
    with pytest.raises(CorruptFileError, match="of the form 'grades', which this version of Stackbone does not know"):
        read_index(file)
