"""Images are found where they obviously are, and where they are not, one error says so."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.tables import elsewhere, places
from tests.made.listings import message, touch

Table = Callable[..., Path]


def found(file: Path) -> dict[str, str]:
    """Return what was taken, by label."""
    dataset = open_dataset(file)
    assert all((dataset.root / path).is_file() for path in dataset.paths)
    assert len(dataset.notes) == 1
    assert "not exactly" in dataset.notes[0]
    return dict(zip(dataset.labels, dataset.paths, strict=True))


def listing(paths: dict[str, str]) -> str:
    return "path,label\n" + "".join(f'"{path}",{label}\n' for label, path in paths.items())


@pytest.mark.parametrize(
    ("written", "lies"),
    [
        ("images\\a.jpg", "images/a.jpg"),
        ("C:\\Users\\me\\images\\a.jpg", "images/a.jpg"),
        ("D:/images/a.jpg", "images/a.jpg"),
        ("\\\\server\\share\\a.jpg", "a.jpg"),
        (" a.jpg", "a.jpg"),
        ("images/a.jpg\t", "images/a.jpg"),
        ("/images/a.jpg", "images/a.jpg"),
        ("/home/somebody/else/images/a.jpg", "images/a.jpg"),
        ("~/of somebody else/a.jpg", "deep/a.jpg"),
        ("a", "a.jpg"),
        ("a", "train/cat/a.PNG"),
        ("a.v2", "a.v2.png"),
        ("IMG.JPG", "img.jpg"),
        ("Images/a.jpg", "images/a.jpg"),
        ("a.jpg", "images/a.jpg"),
        ("a.jpg", "train/cat/a.jpg"),
        ("cat/a.jpg", "images/cat/a.jpg"),
        ("train/a.jpg", "train/cat/a.jpg"),
        ("photos/cat/a.jpg", "cat/a.jpg"),
        ("photos/a.jpg", "a.jpg"),  # from the folder above, in which the table's folder is `photos`
        ("data/cat/a.jpg", "unpacked/cat/a.jpg"),
    ],
)
def test_a_file_is_found_where_it_obviously_is(tmp_path: Path, written: str, lies: str) -> None:
    others = (".hidden/a.jpg", "@eaDir/a.jpg", "$RECYCLE.BIN/images/a.jpg", "lost+found/cat/a.jpg")
    folder = touch(tmp_path / "photos", lies, "other/z.jpg", *others)
    (folder / "l.csv").write_text(listing({"x": written}))
    assert found(folder / "l.csv") == {"x": lies}


@pytest.mark.parametrize("beside", ["images", "imgs", "JPEGImages"])
def test_a_table_in_a_folder_beside_that_of_the_images(tmp_path: Path, beside: str) -> None:
    file = touch(tmp_path / "lists", "readme.txt") / "l.csv"
    touch(tmp_path / beside, "a.jpg", "cat/b.jpg")
    for written in ({"x": "a.jpg", "y": "b.jpg"}, {"x": f"{beside}/a.jpg", "y": f"{beside}/cat/b.jpg"}):
        file.write_text(listing(written))
        assert found(file) == {"x": f"{tmp_path}/{beside}/a.jpg", "y": f"{tmp_path}/{beside}/cat/b.jpg"}


@pytest.mark.parametrize(
    "address", ["file://{}/my%20dog.jpg", "FILE://{}/my dog.jpg", " file://localhost{}/my dog.jpg"]
)
def test_addresses_of_files_are_paths(table: Table, tmp_path: Path, address: str) -> None:
    file = table(listing({"x": address.format(tmp_path)}), images=("my dog.jpg",))
    assert open_dataset(file).paths == ["my dog.jpg"]


def test_what_the_folders_above_are_called_says_nothing_of_splits(tmp_path: Path) -> None:
    file = touch(tmp_path / "test", "lists/x.txt", "images/a.jpg", "images/b.jpg") / "lists" / "l.csv"
    file.write_text("path,label,split\na.jpg,x,train\nb.jpg,y,validation\n")
    assert open_dataset(file).paths == [f"{tmp_path}/test/images/a.jpg", f"{tmp_path}/test/images/b.jpg"]


@pytest.mark.parametrize("address", ["https://x.org/a.jpg", "s3://bucket/a.jpg", "HTTP://x.org/a.jpg?w=200"])
def test_addresses_elsewhere_are_not_looked_for_on_the_disk(table: Table, address: str) -> None:
    dataset = open_dataset(table(listing({"x": address, "y": f" {address}x ", "z": "a.jpg"})))
    assert dict(zip(dataset.labels, dataset.paths, strict=True)) == {"x": address, "y": f"{address}x", "z": "a.jpg"}
    assert dataset.notes == []


def test_the_home_folder_is_the_users(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(touch(tmp_path / "home", "a.jpg")))
    file = table(listing({"x": "~/a.jpg"}), "lists/l.csv", images=("lists/b.jpg",))
    assert found(file) == {"x": str(tmp_path / "home" / "a.jpg")}


@pytest.mark.parametrize(("written", "lies"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFKD", "NFC")])
def test_a_name_in_another_unicode_form_is_found(table: Table, written: str, lies: str) -> None:
    name = "été/Zürich.jpg"
    there = unicodedata.normalize(lies, name)  # type: ignore[arg-type] # names of forms
    file = table(listing({"x": unicodedata.normalize(written, name)}), images=(there,))  # type: ignore[arg-type]
    assert found(file) == {"x": there}
    assert open_dataset(file).notes[-1].endswith("', which has another Unicode form.")  # they look the same


def test_one_name_in_another_form_among_many_is_found(table: Table) -> None:
    names = [f"{i}.jpg" for i in range(300)]
    table("", images=(*names, "e\u0301.jpg"))
    file = table(listing({str(i): name for i, name in enumerate(names)} | {"x": "\u00e9.jpg"}))
    assert found(file)["x"] == "e\u0301.jpg"


def test_two_forms_of_a_name_side_by_side_are_two_files(table: Table) -> None:
    file = table(listing({"x": "\u00e9.jpg", "y": "e\u0301.jpg"}), images=("\u00e9.jpg", "e\u0301.jpg"))
    dataset = open_dataset(file)
    assert (dataset.labels, dataset.notes) == (["y", "x"], [])


def test_of_several_files_the_one_of_the_images_label_and_split_is_meant(table: Table) -> None:
    images = ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "val/dog/1.jpg", "val/dog/2.jpg")
    text = "path,label,split\n1.jpg,cat,Train\n"
    assert open_dataset(table(text, images=images)).paths == ["train/cat/1.jpg"]
    assert open_dataset(table(text.replace("Train", "validation"))).paths == ["val/cat/1.jpg"]
    assert open_dataset(table("path,label,split\n2.jpg,dog,valid\n")).paths == ["val/dog/2.jpg"]
    assert "4 files of that name" in message(DatasetError, data=table("path,label\n1.jpg,bird\n"))
    # One file of the name, in a folder of another split.
    assert "Not one image" in message(DatasetError, data=table("path,label,split\n2.jpg,dog,test\n"))


def test_one_name_for_several_files_among_others_is_noted(table: Table) -> None:
    file = table(listing({"x": "1.jpg", "y": "2.jpg"}), images=("images/1.jpg", "thumbs/1.jpg", "images/2.jpg"))
    notes = open_dataset(file).notes
    assert "1 path in 'list.csv' fits several files, and none was taken: '1.jpg' may be 'images/1.jpg' or" in notes[1]
    assert notes[2] == "1 of 2 images of 'list.csv' is not there, such as '1.jpg'."


def test_a_correction_of_the_folders_label_finds_the_file_all_the_same(table: Table) -> None:
    file = table(listing({"dog": "1.jpg", "cat": "2.jpg"}), images=("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"))
    assert found(file) == {"dog": "cat/1.jpg", "cat": "cat/2.jpg"}


@pytest.mark.parametrize("written", ["cub/1.jpg", "cars2/1.jpg", "images/1.jpg"])
def test_a_file_of_another_folder_is_not_meant(table: Table, written: str) -> None:
    file = table(listing({"x": written, "y": written.replace("1", "2")}), images=("cars/1.jpg", "cars/2.jpg"))
    text = message(DatasetError, data=file)
    assert "Not one image" in text
    assert written in text


def test_a_file_that_two_rows_disagree_about_is_nobodys(table: Table) -> None:
    paths = {"x": "/away/cub/1.jpg", "y": "/away/cars/1.jpg", "z": "/away/cub/2.jpg", "w": "own.jpg"}
    file = table(listing(paths), images=("1.jpg", "2.jpg", "own.jpg"))
    dataset = open_dataset(file)
    assert dict(zip(dataset.labels, dataset.paths, strict=True)) == paths | {"z": "2.jpg"}
    assert dataset.notes[-1] == "2 of 4 images of 'list.csv' are not there, such as '/away/cars/1.jpg'."
    both = table(listing({"x": "images\\1.jpg", "y": "images/1.jpg"}), images=("images/1.jpg",))
    assert "disagree about one file" in message(DatasetError, data=both)


def test_a_missing_image_among_others_is_left_to_the_reading(table: Table) -> None:
    dataset = open_dataset(table(listing({"x": "a.jpg", "y": "nowhere.jpg"})))
    assert dataset.paths == ["a.jpg", "nowhere.jpg"]
    assert dataset.notes == ["1 of 2 images of 'list.csv' is not there, such as 'nowhere.jpg'."]


def test_a_link_to_nowhere_is_left_to_the_reading(table: Table, tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    dataset = open_dataset(table(listing({"x": "gone.jpg"})))
    assert (dataset.paths, dataset.notes) == (["gone.jpg"], [])


def test_none_there_is_one_error_that_says_where_and_what_to_type(table: Table, tmp_path: Path) -> None:
    file = table("path,label\n" + "".join(f"x{i}.jpg,hat\n" for i in range(1_403)))
    text = message(DatasetError, data=file)
    assert "Not one image" in text
    assert "1,403 paths" in text
    assert repr(str(tmp_path / "x0.jpg")) in text
    assert len(text) < 1_000
    words = shlex.split(text.split("the table behind it: ")[1].split(". Or")[0])
    assert words == ["FOLDER", "--labels", str(file), "--only-listed"]
    away = touch(tmp_path.parent / f"{tmp_path.name} away", "x0.jpg", "x1.jpg", "y.jpg")
    assert open_dataset(away, labels=file, only_listed=True).n == 1_403
    assert open_dataset(away, labels=file).paths == ["x0.jpg", "x1.jpg", "y.jpg"]


def test_of_two_places_one_can_be_typed(table: Table) -> None:
    file = table(listing({"x": "1.jpg"}), images=("images/1.jpg", "small ones/1.jpg"))
    text = message(DatasetError, data=file)
    folder, *rest = shlex.split(text.split("the table behind it: ")[1].split(". Or")[0])
    assert rest == ["--labels", str(file), "--only-listed"]
    assert open_dataset(folder, labels=file, only_listed=True).paths == ["1.jpg"]


def test_a_folder_is_no_image(table: Table) -> None:
    file = table(listing({"x": "cat"}), images=("cat/1.jpg", "cat.jpg"))
    assert found(file) == {"x": "cat.jpg"}


def calls(module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with each call of a function, by its first argument."""
    seen: list[object] = []
    function = getattr(module, name)

    def noted(path: object) -> object:
        seen.append(path)
        return function(path)

    monkeypatch.setattr(module, name, noted)
    return seen


