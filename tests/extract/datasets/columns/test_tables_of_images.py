"""Datasets of Parquet and Arrow files that hold images, and of folders as Hugging Face's library and hub have them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.disk import digest
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.labels.sets import SETS, split_names
from stackbone.extract.containers.reading import read_image
from stackbone.extract.datasets.columns import listing
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.indexing import make_index
from tests.made.listings import message, rows, touch
from tests.made.tables_of_images import CLASSES, photo, save_to_disk, schema, table, write_arrow, write_parquet

pyarrow = pytest.importorskip("pyarrow")


def digest_of(number: int) -> bytes:
    return hashlib.sha256(photo(number)).digest()


# --- one file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "write"), [("birds.parquet", write_parquet), ("birds.arrow", write_arrow)])
def test_rows_are_images_with_the_names_of_their_classes(tmp_path: Path, name: str, write: Callable[..., Path]) -> None:
    dataset = open_dataset(write(tmp_path / name, table(range(5))))
    assert (dataset.name, dataset.root) == ("birds", tmp_path)
    assert rows(dataset) == [(f"{name}/{row:09}", CLASSES[row % 3], "", "") for row in range(5)]
    assert dataset.notes == []


@pytest.mark.parametrize(("name", "write"), [("birds.parquet", write_parquet), ("birds.arrow", write_arrow)])
def test_an_image_is_the_same_in_a_table_and_in_a_folder(tmp_path: Path, name: str, write: Callable[..., Path]) -> None:
    file = write(tmp_path / name, table(range(9)))
    made = make_index(open_dataset(file), FeatureStore(tmp_path / "cache"), retry_failed=False, report=lambda *_: None)
    assert [digest.tobytes() for digest in made.index.image_sha256] == [digest_of(row) for row in range(9)]
    assert read_image(f"{file}/000000007", digest_of(7)) == photo(7)


def test_bytes_by_themselves_are_images(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", {"jpg": [photo(1, "JPEG"), None], "label": ["a", "b"]})
    assert rows(open_dataset(file)) == [("t.parquet/000000000", "a", "", ""), ("t.parquet/000000001", "b", "", "")]


def test_other_columns_are_kept_and_their_classes_named(tmp_path: Path) -> None:
    content = table(range(3)).append_column("camera", pyarrow.array(["x", "y", None]))
    content = content.append_column("split", pyarrow.array(["Train", "val", None]))
    content = content.append_column("patient", pyarrow.array([1.0, 2.0, None]))
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", content), group_column="patient")
    assert dataset.splits == ["train", "validation", ""]
    assert dataset.groups == ["1", "2", ""]
    assert dataset.columns == {"camera": ["x", "y", ""]}


def test_lists_of_classes_are_sets_of_labels(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "labels": {"_type": "List", "feature": {"_type": "ClassLabel"}}}
    features["labels"]["feature"]["names"] = list(CLASSES)  # type: ignore[index]
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    form = pyarrow.schema([("image", pyarrow.binary()), ("labels", pyarrow.list_(pyarrow.int64()))], metadata=told)
    content = pyarrow.Table.from_pydict({"image": [photo(1), photo(2), photo(3)], "labels": [[2, 0], [], None]}, form)
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", content))
    assert dataset.label_form == SETS
    assert [split_names(label) for label in dataset.labels[:2]] == [["cat", "owl"], []]
    assert dataset.labels[2] == ""


def test_a_class_of_minus_one_is_no_label(tmp_path: Path) -> None:
    content = pyarrow.Table.from_pydict({"image": [None] * 3, "label": [-1, 0, -1]}, schema())
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", content))
    assert dataset.labels == ["", "cat", ""]
    assert list(dataset.notes) == ["2 images of class -1 in 't.parquet', which means no label."]


def test_a_class_named_none_is_a_class(tmp_path: Path) -> None:
    content = pyarrow.Table.from_pydict({"image": [None] * 2, "label": [0, 1]}, schema(names=["None", "NA"]))
    assert open_dataset(write_parquet(tmp_path / "t.parquet", content)).labels == ["None", "NA"]


def test_without_labels_images_have_none_and_a_note_says_so(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", {"image": [photo(1)], "caption": ["a cat"]})
    dataset = open_dataset(file)
    assert dataset.labels == [""]
    assert dataset.columns == {"caption": ["a cat"]}
    assert "--label-column NAME" in dataset.notes[0]
    assert open_dataset(file, label_column="caption").labels == ["a cat"]
    assert open_dataset(file, label_column=None).notes == []


def test_the_one_column_of_classes_is_the_label(tmp_path: Path) -> None:
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", table(range(3), label="food")))
    assert dataset.labels == list(CLASSES)
    assert list(dataset.notes) == ["The column 'food' of 't.parquet' was taken for the label: it holds classes."]


def test_a_table_of_paths_stays_what_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    columns: dict[str, Any] = {"path": ["a.jpg", "b.jpg"], "label": ["x", "y"], "thumbnail": [photo(1), photo(2)]}
    file = write_parquet(tmp_path / "t.parquet", columns)
    assert rows(open_dataset(file)) == [("a.jpg", "x", "", ""), ("b.jpg", "y", "", "")]
    named = open_dataset(file, image_column="thumbnail")
    assert named.paths == ["t.parquet/000000000", "t.parquet/000000001"]
    assert list(named.asked) == [str(file), "--image-column", "thumbnail"]


def test_paths_that_lead_nowhere_beside_images_say_where_these_came_from(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"path": ["gone/a.jpg"], "label": ["x"], "image": [photo(1)]}
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", columns))
    assert rows(dataset) == [("t.parquet/000000000", "x", "", "")]
    assert dataset.columns == {"path": ["gone/a.jpg"]}


def test_one_row_is_an_image_by_its_path(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "t.parquet", table(range(4)))
    assert rows(open_dataset(f"{file}/000000002")) == [("t.parquet/000000002", "", "", "")]
    both = open_dataset([f"{file}/000000002", f"{file}/000000003"])
    assert both.paths == ["t.parquet/000000002", "t.parquet/000000003"]


# --- which column ------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "t.parquet", {"left": [photo(1)], "right": [photo(2)], "label": ["x"]})


def test_of_two_columns_of_images_one_has_to_be_named(pairs: Path) -> None:
    text = message(UsageError, data=pairs)
    assert "2 columns of " in text
    assert "'left', 'right'" in text
    assert "Type --image-column left" in text


def test_the_column_that_is_named_is_in_the_paths(pairs: Path, tmp_path: Path) -> None:
    dataset = open_dataset(pairs, image_column="right")
    assert dataset.paths == ["t.parquet/right/000000000"]
    made = make_index(dataset, FeatureStore(tmp_path / "cache"), retry_failed=False, report=lambda *_: None)
    assert made.index.image_sha256[0].tobytes() == digest_of(2)


def test_a_slip_in_its_name_is_told(pairs: Path) -> None:
    text = message(UsageError, data=pairs, image_column="rihgt")
    assert "has no such column" in text
    assert "The nearest is 'right'." in text


def test_a_column_of_another_type_is_refused(pairs: Path) -> None:
    text = message(DatasetError, data=pairs, image_column="label")
    assert "The column 'label' of " in text
    assert "holds string" in text
    assert "Type --image-column left" in text


def test_images_that_are_named_and_not_there_are_refused(tmp_path: Path) -> None:
    content = pyarrow.Table.from_pylist(
        [{"image": {"bytes": None, "path": "/home/a/1.jpg"}, "label": 0}] * 3, schema=schema()
    )
    text = message(DatasetError, data=write_parquet(tmp_path / "t.parquet", content))
    assert "names the files of its images, such as '/home/a/1.jpg'" in text
    assert "--path-column" in text


def test_the_option_is_refused_where_it_means_nothing(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "a/x.jpg")
    text = message(UsageError, data=folder, image_column="image")
    assert text.startswith("--image-column image goes with tables that hold images. Found a folder of class folders. ")


@pytest.mark.parametrize(
    "option", [{"path_column": "label"}, {"suffix": ".jpg"}, {"encoding": "cp1251"}], ids=lambda each: next(iter(each))
)
def test_options_of_tables_of_paths_are_refused(tmp_path: Path, option: dict[str, str]) -> None:
    file = write_arrow(tmp_path / "t.arrow", table(range(2)))
    assert "these tables hold the images themselves" in message(UsageError, data=file, **option)


# --- classes that are wrong ----------------------------------------------------------------------------------


def test_a_number_without_a_class_is_refused_with_its_row(tmp_path: Path) -> None:
    content = pyarrow.Table.from_pydict({"image": [None] * 2, "label": [0, 7]}, schema())
    text = message(DatasetError, data=write_parquet(tmp_path / "t.parquet", content))
    assert "Class 7 in the column 'label' of " in text
    assert "row 2, has no name. Expected a number from 0 to 2, or -1 for none" in text


def test_several_columns_of_classes_are_asked_for(tmp_path: Path) -> None:
    features = {name: {"_type": "ClassLabel", "names": list(CLASSES)} for name in ("fine", "coarse")}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    fields = [("image", pyarrow.binary()), ("fine", pyarrow.int64()), ("coarse", pyarrow.int64())]
    content = pyarrow.Table.from_pydict(
        {"image": [photo(1)], "fine": [1], "coarse": [2]}, pyarrow.schema(fields, metadata=told)
    )
    file = write_parquet(tmp_path / "t.parquet", content)
    assert "Type --label-column fine" in message(UsageError, data=file)
    dataset = open_dataset(file, label_column="coarse")
    assert (dataset.labels, dataset.columns) == (["owl"], {"fine": ["dog"]})


# --- folders -----------------------------------------------------------------------------------------------


def test_shards_of_the_hub_have_the_splits_of_their_names(tmp_path: Path) -> None:
    hub = tmp_path / "birds"
    touch(hub, "README.md", ".gitattributes")
    write_parquet(hub / "data/train-00000-of-00002.parquet", table([0, 1]))
    write_parquet(hub / "data/train-00001-of-00002.parquet", table([2]))
    write_parquet(hub / "data/test-00000-of-00001.parquet", table([3]))
    dataset = open_dataset(hub)
    assert (dataset.name, dataset.root) == ("birds", hub)
    assert rows(dataset) == [
        ("data/test-00000-of-00001.parquet/000000000", "cat", "test", ""),
        ("data/train-00000-of-00002.parquet/000000000", "cat", "train", ""),
        ("data/train-00000-of-00002.parquet/000000001", "dog", "train", ""),
        ("data/train-00001-of-00002.parquet/000000000", "owl", "train", ""),
    ]
    assert dataset.notes == []


def test_a_shard_that_is_missing_is_told(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/train-00001-of-00003.parquet", table([0, 1]))
    write_parquet(tmp_path / "d/val-00000-of-00001.parquet", table([2]))
    dataset = open_dataset(tmp_path / "d")
    assert dataset.splits == ["train", "train", "validation"]
    assert list(dataset.notes) == [
        "'val' is the split 'validation'.",
        "2 of the 3 shards of 'train' are not there, such as 'train-00000-of-00003'.",
    ]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["default/train/0000.parquet", "default/test/0000.parquet"], ["test", "train"]),
        (["train.parquet", "validation.parquet"], ["train", "validation"]),
        (["cifar-train.parquet", "cifar-test.parquet"], ["test", "train"]),
        (["photos-00000-of-00002.parquet", "photos-00001-of-00002.parquet"], ["", ""]),
        (["train-00000-of-00001-0a1b2c3d4e5f.parquet", "extra-00000-of-00001.parquet"], ["extra", "train"]),
        (["train/0.parquet", "unsupervised/0.parquet"], ["train", ""]),
    ],
)
def test_splits_are_those_of_files_or_folders(tmp_path: Path, files: list[str], splits: list[str]) -> None:
    for number, name in enumerate(files):
        write_parquet(tmp_path / "d" / name, table([number]))
    assert open_dataset(tmp_path / "d").splits == splits


def test_what_the_library_saved_is_read_with_its_splits(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    save_to_disk(saved / "train", table(range(6)), n_files=2)
    save_to_disk(saved / "test", table([6]))
    touch(saved / "train", "cache-0123.arrow")
    (saved / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    dataset = open_dataset(saved)
    assert dataset.splits == ["test", *["train"] * 6]
    assert dataset.labels == ["cat", "cat", "dog", "owl", "cat", "dog", "owl"]
    assert dataset.paths[:2] == [
        "test/data-00000-of-00001.arrow/000000000",
        "train/data-00000-of-00002.arrow/000000000",
    ]
    single = open_dataset(saved / "train")
    assert (single.n, single.name, set(single.splits)) == (6, "train", {""})


def test_what_the_library_saved_and_lacks_a_file_is_refused(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "s", table(range(6)), n_files=2)
    (tmp_path / "s/data-00001-of-00002.arrow").unlink()
    text = message(DatasetError, data=tmp_path / "s")
    assert "it names the file 'data-00001-of-00002.arrow', and that is not there" in text


@pytest.mark.parametrize("name", ["../other.arrow", "/etc/passwd", "..", "a\\b"])
def test_a_state_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = save_to_disk(tmp_path / "s", table([0]))
    write_arrow(tmp_path / "other.arrow", table([1]))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    assert "and that is not there" in message(DatasetError, data=folder)


@pytest.mark.parametrize("state", ["{", "[]", '{"_data_files": 3}', '{"_data_files": [3]}'])
def test_a_damaged_state_is_refused(tmp_path: Path, state: str) -> None:
    folder = save_to_disk(tmp_path / "s", table([0]))
    (folder / "state.json").write_text(state)
    assert "Cannot use " in message(DatasetError, data=folder)


def test_a_choice_of_rows_that_is_kept_beside_them_is_refused(tmp_path: Path) -> None:
    folder = save_to_disk(tmp_path / "s", table([0]))
    (folder / "state.json").write_text(json.dumps({"_data_files": [], "_indices_data_files": [{"filename": "i"}]}))
    assert "flatten_indices()" in message(DatasetError, data=folder)


def test_a_folder_of_images_with_a_table_beside_stays_one(tmp_path: Path) -> None:
    touch(tmp_path / "d", "cat/a.jpg", "dog/b.jpg")
    write_parquet(tmp_path / "d/cat/thumbnails.parquet", table(range(9)))
    assert open_dataset(tmp_path / "d").paths == ["cat/a.jpg", "dog/b.jpg"]


def test_a_picture_beside_shards_is_left_out_and_told(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/train-00000-of-00001.parquet", table(range(4)))
    touch(tmp_path / "d", "example.png")
    dataset = open_dataset(tmp_path / "d")
    assert dataset.n == 4
    assert list(dataset.notes) == ["1 image file beside the tables is not taken."]


def test_several_files_are_one_dataset(tmp_path: Path) -> None:
    files = [write_parquet(tmp_path / f"{name}.parquet", table([n])) for n, name in enumerate(("train", "test"))]
    dataset = open_dataset(files)
    assert (dataset.n, dataset.splits) == (2, ["test", "train"])


def test_files_without_a_column_that_others_have_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/a-00000-of-00002.parquet", table([0]))
    write_parquet(tmp_path / "d/a-00001-of-00002.parquet", {"image": [photo(1)]})
    text = message(DatasetError, data=tmp_path / "d")
    assert "'a-00001-of-00002.parquet' has no column for the label" in text
    assert open_dataset(tmp_path / "d", exclude="./a-00001-of-00002.parquet").n == 1


# --- damaged files -----------------------------------------------------------------------------------------


def test_a_shard_that_is_cut_short_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "d/train-00000-of-00002.parquet", table([0, 1]))
    (tmp_path / "d/train-00001-of-00002.parquet").write_bytes(good.read_bytes()[:-7])
    text = message(DatasetError, data=tmp_path / "d")
    assert "train-00001-of-00002.parquet' is not a complete Parquet file" in text
    assert text.endswith("--exclude ./train-00001-of-00002.parquet")
    assert open_dataset(tmp_path / "d", exclude="./train-00001-of-00002.parquet").n == 2


def test_a_single_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    whole = write_arrow(tmp_path / "t.arrow", table(range(4))).read_bytes()
    (tmp_path / "t.arrow").write_bytes(whole[:500])
    assert "is not a complete Arrow file" in message(DatasetError, data=tmp_path / "t.arrow")


def test_a_pointer_of_git_lfs_is_known_for_what_it_is(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/data/a-00000-of-00002.parquet", table([0]))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    (tmp_path / "d/data/a-00001-of-00002.parquet").write_bytes(pointer)
    assert "git lfs pull" in message(DatasetError, data=tmp_path / "d")


def test_a_table_without_rows_has_no_images(tmp_path: Path) -> None:
    file = write_arrow(tmp_path / "t.arrow", table([]))
    assert message(DatasetError, data=file).startswith("No images: ")


@pytest.mark.parametrize("files", [["a.parquet"], ["a-00000-of-00002.parquet", "a-00001-of-00002.parquet"]])
def test_more_rows_than_can_be_kept_are_refused_before_any_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str]
) -> None:
    monkeypatch.setattr(listing, "MOST_ROWS", 6)
    monkeypatch.setattr(listing, "member_name", lambda *_: pytest.fail("a path was made")) if len(files) == 1 else None
    for name in files:
        write_parquet(tmp_path / "d" / name, {"image": [photo(1), *[None] * (8 // len(files) - 1)]})
    text = message(DatasetError, data=tmp_path / "d")
    assert f"{files[-1]!r} has 8 rows{', with those before it' if len(files) > 1 else ''}." in text.replace(
        str(tmp_path / "d") + "/", ""
    )


def test_empty_and_odd_cells_fail_by_themselves(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"image": [photo(1), None, b"no image", photo(2)], "label": list("abab")}
    dataset = open_dataset(write_parquet(tmp_path / "t.parquet", columns))
    made = make_index(dataset, FeatureStore(tmp_path / "cache"), retry_failed=False, report=lambda *_: None)
    assert made.index.reason == ["", "is an empty cell", "", ""]


def test_a_second_run_hashes_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_RACY_NS", 0)  # the file was written just now
    file = write_parquet(tmp_path / "t.parquet", table(range(6)))
    store = FeatureStore(tmp_path / "cache")
    first = make_index(open_dataset(file), store, retry_failed=False, report=lambda *_: None)
    store.write_dataset(first.index)
    again = make_index(open_dataset(file), store, retry_failed=False, report=lambda *_: None)
    assert (first.n_hashed, again.n_hashed) == (6, 0)
    assert (again.index.image_sha256 == first.index.image_sha256).all()
