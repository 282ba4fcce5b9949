"""Archives of images are listed as the folders that they hold, and damaged ones as far as they go."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.datasets.archives import trees
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.kind import KINDS as DATASET_KINDS
from stackbone.extract.datasets.kind import Request, TableColumns
from tests.made.archives import KINDS, add, write_archive
from tests.made.listings import message, rows, touch

TREE = ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg", "test/dog/4.jpg")


def empty(*names: str) -> dict[str, bytes]:
    return dict.fromkeys(names, b"")


@pytest.mark.parametrize("wrapper", ["", "photos/", "./"])
@pytest.mark.parametrize("extension", KINDS)
def test_an_archive_is_read_as_the_folder_that_it_holds(tmp_path: Path, extension: str, wrapper: str) -> None:
    file = write_archive(tmp_path / f"photos{extension}", empty(*(wrapper + name for name in TREE)))
    folder = rows(open_dataset(touch(tmp_path / "same", *(wrapper + name for name in TREE))))
    dataset = open_dataset(file)
    assert (dataset.name, dataset.root) == ("photos", tmp_path)
    assert rows(dataset) == [(f"photos{extension}/{path}", *marks) for path, *marks in folder]
    assert {row[1:3] for row in rows(dataset)} == {(c, s) for c in ("cat", "dog") for s in ("train", "test")}


def test_archives_in_a_folder_stand_for_folders(tmp_path: Path) -> None:
    write_archive(tmp_path / "photos" / "train.zip", empty("cat/1.jpg", "dog/2.jpg"))
    write_archive(tmp_path / "photos" / "test.tar.gz", empty("cat/1.jpg"))
    assert rows(open_dataset(tmp_path / "photos")) == [
        ("test.tar.gz/cat/1.jpg", "cat", "test", ""),
        ("train.zip/cat/1.jpg", "cat", "train", ""),
        ("train.zip/dog/2.jpg", "dog", "train", ""),
    ]


def test_an_archive_for_each_class(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_archive(tmp_path / "train" / f"{name}.tar", empty("1.jpg", "2.jpg"))
    assert [row[1] for row in rows(open_dataset(tmp_path))] == ["cat", "cat", "dog", "dog"]


@pytest.mark.parametrize("name", ["{:06d}", "photos-{:05d}", "photos_{:d}_of_3"])
def test_the_number_of_a_shard_is_no_class_and_members_of_one_name_are_two_images(tmp_path: Path, name: str) -> None:
    for number in range(3):
        write_archive(tmp_path / f"{name.format(number)}.tar", empty("cat/1.jpg", "dog/2.jpg"))
    assert [row[1:] for row in rows(open_dataset(tmp_path))] == [("cat", "", ""), ("dog", "", "")] * 3


def test_shards_of_splits_and_folders_of_shards(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_archive(tmp_path / "named" / f"imagenet-{split}-000000.tar", empty("cat/1.jpg"))
        write_archive(tmp_path / "folders" / split / "000000.tar", empty("cat/1.jpg"))
    for folder in ("named", "folders"):
        assert [row[1:3] for row in rows(open_dataset(tmp_path / folder))] == [("cat", "train"), ("cat", "validation")]


def test_a_pattern_is_all_its_shards_and_what_is_missing_is_said(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_archive(tmp_path / "shards" / f"{number:06d}.tar", empty(f"cat/{number}.jpg"))
    pattern = str(tmp_path / "shards" / "{000008..000011}.tar")
    dataset = open_dataset(pattern)
    assert [path for path, *_ in rows(dataset)] == [f"{n:06d}.tar/cat/{n}.jpg" for n in range(8, 12)]
    assert list(dataset.asked) == [pattern]
    files = [tmp_path / "shards" / f"{n:06d}.tar" for n in range(8, 12)]
    assert rows(open_dataset(files)) == rows(dataset)
    assert "4 files of 8 that" in message(DatasetError, data=str(tmp_path / "shards" / "{000008..000015}.tar"))
    assert "runs backwards" in message(UsageError, data=str(tmp_path / "{5..2}.tar"))
    assert "more than 1,000,000" in message(UsageError, data=str(tmp_path / "{0..999}{0..9999}.tar"))


def test_a_file_with_braces_in_its_name_is_that_file(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "{0..3}.zip", empty("cat/1.jpg"))
    assert rows(open_dataset(file)) == [("{0..3}.zip/cat/1.jpg", "cat", "", "")]


def test_archives_beside_what_was_unpacked_of_them_are_left_alone(tmp_path: Path) -> None:
    write_archive(tmp_path / "photos.tar.gz", empty("cat/1.jpg"))
    touch(tmp_path, "deep/down/photos/cat/1.jpg")
    dataset = open_dataset(tmp_path)
    assert dataset.paths == ["deep/down/photos/cat/1.jpg"]
    write_archive(tmp_path / "more.zip", empty("cat/1.jpg"))
    skipped = [(each.reason, each.example) for each in open_dataset(tmp_path).skipped]
    assert ("an archive; name it by itself", "more.zip") in skipped


def test_tables_beside_the_images_are_read(tmp_path: Path) -> None:
    table = b"file_name,label,group,camera\n1.jpg,cat,a,X\n2.jpg,dog,b,Y\n"
    file = write_archive(tmp_path / "photos.zip", {**empty("all/1.jpg", "all/2.jpg"), "all/metadata.csv": table})
    dataset = open_dataset(file)
    assert [row[1:] for row in rows(dataset)] == [("cat", "", "a"), ("dog", "", "b")]
    assert dataset.columns == {"camera": ["X", "Y"]}
    lines = "\n".join(json.dumps({"file_name": f"{n}.jpg", "label": label}) for n, label in ((1, "x"), (2, "y")))
    file = write_archive(tmp_path / "lines.tar", {**empty("1.jpg", "2.jpg"), "metadata.jsonl": lines.encode()})
    assert open_dataset(file).labels == ["x", "y"]


def test_a_fault_of_a_table_is_told_with_the_archives_name(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "photos.zip", {**empty("1.jpg"), "metadata.csv": b"file_name,label\n1.jpg\n"})
    said = message(DatasetError, data=file)
    assert f"{file}/metadata.csv" in said
    assert "/tmp" not in said.replace(str(tmp_path), "")


def test_what_is_not_taken_is_counted(tmp_path: Path) -> None:
    names = ("cat/1.jpg", "cat/notes.txt", "__MACOSX/cat/._1.jpg", ".cache/2.jpg", "cat/Thumbs.db", "../3.jpg")
    dataset = open_dataset(write_archive(tmp_path / "photos.zip", empty(*names)))
    assert dataset.paths == ["photos.zip/cat/1.jpg"]
    assert {(each.sort, each.reason) for each in dataset.skipped} == {
        (".txt", "not an image"),
        ("._1.jpg", "made by an operating system or a file server"),
        ("hidden", "a name that begins with a dot"),
        ("Thumbs.db", "made by an operating system or a file server"),
        (".jpg", "a name that leads out of the archive"),
    }


def test_patterns_leave_out_members_and_archives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_archive(tmp_path / f"{name}.zip", empty("cat/1.jpg", "dog/2.jpg", "dog/2_mask.jpg"))
    dataset = open_dataset(tmp_path, exclude=["*_mask.jpg", "b.zip"])
    assert dataset.paths == ["a.zip/cat/1.jpg", "a.zip/dog/2.jpg"]
    assert not [note for note in dataset.notes if "leaves out nothing" in note]


def test_of_a_damaged_archive_what_is_whole_is_listed_and_that_is_said(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "shards" / "000000.tar", {f"cat/{n}.jpg": bytes(600) for n in range(4)})
    file.write_bytes(file.read_bytes()[:4000])
    write_archive(tmp_path / "shards" / "000001.tar", empty("dog/9.jpg"))
    (tmp_path / "shards" / "000002.tar").write_bytes(b"<html>404</html>")
    dataset = open_dataset(tmp_path / "shards")
    assert len(dataset.paths) == 3
    notes = "\n".join(dataset.notes)
    assert "The archive '000000.tar' is damaged: it ends within the member 'cat/2.jpg'" in notes
    assert "the 2 images before that are taken" in notes
    assert "The archive '000002.tar' is damaged: it is no tar archive" in notes
    assert "damaged" in message(DatasetError, data=tmp_path / "shards" / "000002.tar")


def test_an_archive_without_images_says_what_it_holds(tmp_path: Path) -> None:
    said = message(DatasetError, data=write_archive(tmp_path / "texts.zip", empty("a.txt", "b.txt")))
    assert "found instead: 2 .txt (not an image)" in said
    assert "texts.zip" in said


def test_a_table_can_list_what_lies_in_archives(tmp_path: Path) -> None:
    write_archive(tmp_path / "shards" / "000000.tar", empty("1.jpg", "2.jpg"))
    (tmp_path / "photos.csv").write_text("path,label\nshards/000000.tar/1.jpg,cat\nshards/000000.tar/2.jpg,dog\n")
    expected = [("shards/000000.tar/1.jpg", "cat", "", ""), ("shards/000000.tar/2.jpg", "dog", "", "")]
    assert rows(open_dataset(tmp_path / "photos.csv")) == expected
    (tmp_path / "labels.csv").write_text("path,label\n000000.tar/2.jpg,bird\n")
    assert open_dataset(tmp_path / "shards", labels=tmp_path / "labels.csv").labels == ["", "bird"]


def test_one_member_can_be_named_as_a_file(tmp_path: Path) -> None:
    file = write_archive(tmp_path / "photos.zip", empty("cat/1.jpg", "2.jpg"))
    assert open_dataset(f"{file}/cat/1.jpg").paths == ["photos.zip/cat/1.jpg"]
    dataset = open_dataset([f"{file}/cat/1.jpg", f"{file}/2.jpg"])
    assert (dataset.root, dataset.paths) == (tmp_path, ["photos.zip/2.jpg", "photos.zip/cat/1.jpg"])


def test_a_thousand_archives_take_no_more_than_one_open_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[io.BufferedReader] = []
    from stackbone.extract.containers import opening

    real = opening.open_source

    def counted(place: str) -> object:
        assert all(each.closed for each in opened[:-1])
        opened.append(real(place))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setattr(opening, "open_source", counted)
    for number in range(30):
        write_archive(tmp_path / f"{number:06d}.tar", empty(f"cat/{number}.jpg"))
    assert open_dataset(tmp_path).n == 30
    assert len(opened) >= 30
    assert all(each.closed for each in opened)


# --- what the names of archives say -------------------------------------------------------------------------


def classes_of(folder: Path, names: Sequence[str]) -> tuple[Sequence[str], str]:
    """Return the labels of archives of one image each, and the note on their names."""
    for name in names:
        write_archive(folder / name, empty(f"{name}.jpg"))
    dataset = open_dataset(folder)
    return dataset.labels, "\n".join(dataset.notes)


@pytest.mark.parametrize(
    "names",
    [
        ["n01440764", "n01443537", "n01484850"],
        ["class001", "class002", "class003"],
        ["101", "205", "317"],
        ["dog-101", "dog-2050"],
    ],
)
def test_numbers_in_the_names_of_classes_are_no_shards_and_that_is_said(tmp_path: Path, names: list[str]) -> None:
    labels, notes = classes_of(tmp_path, [f"{name}.tar" for name in names])
    assert labels == names
    assert f"The names of {len(names)} archives, such as '{names[0]}.tar', are taken for those of folders" in notes


@pytest.mark.parametrize(
    "names",
    [
        ["000000", "000001"],
        ["000003", "000917"],
        ["part0001", "part0002"],
        ["images_017", "images_018"],
        ["photos_1_of_30", "photos_7_of_30"],
        ["000016"],
    ],
)
def test_numbers_of_shards_are_no_classes_and_that_is_said(tmp_path: Path, names: list[str]) -> None:
    labels, notes = classes_of(tmp_path, [f"{name}.zip" for name in names])
    assert labels == [""] * len(names)
    assert f"such as '{names[0]}.zip', are taken for those of shards" in notes


def test_of_archives_without_numbers_nothing_is_said(tmp_path: Path) -> None:
    assert classes_of(tmp_path, ["cat.tar", "dog.tar"]) == (["cat", "dog"], "")


# --- tables in several archives -----------------------------------------------------------------------------


def test_each_archive_has_a_table_of_its_own(tmp_path: Path) -> None:
    for n in range(3):
        table = f"file_name,label,camera\n0.jpg,class{n},X{n}\n1.jpg,class{n},Y\n".encode()
        write_archive(tmp_path / f"part-{n:03}.zip", {**empty("0.jpg", "1.jpg"), "metadata.csv": table})
    dataset = open_dataset(tmp_path)
    assert rows(dataset) == [
        (f"part-{n:03}.zip/{i}.jpg", f"class{n}", "", "") for n in range(3) for i in range(2)
    ]  # fmt: skip
    assert dataset.columns == {"camera": ["X0", "Y", "X1", "Y", "X2", "Y"]}
    labels_of = [note for note in dataset.notes if "not the names of folders" in note]
    assert len(labels_of) == 1
    assert "'part-000.zip/metadata.csv', 'part-001.zip/metadata.csv' and 'part-002.zip/metadata.csv'" in labels_of[0]


def test_a_table_in_one_shard_speaks_of_all(tmp_path: Path) -> None:
    table = b"file_name,label\n0.jpg,cat\n1.jpg,dog\n"
    write_archive(tmp_path / "part-000.zip", {**empty("0.jpg"), "metadata.csv": table})
    write_archive(tmp_path / "part-001.zip", empty("1.jpg"))
    assert open_dataset(tmp_path).labels == ["cat", "dog"]


def test_of_tables_in_several_archives_folders_say_the_splits_and_what_no_table_says(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for n in range(2):
            table = f"file_name,label\na/0.jpg,{split}{n}\n".encode()
            inside = empty("a/0.jpg") if n else {**empty("b/1.jpg")}
            more = (
                {"metadata.csv": table} if n else {"c/metadata.csv": b"file_name,label\n2.jpg,\n", **empty("c/2.jpg")}
            )
            write_archive(tmp_path / f"{split}-{n:03}.zip", {**inside, **more})
    write_archive(tmp_path / "train-002.zip", {**empty("a/0.jpg"), "metadata.csv": b"file_name,label\na/0.jpg,x\n"})
    assert [row[1:3] for row in rows(open_dataset(tmp_path))] == [
        ("b", "test"),
        ("", "test"),
        ("test1", "test"),
        ("b", "train"),
        ("", "train"),
        ("train1", "train"),
        ("x", "train"),
    ]


def test_a_fault_of_a_table_names_its_own_archive(tmp_path: Path) -> None:
    for n, table in enumerate((b"file_name,label\n0.jpg,a\n", b"file_name,label\n0.jpg\n")):
        write_archive(tmp_path / f"part-{n:03}.zip", {**empty("0.jpg"), "metadata.csv": table})
    assert f"{tmp_path}/part-001.zip/metadata.csv" in message(DatasetError, data=tmp_path)


@pytest.mark.parametrize("folder", ["a" * 300, "a\0b"])
def test_a_table_of_a_name_that_no_file_can_have_is_an_error_that_names_it(tmp_path: Path, folder: str) -> None:
    if "\0" in folder:
        file = tmp_path / "photos.tar"
        with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
            add(tar, "1.jpg")
            add(tar, "x", b"file_name,label\n", pax_headers={"path": f"{folder}/metadata.csv"})
    else:
        file = write_archive(tmp_path / "photos.zip", {**empty("1.jpg"), f"{folder}/metadata.csv": b""})
    text = message(DatasetError, data=file)
    assert "no file here can have such a name" in text
    assert "metadata.csv" in text
    assert "\0" not in text


# --- what lies beside, and many members of one name ----------------------------------------------------------


def test_what_lies_beside_archives_is_counted(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", empty("cat/1.jpg"))
    for name in ("b.avi", "labels.csv", "in/c.h5", "notes.txt", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 100)
    listing = DATASET_KINDS["archive"].read(request_of(tmp_path))
    assert list(listing.entries) == ["a.zip/cat/1.jpg"]
    assert {(each.reason, each.example) for each in listing.skipped} == {
        ("a video; name it by itself", "b.avi"),
        ("a table; name it by itself", "labels.csv"),
        ("not an image", "in/c.h5"),
        ("not an image", "notes.txt"),
    }


def request_of(folder: Path) -> Request:
    return Request([str(folder)], None, TableColumns())


def test_members_of_one_name_in_many_shards_are_placed_in_a_time_that_grows_with_their_number() -> None:
    n = 20_000
    path_of, _ = trees._places(
        [(f"{i:06}.zip", "", "1.jpg") for i in range(n)] + [("x.zip", "", "1.jpg#3")], is_own=False
    )
    assert len(path_of) == n + 1
    assert list(path_of)[:3] == ["1.jpg", "1.jpg#2", "1.jpg#3"]
    assert path_of["1.jpg#20000"] == "019999.zip/1.jpg"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", b"<!DOCTYPE html>\n<HTML><body>Sign in</body></html>", "a web page"),
        ("a.tar.gz", b"\n<html>Sign in</html>", "a web page"),
        ("a.tar", b"PK\x03\x04" + bytes(600), "a zip archive: give it the extension .zip"),
        ("a.zip", bytes(257) + b"ustar\x0000" + bytes(600), "a tar archive: give it the extension .tar"),
        ("a.tar.gz", b"\x28\xb5\x2f\xfd" + bytes(600), "compressed by zstd"),
        ("a.zip", b"\x1f\x8b\x08" + bytes(600), "compressed by gzip: give it the extension .tar.gz if it is a tar"),
        ("a.zip", b"BZh9" + bytes(600), "compressed by bzip2: give it the extension .tar.bz2 if it is a tar"),
        ("a.zip", b"\xfd7zXZ\0" + bytes(600), "compressed by xz: give it the extension .tar.xz if it is a tar"),
        ("a.zip", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run `git lfs pull`"),
    ],
)
def test_a_file_of_another_kind_is_told_as_what_it_is(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError) as found:
        open_dataset(tmp_path / name)
    assert "by its first bytes it is" in str(found.value)
    assert said in str(found.value)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar.xz", "a.tar.bz2"])
def test_a_cut_archive_is_not_told_to_have_the_extension_that_it_has(tmp_path: Path, name: str) -> None:
    whole = write_archive(tmp_path / name, {"a.png": bytes(range(256)) * 40}).read_bytes()
    (tmp_path / name).write_bytes(whole[:30])
    with pytest.raises(DatasetError, match="is damaged") as found:
        open_dataset(tmp_path / name)
    assert "give it the extension" not in str(found.value)


def test_archives_inside_an_archive_are_to_be_unpacked(tmp_path: Path) -> None:
    outer = write_archive(tmp_path / "outer.zip", {"train.zip": b"PK", "test.tar.gz": b""})
    with pytest.raises(DatasetError, match=r"an archive inside an archive.*unpack the archive first"):
        open_dataset(outer)
    beside = write_archive(
        tmp_path / "beside.zip", {"cat/a.png": b"", "dog/b.png": b"", "more.tar": b"", "notes.json": b""}
    )
    dataset = open_dataset(beside)
    assert dataset.labels == ["cat", "dog"]
    assert dataset.notes == [], "nothing is said of a folder from which images were taken"
    assert sorted(each.sort for each in dataset.skipped) == [".json", ".tar"]
