"""`--labels` corrects what a folder says of some of its images; the others stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.listings import message, rows, touch

Table = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return touch(tmp_path / "photos", "train/cat/1.jpg", "train/cat/2.jpg", "train/dog/3.jpg", "test/dog/4.jpg")


def test_a_few_rows_correct_their_images_and_keep_all_others(photos: Path, table: Table) -> None:
    dataset = open_dataset(photos, labels=table("path,label\ntrain/cat/1.jpg,dog\n", "fixes.csv"))
    assert (dataset.name, dataset.root) == ("photos", photos)
    assert rows(dataset) == [
        ("test/dog/4.jpg", "dog", "test", ""),
        ("train/cat/1.jpg", "dog", "train", ""),
        ("train/cat/2.jpg", "cat", "train", ""),
        ("train/dog/3.jpg", "dog", "train", ""),
    ]
    assert dataset.notes == [
        "'fixes.csv' corrects what the folder says of 1 image.",
        "3 images that 'fixes.csv' does not list keep their labels ('dog', 'cat'); --only-listed leaves them out.",
    ]


@pytest.mark.parametrize("written", ["1.jpg", "cat/1.jpg", "train\\cat\\1.jpg", "photos/train/cat/1.jpg"])
def test_paths_need_not_be_exact(photos: Path, table: Table, written: str) -> None:
    dataset = open_dataset(photos, labels=table(f"path,label\n{written},bird\n"))
    assert dict(zip(dataset.paths, dataset.labels, strict=True))["train/cat/1.jpg"] == "bird"
    assert dataset.n == 4


@pytest.mark.parametrize("cell", ["", "NA", "nan"])
def test_an_empty_cell_takes_the_label_away(photos: Path, table: Table, cell: str) -> None:
    dataset = open_dataset(photos, labels=table(f"path,label\ntrain/cat/1.jpg,{cell}\n"))
    assert dataset.labels == ["dog", "", "cat", "dog"]
    assert dataset.splits == ["test", "train", "train", "train"]


def test_splits_and_groups_are_corrected_where_the_table_has_them(photos: Path, table: Table) -> None:
    file = table("path,label,split,group\ntrain/cat/1.jpg,cat,val,g1\ntrain/cat/2.jpg,cat,train,\n")
    dataset = open_dataset(photos, labels=file)
    assert rows(dataset)[1:3] == [
        ("train/cat/1.jpg", "cat", "validation", "g1"),
        ("train/cat/2.jpg", "cat", "train", ""),
    ]
    assert "corrects what the folder says of 1 image; 1 image that it lists had it right." in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("text", "changed", "corrects"),
    [
        ("path,split\ntrain/cat/1.jpg,val\n", ("cat", "validation", ""), "splits"),
        ("path,group\ntrain/cat/1.jpg,7.0\n", ("cat", "train", "7"), "groups"),
        ("path;note;split;group\ntrain/cat/1.jpg;blurred;test;g1\n", ("cat", "test", "g1"), "splits and groups"),
        ("train/cat/1.jpg,val\ntrain/cat/2.jpg,train\n", ("cat", "validation", ""), "splits"),
    ],
)
def test_a_table_without_labels_corrects_the_rest_alone(
    photos: Path, table: Table, text: str, changed: tuple[str, str, str], corrects: str
) -> None:
    dataset = open_dataset(photos, labels=table(text))
    assert rows(dataset)[1] == ("train/cat/1.jpg", *changed)
    assert dataset.labels == ["dog", "cat", "cat", "dog"]
    assert dataset.notes[-1] == (
        f"'list.csv' has no column of labels, so it corrects {corrects} alone. If another column holds the labels, "
        "type --label-column NAME."
    )


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("path\ntrain/cat/1.jpg\n", {}),
        ("path,class,species,split\ntrain/cat/1.jpg,a,b,val\n", {}),
        ("path,split\ntrain/cat/1.jpg,val\n", {"label_column": "kind"}),
        ("path,split\ntrain/cat/1.jpg,val\n", {"only_listed": True}),
    ],
)
def test_a_table_that_may_mean_labels_is_refused_without_them(
    photos: Path, table: Table, text: str, options: dict[str, object]
) -> None:
    assert "--label-column" in message(UsageError, data=photos, labels=table(text), **options)


def test_rows_that_name_no_image_are_counted(photos: Path, table: Table) -> None:
    file = table("path,label\ntrain/cat/1.jpg,dog\nx.jpg,dog\ny.jpg,cat\n", images=())
    dataset = open_dataset(photos, labels=file)
    assert dataset.n == 4
    assert "2 rows of 'list.csv' name no image, such as 'x.jpg'." in dataset.notes


def test_no_row_that_names_an_image_is_an_error(photos: Path, table: Table) -> None:
    file = table("path,label\nx.jpg,dog\ny.jpg,cat\n", images=())
    assert "Not one image" in message(DatasetError, data=photos, labels=file)
    assert "Not one image" in message(DatasetError, data=photos, labels=file, only_listed=True)


def test_images_beside_the_folder_are_added(photos: Path, table: Table) -> None:
    file = table(f"path,label\n{photos.parent / 'a.jpg'},dog\ntrain/dog/3.jpg,dog\n")
    dataset = open_dataset(photos, labels=file)
    assert (str(photos.parent / "a.jpg"), "dog", "", "") in rows(dataset)
    assert dataset.n == 5
    assert "'list.csv' adds 1 image that the folder's own listing does not have." in dataset.notes


def test_a_flat_folder_takes_all_its_labels_from_the_table(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "flat", "a.jpg", "b.jpg", "c.jpg")
    file = table("path,label\na.jpg,cat\nb.jpg,dog\n")
    dataset = open_dataset(folder, labels=file)
    assert dataset.labels == ["cat", "dog", ""]
    assert "1 image that 'list.csv' does not list has no label; --only-listed leaves it out." in dataset.notes


def test_labels_of_another_kind_than_the_tables_are_pointed_out(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "flat", "000/a.jpg", "000/b.jpg", "001/c.jpg")
    dataset = open_dataset(folder, labels=table("path,label\n000/a.jpg,cat\n000/b.jpg,dog\n"))
    assert dataset.labels == ["cat", "dog", "001"]
    assert dataset.notes[-1].endswith("('001'); --only-listed leaves it out. The table has no such label.")


def test_only_what_is_listed_when_asked_for(photos: Path, table: Table) -> None:
    file = table("path,label\ntrain/dog/3.jpg,hat\ntrain/cat/1.jpg,dress\n")
    dataset = open_dataset(photos, labels=file, only_listed=True)
    assert (dataset.name, dataset.root) == ("photos", photos)
    assert rows(dataset) == [("train/cat/1.jpg", "dress", "", ""), ("train/dog/3.jpg", "hat", "", "")]


def test_a_folder_that_cannot_be_read_alone_is_left_to_the_table(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "doubtful", "train/dress/a.jpg", "test/dress/b.jpg", "extra/c.jpg")
    file = table("path,label\nextra/c.jpg,hat\ntrain/dress/a.jpg,dress\n")
    assert "add --only-listed" in message(DatasetError, data=folder, labels=file)
    assert open_dataset(folder, labels=file, only_listed=True).labels == ["hat", "dress"]


def test_without_labels_all_images_are_there(photos: Path, table: Table) -> None:
    file = table("path,split\ntrain/cat/1.jpg,val\n")
    dataset = open_dataset(photos, labels=file, label_column=None)
    assert (dataset.labels, dataset.splits) == ([""] * 4, ["test", "validation", "train", "train"])


def test_a_cub_tree_is_corrected_too(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "CUB_200_2011", "images/001.Crow/a.jpg", "images/001.Crow/b.jpg")
    (folder / "images.txt").write_text("1 001.Crow/a.jpg\n2 001.Crow/b.jpg\n")
    (folder / "image_class_labels.txt").write_text("1 1\n2 1\n")
    (folder / "train_test_split.txt").write_text("1 0\n2 1\n")
    (folder / "classes.txt").write_text("1 001.Crow\n")
    dataset = open_dataset(folder, labels=table("path,label\nimages/001.Crow/a.jpg,raven\n"))
    assert (dataset.labels, dataset.splits) == (["raven", "001.Crow"], ["test", "train"])


@pytest.mark.parametrize("pattern", ["elsewhere", "x.jpg", "*.jpg"])
def test_images_outside_the_folder_are_left_out_too(photos: Path, table: Table, tmp_path: Path, pattern: str) -> None:
    touch(photos, "train/owl/5.png")
    outside = touch(tmp_path / "elsewhere", "x.jpg") / "x.jpg"
    dataset = open_dataset(photos, labels=table(f"path,label\n{outside},owl\n"), exclude=pattern)
    assert str(outside) not in dataset.paths
    assert "--exclude leaves out 1 image that 'list.csv' lists." in dataset.notes
    assert not any("adds" in note for note in dataset.notes)


@pytest.mark.parametrize("pattern", ["cat", "train/cat", "[12].jpg"])
def test_a_table_brings_back_nothing_that_is_left_out(photos: Path, table: Table, pattern: str) -> None:
    file = table("path,label\ntrain/cat/1.jpg,dog\ntrain/dog/3.jpg,cat\n")
    dataset = open_dataset(photos, labels=file, exclude=pattern)
    assert dataset.paths == ["test/dog/4.jpg", "train/dog/3.jpg"]
    assert "'list.csv' corrects what the folder says of 1 image." in dataset.notes
    assert not any("adds" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("patterns", "left_out", "others"),
    [
        (["cat", "dog/3.jpg", "./train/dog"], "all 2 images", 1),
        (["train"], "all 2 images", 1),
        (["1.jpg"], "1 image", 3),
    ],
)
def test_rows_that_are_left_out_are_said_and_nothing_else_of_them(
    photos: Path, table: Table, patterns: list[str], left_out: str, others: int
) -> None:
    file = table("path,label\ntrain/cat/1.jpg,owl\ntrain/dog/3.jpg,owl\n")
    dataset = open_dataset(photos, labels=file, exclude=patterns)
    assert f"--exclude leaves out {left_out} that 'list.csv' lists." in dataset.notes
    is_empty = left_out.startswith("all")
    assert ("'list.csv' corrects nothing that the folder says." in dataset.notes) is is_empty
    assert any("does not list" in note for note in dataset.notes) is not is_empty
    assert dataset.n == others


def test_advice_repeats_how_the_table_is_read(photos: Path, table: Table, tmp_path: Path) -> None:
    file = table("bild;art\nx/1.jpg;cat\n", "a list.csv", images=())
    columns = {"path_column": "bild", "label_column": "art", "encoding": "cp1252"}
    words = "--path-column bild --label-column art --encoding cp1252"
    only = f"'{file}' --only-listed {words}"
    assert f"FOLDER --labels {only}." in message(DatasetError, data=file, **columns)
    assert f"FOLDER --labels '{file}' {words}." in message(DatasetError, data=photos, labels=file, **columns)
    image = photos / "train/cat/1.jpg"
    text = message(UsageError, data=image, labels=file, **columns)
    assert f"Type: stackbone extract {image.parent} --labels '{file}' {words}" in text


def test_a_table_without_labels_says_nothing_of_labels(photos: Path, table: Table) -> None:
    dataset = open_dataset(photos, labels=table("path,group\ntrain/cat/1.jpg,g1\n"), label_column=None)
    assert (
        dataset.notes[-1] == "3 images that 'list.csv' does not list stay as they are; --only-listed leaves them out."
    )


def test_accents_are_written_in_one_way_as_folders_are(tmp_path: Path, table: Table) -> None:
    folder = touch(tmp_path / "photos", "Cafe\u0301/1.jpg", "dog/2.jpg", "dog/3.jpg")
    dataset = open_dataset(folder, labels=table("path,label\ndog/2.jpg,Cafe\u0301\ndog/3.jpg,Caf\u00e9\n"))
    assert set(dataset.labels) == {"Caf\u00e9"}
