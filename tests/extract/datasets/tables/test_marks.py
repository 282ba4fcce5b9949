"""What cells mean: a missing value is no class, 1.0 is 1, and each split has one name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache.splits import canonical_split
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.tables.marks import MISSING
from tests.made.listings import write_parquet

Table = Callable[..., Path]


def test_the_list_of_missing_values_is_that_of_pandas() -> None:
    parsers = pytest.importorskip("pandas._libs.parsers")
    assert MISSING | {""} == parsers.STR_NA_VALUES


@pytest.mark.parametrize("text", ["NA", "nan", "None", "null", "<NA>", "N/A", "#N/A", "", "  ", " NaN "])
@pytest.mark.parametrize("column", ["label", "split", "group"])
def test_a_missing_value_is_none(table: Table, text: str, column: str) -> None:
    header = ",".join(["path", "label", *([column] if column != "label" else [])])
    other = "x," if column != "label" else ""
    dataset = open_dataset(table(f"{header}\na.jpg,{other}{text}\nb.jpg,{other}hat\n"))
    assert getattr(dataset, f"{column}s") == ["", "hat"]
    if text.strip():
        assert dataset.notes == [
            f"1 cell of the column {column!r} counts as missing: {text.strip()!r} (1). With --keep-na, such texts are "
            "names like any other."
        ]
    else:
        assert dataset.notes == []


@pytest.mark.parametrize("name", ["none", "na", "Nano", "NAN", "NA2", "-", "?"])
def test_a_name_that_only_resembles_one_is_a_class(table: Table, name: str) -> None:
    assert open_dataset(table(f"path,label\na.jpg,{name}\n")).labels == [name]


def test_classes_of_such_names_are_kept_when_asked_for(table: Table, tmp_path: Path) -> None:
    text = "path,label\na.jpg,NA\nb.jpg,DE\nc.jpg,None\nd.jpg,\n"
    dataset = open_dataset(table(text), keep_na=True)
    assert (dataset.labels, dataset.notes) == (["NA", "DE", "None", ""], [])
    assert open_dataset(table(text)).labels == ["", "DE", "", ""]
    file = write_parquet(tmp_path / "l.parquet", {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": ["NA", None, "DE"]})
    assert open_dataset(file, keep_na=True).labels == ["NA", "", "DE"]
    assert open_dataset(file).labels == ["", "", "DE"]


def test_a_note_counts_each_text(table: Table) -> None:
    dataset = open_dataset(table("path,label\na.jpg,NA\nb.jpg,nan\nc.jpg,NA\nd.jpg,x\n"))
    assert "3 cells of the column 'label' count as missing: 'NA' (2), 'nan' (1)." in dataset.notes[0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["3", "10"], ["3", "10"]),
        (["3.0", "10"], ["3", "10"]),
        (["3.0", "12.5"], ["3", "12.5"]),
        (["007", "7"], ["007", "7"]),
        (["3.0", "v1.0"], ["3.0", "v1.0"]),
        (["", "3.0"], ["", "3"]),
        (["nan", "1.0"], ["", "1"]),
        (["1.0", "<NA>"], ["1", ""]),
        (["-2.0", "NULL"], ["-2", ""]),
    ],
)
def test_numbers_as_labels_become_text(table: Table, tmp_path: Path, written: list[str], read: list[str]) -> None:
    assert open_dataset(table(f"path,label\na.jpg,{written[0]}\nb.jpg,{written[1]}\n")).labels == read
    file = write_parquet(tmp_path / "l.parquet", {"path": ["a.jpg", "b.jpg"], "label": written})
    assert open_dataset(file).labels == read


def test_splits_have_one_name_each_and_ones_own_stay(table: Table) -> None:
    names = {"a": "train", "b": "Train", "c": "TEST", "d": "fold_a", "e": "val", "f": "Fold_A"}
    text = "path,label,split\n" + "".join(f"{path}.jpg,x,{name}\n" for path, name in names.items())
    dataset = open_dataset(table(text, images=tuple(f"{path}.jpg" for path in names)))
    assert dataset.splits == ["train", "train", "test", "fold_a", "validation", "Fold_A"]
    assert dataset.notes == [
        "In the column 'split', 'TEST' is the split 'test'.",
        "In the column 'split', 'Train' is the split 'train'.",
        "In the column 'split', 'val' is the split 'validation'.",
    ]


@pytest.mark.parametrize(("name", "canonical"), [("VAL", "validation"), ("Testing", "test"), ("q1", "q1"), ("", "")])
def test_the_well_known_names_of_splits(name: str, canonical: str) -> None:
    assert canonical_split(name) == canonical