def test_right_paths_cost_a_look_at_a_few(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_SAMPLE", 30)
    names = [f"{i}.jpg" for i in range(400)]
    file = table(listing({str(i): name for i, name in enumerate(names)}), images=tuple(names))
    looked = calls(os.path, "lexists", monkeypatch)
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("a folder was listed"))
    assert open_dataset(file).n == 400
    assert 30 <= len(looked) <= 60


def test_wrong_paths_cost_a_listing_of_each_folder(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_SAMPLE", 30)
    names = [f"images/{i % 3}/{i}.jpg" for i in range(400)]
    file = table(listing({str(i): name.removeprefix("images/") for i, name in enumerate(names)}), images=tuple(names))
    listed = calls(os, "scandir", monkeypatch)
    looked = calls(os.path, "lexists", monkeypatch)
    assert sorted(open_dataset(file).paths) == sorted(names)
    assert len(listed) < 20
    assert len(looked) <= 60


def test_what_is_looked_through_is_bounded(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "MOST_ENTRIES", 3)
    monkeypatch.setattr(places, "MOST_ENTRIES", 3)
    file = table(listing({"x": "z.jpg"}), images=("1/a.jpg", "2/b.jpg", "3/c.jpg", "4/z.jpg"))
    assert "its first 3 files and folders" in message(DatasetError, data=file)


def test_link_loops_end(table: Table, tmp_path: Path) -> None:
    file = table(listing({"x": "a.jpg"}), images=("deep/er/a.jpg",))
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    assert found(file) == {"x": "deep/er/a.jpg"}
