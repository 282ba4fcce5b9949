"""Tables beside images, as Hugging Face's imagefolder has them, say what the images are."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from tests.extract.datasets.folders.conftest import Photos

TEXTS = {
    "metadata.csv": "file_name,label,group\n1.jpg,cat,p\n2.jpg,3.0,\n",
    "metadata.jsonl": '{"file_name": "1.jpg", "label": "cat", "group": "p"}\n\n{"file_name": "2.jpg", "label": 3.0}\n',
}


def rows(dataset: Dataset) -> list[tuple[str, str, str, str]]:
    return list(zip(dataset.paths, dataset.labels, dataset.splits, dataset.groups, strict=True))


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


@pytest.mark.parametrize("name", TEXTS)
def test_labels_and_groups_are_read(photos: Photos, name: str) -> None:
    folder = photos("1.jpg", "2.jpg", "3.jpg")
    write(folder, name, TEXTS[name].replace("3.0", "dog") if name.endswith("csv") else TEXTS[name])
    dataset = open_dataset(folder)
    second = "dog" if name.endswith("csv") else "3"
    assert rows(dataset) == [("1.jpg", "cat", "", "p"), ("2.jpg", second, "", ""), ("3.jpg", "", "", "")]
    assert dataset.notes == [
        f"Labels are those of {name!r}, not the names of folders.",
        f"{name!r} does not list 1 image: it has no label.",
    ]
    assert dataset.skipped == []


def test_a_parquet_table_is_read(photos: Photos) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = photos("1.jpg", "2.jpg")
    parquet.write_table(pyarrow.table({"file_name": ["1.jpg", "2.jpg"], "label": [0, 1]}), folder / "metadata.parquet")
    assert open_dataset(folder).labels == ["0", "1"]


def test_each_split_has_its_own_table(photos: Photos) -> None:
    folder = photos("train/1.jpg", "train/images/2.jpg", "test/3.jpg")
    write(folder, "train/metadata.csv", "file_name,label\n1.jpg,cat\nimages/2.jpg,dog\n")
    write(folder, "test/metadata.jsonl", '{"file_name": "3.jpg", "label": "cat"}\n')
    assert rows(open_dataset(folder)) == [
        ("test/3.jpg", "cat", "test", ""),
        ("train/1.jpg", "cat", "train", ""),
        ("train/images/2.jpg", "dog", "train", ""),
    ]


def test_one_table_above_splits_and_its_own_split_column(photos: Photos) -> None:
    folder = photos("train/1.jpg", "test/2.jpg", "train/3.jpg")
    write(folder, "metadata.csv", "file_name,label,split\ntrain/1.jpg,cat,\ntest/2.jpg,dog,\ntrain/3.jpg,dog,VAL\n")
    assert rows(open_dataset(folder)) == [
        ("test/2.jpg", "dog", "test", ""),
        ("train/1.jpg", "cat", "train", ""),
        ("train/3.jpg", "dog", "validation", ""),
    ]


def test_a_table_of_captions_leaves_labels_to_the_folders(photos: Photos) -> None:
    folder = photos("cat/1.jpg", "dog/2.jpg")
    write(folder, "metadata.csv", "file_name,text\ncat/1.jpg,a grey cat\ndog/2.jpg,a dog\n")
    dataset = open_dataset(folder)
    assert dataset.labels == ["cat", "dog"]
    assert "has no column 'label', so labels are the names of folders" in dataset.notes[0]
    assert open_dataset(folder, label_column="text").labels == ["a grey cat", "a dog"]
    assert not open_dataset(folder, label_column=None).has_labels
    with pytest.raises(UsageError, match="species"):
        open_dataset(folder, label_column="species")


def test_other_tables_of_that_name_are_passed_over_and_said(photos: Photos) -> None:
    folder = photos("cat/1.jpg")
    write(folder, "metadata.jsonl", '{"license": "CC0"}\n')
    dataset = open_dataset(folder)
    assert dataset.labels == ["cat"]
    assert dataset.notes == ["'metadata.jsonl' has no column 'file_name', so it is not read as a table of images."]
    assert open_dataset(folder, exclude="metadata.*").notes == []


def test_rows_without_their_image_are_said(photos: Photos) -> None:
    folder = photos("1.jpg")
    write(folder, "metadata.csv", "file_name,label\n1.jpg,cat\n2.jpg,cat\n../3.jpg,dog\n")
    dataset = open_dataset(folder)
    assert dataset.labels == ["cat"]
    assert "2 rows of 'metadata.csv' name no image of this dataset" in dataset.notes[-1]


def test_names_in_the_other_unicode_form_name_the_file(photos: Photos) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é/ü.jpg") for form in ("NFC", "NFD"))
    for on_disk, in_table, top in ((composed, decomposed, "a"), (decomposed, composed, "b")):
        folder = photos(f"{top}/{on_disk}") / top
        write(folder, "metadata.csv", f"file_name,label\n{in_table},cat\n")
        assert rows(open_dataset(folder)) == [(on_disk, "cat", "", "")]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"metadata.csv": "file_name,label\ncat/1.jpg\n"}, "'metadata.csv' is left out, since labels are not asked"),
        ({"metadata.jsonl": "{"}, "'metadata.jsonl' is left out, since labels are not asked for and it has a fault."),
        ({"metadata.csv": "file_name\n", "metadata.jsonl": "{}"}, "Tables beside images are left out, since labels"),
    ],
)
def test_a_faulty_table_is_left_out_where_labels_are_not_asked_for(
    photos: Photos, tables: dict[str, str], said: str
) -> None:
    folder = photos("cat/1.jpg", "dog/2.jpg")
    for name, text in tables.items():
        (folder / name).write_text(text)
    with pytest.raises(DatasetError):
        open_dataset(folder)
    dataset = open_dataset(folder, label_column=None)
    assert (dataset.n, dataset.labels) == (2, ["", ""])
    assert [note for note in dataset.notes if note.startswith(said)]


def test_two_tables_in_one_folder_are_refused_and_the_way_out_works(photos: Photos) -> None:
    folder = photos("1.jpg")
    for name, text in TEXTS.items():
        write(folder, name, text)
    with pytest.raises(DatasetError, match=r"--exclude \./metadata\.jsonl"):
        open_dataset(folder)
    assert open_dataset(folder, exclude=["./metadata.jsonl"]).labels == ["cat"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"file_name": "1.jpg", "label": "x"}\n{"file_name": \n', "line 2: it is not JSON"),
        ('["1.jpg"]\n', "line 1: found '"),
        ('{"file_name": "1.jpg", "label": [["x"]]}\n', "line 1: 'label' holds a list"),
        ('{"file_name": "1.jpg", "label": "x"}\n{"label": "x"}\n', "line 2: found '' in the column 'file_name'"),
        (
            '{"file_name": "1.jpg", "label": "x"}\n{"file_name": "1.jpg", "label": "y"}\n',
            "line 2 has (label, split, group) ('y', '', '')",
        ),
        ("[" * 100_000, "line 1: it is not JSON"),
    ],
)
def test_a_damaged_line_is_an_error_with_its_number(photos: Photos, text: str, found: str) -> None:
    folder = photos("1.jpg")
    write(folder, "metadata.jsonl", text)
    with pytest.raises(DatasetError) as caught:
        open_dataset(folder)
    assert found in str(caught.value)
    assert str(caught.value).endswith("type --exclude ./metadata.jsonl")
    assert open_dataset(folder, exclude="./metadata.jsonl").n == 1


@pytest.mark.parametrize("missing", ['"NA"', '"None"', "NaN", "null", '""'])
def test_json_lines_mean_what_cells_mean(photos: Photos, missing: str) -> None:
    folder = photos("1.jpg", "2.jpg", "3.jpg")
    lines = [f'{{"file_name": "1.jpg", "species": {missing}}}', '{"file_name": "2.jpg", "species": 1.0}']
    write(folder, "metadata.jsonl", "\n".join([*lines, f'{{"file_name": "{folder.as_uri()}/3.jpg", "species": 2}}']))
    assert open_dataset(folder).labels == ["", "1", "2"]


def test_addresses_in_json_lines_name_no_image_beside_them(photos: Photos) -> None:
    folder = photos("1.jpg")
    write(folder, "metadata.jsonl", '{"file_name": "https://example.org/1.jpg", "label": "x"}')
    dataset = open_dataset(folder)
    assert dataset.labels == [""]
    assert "1 row of 'metadata.jsonl' names no image of this dataset: 'https://example.org/1.jpg'." in dataset.notes


def test_options_of_a_table_are_refused_where_there_is_none(photos: Photos) -> None:
    with pytest.raises(UsageError, match="--label-column kind"):
        open_dataset(photos("cat/1.jpg"), label_column="kind")
