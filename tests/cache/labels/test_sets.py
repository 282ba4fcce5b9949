"""Several labels of an image are one text in an index, and come back as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.errors import CorruptFileError
from stackbone.cache.labels.sets import join_names, likely_separator, split_names
from stackbone.cache.records.indexes.index_file import index_path, read_index, write_index
from stackbone.cache.upkeep.dataset_summary import summarise_dataset
from tests.made.caches import make_digests, make_index, on_disk


@pytest.mark.parametrize("names", [[], ["cat"], ["b", "a"], ["ünder", "9 lives", "a, b"]])
def test_names_come_back_sorted(names: list[str]) -> None:
    assert split_names(join_names(names)) == sorted(names)


def test_no_name_is_a_text_and_no_text_is_no_name() -> None:
    assert join_names([]) == "|"
    assert split_names("|") == []
    assert split_names("") == []


def test_a_name_twice_counts_once() -> None:
    assert join_names(["b", "a", "b"]) == "a|b"


@pytest.mark.parametrize("name", ["", "a|b", "|"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a label"):
        join_names(["fine", name])


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["cat|indoor", "dog|indoor", "cat"], "|"),
        (["cat, indoor", "dog, indoor", "cat, night"], ","),
        (["red;dress", "blue;dress", "red;skirt"], ";"),
        (["cat", "dog", "cat and dog"], None),
        (["Paris, France", "Rome, Italy", "Oslo, Norway"], None),  # places, not labels
        (["a/b"], None),
        ([], None),
    ],
)
def test_a_separator_is_seen_where_its_parts_recur(labels: list[str], separator: str | None) -> None:
    assert likely_separator(labels) == separator


def test_an_index_keeps_the_form_of_its_labels(tmp_path: Path) -> None:
    index = replace(make_index("scenes", make_digests(4), ["a|b", "b", "|", ""]), label_form="sets")
    file = index_path(tmp_path, "scenes")
    on_disk(file.parent).mkdir()
    write_index(file, index)
    again = read_index(file)
    assert again.label_form == "sets"
    assert [again.names_of(row) for row in range(4)] == [["a", "b"], ["b"], [], []]


def test_an_index_of_plain_labels_says_nothing_of_a_form(tmp_path: Path) -> None:
    import h5py

    file = index_path(tmp_path, "plain")
    on_disk(file.parent).mkdir()
    write_index(file, make_index("plain", make_digests(2), ["a|b", "c"]))
    with h5py.File(file) as content:
        assert "label_form" not in content.attrs
    assert read_index(file).names_of(0) == ["a|b"]


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    file = index_path(tmp_path, "odd")
    on_disk(file.parent).mkdir()
    write_index(file, replace(make_index("odd", make_digests(2)), label_form="trees"))
    with pytest.raises(CorruptFileError, match="form 'trees'"):
        read_index(file)


def test_a_summary_counts_labels_and_not_their_combinations() -> None:
    index = replace(make_index("scenes", make_digests(5), ["a|b", "b", "|", "", "b"]), label_form="sets")
    summary = summarise_dataset(replace(index, label=["a|b", "b", "|", "", "b"]))
    assert summary.classes == {"a": 1, "b": 3}
    assert summary.n_labelled == 4
    assert summary.to_dict()["label_form"] == "sets"
    assert "2 labels, 1 per labelled image on average" in " ".join(summary.facts())


def test_sizes_and_words_are_of_labels_and_not_of_their_combinations() -> None:
    labels = [f"dog|{i}" if i < 12 else f"cat|{i}" for i in range(24)] + ["Dog", "rare|dog"]
    index = replace(make_index("scenes", make_digests(26), labels), label_form="sets")
    sizes = np.array([(900, 900)] * 12 + [(300, 300)] * 12 + [(900, 900)] * 2, np.int64)
    said = {each.kind: each.says for each in summarise_dataset(replace(index, sizes=sizes)).oddities}
    assert "images of 'dog' are larger than those of 'cat'" in said["sizes differ by class"]
    assert "labels have fewer than 3 images" in said["rare classes"]
    assert "leave such labels out" in said["rare classes"]
    assert "count as different labels" in " ".join(said.values())


def test_a_plain_summary_is_as_before() -> None:
    assert "label_form" not in summarise_dataset(make_index("plain", make_digests(3))).to_dict()


def test_a_likely_separator_is_told_with_what_to_type() -> None:
    labels = ["cat|indoor", "dog|indoor", "cat", "cat|night"] * 6
    index = make_index("scenes", make_digests(24), labels)
    index = replace(index, listed=replace(index.listed, asked=("my table.csv",)))
    [found] = [each for each in summarise_dataset(index).oddities if each.kind == "several labels"]
    assert "`stackbone extract 'my table.csv' --label-separator '|'` with the options that it had" in found.says
    assert "several labels" not in {each.kind for each in summarise_dataset(replace(index, label_form="sets")).oddities}
