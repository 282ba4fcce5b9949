"""Several tables of images: configurations of one dataset, classes that disagree, and what lies beside them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.records.indexes.listed import Skipped
from stackbone.extract.datasets.columns import cells
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.kind import KINDS
from tests.made.listings import message, touch
from tests.made.tables_of_images import CLASSES, photo, schema, table, write_arrow, write_parquet

pyarrow = pytest.importorskip("pyarrow")


def plain_table(labels: list[Any], name: str = "label") -> dict[str, object]:
    return {"image": [{"bytes": photo(n), "path": None} for n in range(len(labels))], name: labels}


# --- configurations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["{}/{}-00000-of-00001.parquet", "{}/{}/0000.parquet", "data/{}/{}.parquet", "{}/x-{}.parquet"]
)
def test_configurations_are_not_joined(tmp_path: Path, form: str) -> None:
    for number, (name, split) in enumerate((n, s) for n in ("plain", "augmented") for s in ("train", "test")):
        write_parquet(tmp_path / "hub" / form.format(name, split), table([number]))
    above = "data/" if form.startswith("data") else ""
    text = message(UsageError, data=tmp_path / "hub")
    assert text.startswith(
        f"'{above}augmented' and '{above}plain' in {str(tmp_path / 'hub')!r} each hold the split 'test'"
    )
    assert f"Type its folder, such as {tmp_path / 'hub' / above}" in text
    assert open_dataset(tmp_path / "hub" / above / "plain").splits == ["test", "train"]
    assert open_dataset(tmp_path / "hub", exclude="augmented").n == 2
    assert open_dataset(sorted((tmp_path / "hub").rglob("*.parquet"))).n == 4, "named one by one, they are joined"


@pytest.mark.parametrize(
    "files",
    [
        ["default/train/0.parquet", "default/test/0.parquet"],
        ["train/a/0.parquet", "train/b/0.parquet", "test/a/0.parquet"],
        ["train/0.parquet", "train/1.parquet", "val2/0.parquet", "val/0.parquet"],
        ["north/0.parquet", "south/0.parquet"],
    ],
)
def test_folders_of_splits_are_no_configurations(tmp_path: Path, files: list[str]) -> None:
    for number, name in enumerate(files):
        write_parquet(tmp_path / "d" / name, table([number]))
    assert open_dataset(tmp_path / "d").n == len(files)


# --- classes that disagree ---------------------------------------------------------------------------------


def test_names_and_bare_numbers_of_classes_are_not_mixed(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/a-00000-of-00002.parquet", table([0, 1]))
    write_parquet(tmp_path / "d/a-00001-of-00002.parquet", plain_table([0, 1]))
    text = message(DatasetError, data=tmp_path / "d")
    assert "'a-00000-of-00002.parquet' says which classes the numbers in its column 'label' are" in text
    assert text.endswith("--exclude ./a-00001-of-00002.parquet")
    assert open_dataset(tmp_path / "d", exclude="./a-00001-of-00002.parquet").labels == ["cat", "dog"]


def test_names_as_text_beside_numbers_with_names_are_the_same_classes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/a-00000-of-00002.parquet", table([0, 1]))
    write_parquet(tmp_path / "d/a-00001-of-00002.parquet", plain_table(["owl", "cat"]))
    assert open_dataset(tmp_path / "d").labels == ["cat", "dog", "owl", "cat"]


def test_each_table_names_its_own_numbers(tmp_path: Path) -> None:
    rows = [{"image": None, "label": 0}, {"image": None, "label": 1}]
    for number, names in enumerate((CLASSES, CLASSES[::-1])):
        content = pyarrow.Table.from_pylist(rows, schema=schema(names=names))
        write_parquet(tmp_path / f"d/a-{number:05}-of-00002.parquet", content)
    dataset = open_dataset(tmp_path / "d")
    assert dataset.labels == ["cat", "dog", "owl", "dog"]
    assert list(dataset.notes) == [
        "The tables list different classes for the column 'label'; the numbers of each are named by its own list."
    ]


def test_another_column_that_mixes_names_and_numbers_is_not_kept(tmp_path: Path) -> None:
    features = {"camera": {"_type": "ClassLabel", "names": ["left", "right"]}}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    content = pyarrow.table(plain_table(["x"])).append_column("camera", pyarrow.array([1]))
    write_parquet(tmp_path / "d/a-00000-of-00002.parquet", content.replace_schema_metadata(told))
    write_parquet(tmp_path / "d/a-00001-of-00002.parquet", content)
    dataset = open_dataset(tmp_path / "d", label_column="label")
    assert (dataset.labels, dataset.columns) == (["x", "x"], {})
    assert "Not kept: 'camera', names of classes in some tables and numbers without names in others." in dataset.notes


def test_further_cells_of_all_tables_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_FURTHER", 5)
    for number in range(2):
        content = plain_table(["x", "y"]) | {"one": ["a", "b"], "two": ["c", "d"]}
        write_parquet(tmp_path / f"d/a-{number:05}-of-00002.parquet", content)
    assert open_dataset(tmp_path / "d").columns == {"one": ["a", "b", "a", "b"]}


# --- what lies beside --------------------------------------------------------------------------------------


def test_archives_videos_and_tables_beside_are_counted(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d/c.parquet", plain_table(["x"]))
    touch(
        tmp_path / "d", "b.mp4", "labels.csv", "README.md", ".hidden.zip", "deep/e.tar", "cache-01.arrow", "Thumbs.db"
    )
    write_arrow(tmp_path / "d/c.arrow", table([0]))
    with zipfile.ZipFile(tmp_path / "d/a.zip", "w") as archive:
        archive.writestr("cat/1.png", photo(1))
    assert sorted(open_dataset(tmp_path / "d").skipped, key=lambda each: each.sort) == [
        Skipped(".arrow", "a table; name it by itself", 1, "c.arrow"),
        Skipped(".csv", "a table; name it by itself", 1, "labels.csv"),
        Skipped(".md", "not an image", 1, "README.md"),
        Skipped(".mp4", "a video; name it by itself", 1, "b.mp4"),
        Skipped(".tar", "a tar archive; name it by itself", 1, "deep/e.tar"),
        Skipped(".zip", "a zip archive; name it by itself", 1, "a.zip"),
    ]
    assert open_dataset(tmp_path / "d", exclude=["*.md", "*.arrow", "*.csv", "*.mp4", "deep", "*.zip"]).skipped == []


def test_what_lies_beside_is_counted_behind_urls_as_well(tmp_path: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    content = write_parquet(tmp_path / "c.parquet", plain_table(["x"])).read_bytes()
    for name in ("c.parquet", "b.mp4", "cache-01.arrow", "metadata.csv"):
        files.pipe_file(f"/beside/{name}", content)
    skipped = open_dataset("memory://beside").skipped
    assert sorted((each.sort, each.example) for each in skipped) == [(".csv", "metadata.csv"), (".mp4", "b.mp4")]


def test_no_two_kinds_have_one_place() -> None:
    places = [kind.place for kind in KINDS.values()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("names", [["v.mp4", "a.zip"], ["a.png", "v.mp4"], ["t.arrow", "v.mp4"], ["a.tar", "a.png"]])
def test_a_list_of_several_sorts_is_told_as_one(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path, *names)
    text = message(UsageError, data=[tmp_path / name for name in names])
    assert text.startswith("The list holds files of several sorts, such as ")
    assert "Name them in several commands, each with --dataset NAME." in text
