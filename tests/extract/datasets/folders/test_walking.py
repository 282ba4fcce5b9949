"""What is not taken is counted by its extension, with the reason; folders of systems and of Stackbone are no class."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.folders import first_bytes
from stackbone.extract.datasets.folders.first_bytes import extension_of
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.images import formats
from stackbone.extract.images.decode import decode
from tests.extract.datasets.folders.conftest import Photos

JPEG = b"\xff\xd8\xff\xe0" + bytes(28)
HEIC = b"\0\0\0\x18ftypheic" + bytes(20)


def skipped(folder: Path) -> dict[str, tuple[str, int]]:
    return {each.sort: (each.reason, each.count) for each in open_dataset(folder).skipped}


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No decoder of HEIC is installed."""
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    formats.decodable_extensions.cache_clear()
    yield
    formats.decodable_extensions.cache_clear()


# --- files -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_heif")
def test_files_that_are_not_taken_are_counted_with_the_reason(photos: Photos) -> None:
    folder = photos("a/1.jpg", "a/2.mp4", "a/3.MP4", "b/4.heic", "a/notes.txt", "a/.DS_Store", "a/Thumbs.db", "a/x.cr2")
    (folder / "b" / "4.heic").write_bytes(HEIC)
    assert skipped(folder) == {
        ".mp4": ("a video; name it by itself", 2),
        ".heic": ("no decoder is installed; pip install 'stackbone[heif]'", 1),
        ".txt": ("not an image", 1),
        "hidden": ("a name that begins with a dot", 1),
        "Thumbs.db": ("made by an operating system or a file server", 1),
        ".cr2": ("a camera's raw file; convert to TIFF or JPEG", 1),
    }
    assert open_dataset(folder).skipped[0].sort == ".mp4", "the most frequent first"


@pytest.mark.usefixtures("no_heif")
def test_a_class_whose_every_file_is_skipped_is_said(photos: Photos) -> None:
    folder = photos("cat/1.jpg", "dog/2.heic", "owl/3.mov", "owl/deep/4.txt", "empty/")
    for file in folder.glob("*/*.heic"):
        file.write_bytes(HEIC)
    note = open_dataset(folder).notes[0]
    assert "No image was taken from 'dog' (1 .heic), 'empty' (empty), 'owl' (1 .mov, 1 .txt)" in note
    files = ("more/train/cat/1.jpg", "more/train/dog/2.txt", "more/test/x.md")
    splits = open_dataset(photos(*files), exclude=["./cat", "owl", "./dog", "empty"])
    assert "'more/test' (1 .md), 'more/train/dog' (1 .txt)" in splits.notes[0]


@pytest.mark.parametrize("name", ["photo.jpg?w=200", "photo.jpg.1", "photo", "photo.JPG_large", "f81d4fae", "x.dat"])
def test_images_without_a_known_extension_are_recognised_by_their_first_bytes(photos: Photos, name: str) -> None:
    folder = photos("cat/1.jpg", f"cat/{name}", "cat/other", "cat/empty.xyz")
    (folder / "cat" / name).write_bytes(JPEG)
    (folder / "cat" / "other").write_bytes(b"BM, a text about cars\n")
    dataset = open_dataset(folder)
    assert dataset.paths == sorted(["cat/1.jpg", f"cat/{name}"])
    assert {each.sort for each in dataset.skipped} == {"no extension", ".xyz"}
    assert open_dataset(folder / "cat" / name).paths == [name]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000", "QOI", "DDS", "AVIF"])
def test_first_bytes_tell_what_pillow_writes(form: str) -> None:
    file = io.BytesIO()
    try:
        Image.new("RGB", (8, 8), "red").save(file, form)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {form}")
    extension = extension_of(file.getvalue()[:32])
    assert extension
    assert Image.registered_extensions()[extension] == form


@pytest.mark.parametrize("extension", [".tga", ".pcx", ".sgi", ".qoi", ".dds", ".dib", ".mpo", ".j2k"])
def test_every_listed_extension_can_be_decoded(extension: str) -> None:
    file = io.BytesIO()
    forms = {**Image.registered_extensions(), ".dib": "DIB"}
    if forms.get(extension) not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {extension}")
    Image.new("RGB", (8, 8), "red").save(file, forms[extension])
    assert decode(file.getvalue()).size == (8, 8)
    assert extension in formats.decodable_extensions()


@pytest.mark.parametrize(
    ("start", "extension"),
    [
        (HEIC, ".heic"),
        (b"\0\0\0\x1cftypmif1" + bytes(20), ".heic"),
        (b"\0\0\0\x1cftypavif" + bytes(20), ".avif"),
        (b"\0\0\0\x1cftypisom" + bytes(20), None),
        (b"\xff\x0a" + bytes(30), ".jxl"),
        (b"Python is a language\n", None),
        (b"", None),
    ],
)
def test_first_bytes_tell_containers_apart(start: bytes, extension: str | None) -> None:
    assert extension_of(start) == extension


def test_pipes_and_links_to_nowhere_are_counted_and_never_waited_for(photos: Photos) -> None:
    folder = photos("cat/1.jpg")
    os.mkfifo(folder / "cat" / "pipe.jpg")
    os.mkfifo(folder / "cat" / "pipe")
    (folder / "cat" / "gone").symlink_to("nowhere")
    assert open_dataset(folder).paths == ["cat/1.jpg"]
    reasons = {each.reason.partition(":")[0]: each.count for each in open_dataset(folder).skipped}
    assert set(reasons) == {"not a file"}


def test_looking_into_files_ends_where_it_finds_nothing(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_bytes, "_MOST_MISSES", 3)
    folder = photos("cat/1.jpg", *(f"cat/{i}.dat" for i in range(8)), *(f"cat/{i}.bin" for i in range(8)))
    for i in range(8):
        (folder / "cat" / f"{i}.bin").write_bytes(JPEG if i != 4 else b"no")
    opened: list[str] = []

    def count(path: str) -> BinaryIO:
        opened.append(path)
        return open_regular(path)

    monkeypatch.setattr(first_bytes, "open_regular", count)
    dataset = open_dataset(folder)
    assert len([path for path in opened if path.endswith(".dat")]) == 3
    assert len([path for path in opened if path.endswith(".bin")]) == 8, "images are found, so all are looked into"
    assert dataset.n == 8
    assert sum(each.count for each in dataset.skipped if each.sort == ".dat") == 8


def test_many_sorts_of_files_are_counted_together(photos: Photos) -> None:
    dataset = open_dataset(photos("cat/1.jpg", *(f"cat/log.{i}" for i in range(200)), "cat/a.txt", "cat/b.txt"))
    assert len(dataset.skipped) < 60
    assert sum(each.count for each in dataset.skipped) == 202
    assert (dataset.skipped[0].sort, dataset.skipped[0].count) == (".txt", 2)
    assert (dataset.skipped[-1].sort, dataset.skipped[-1].reason) == ("others", "not an image")


# --- folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clutter", ["@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX", "#recycle", ".thumbs"]
)
def test_folders_of_systems_are_no_classes(photos: Photos, clutter: str) -> None:
    folder = photos("cat/1.jpg", "dog/2.jpg", f"{clutter}/3.jpg", f"cat/{clutter}/4.jpg")
    dataset = open_dataset(folder)
    assert dataset.paths == ["cat/1.jpg", "dog/2.jpg"]
    assert [each.count for each in dataset.skipped] == [2]
    assert dataset.notes == []


def test_what_stackbone_wrote_is_no_class(photos: Photos) -> None:
    folder = photos(
        *("cat/1.jpg", "dog/2.jpg", "report.html", "figures/models.svg", "figures/models.png"),
        *("figures/confusion.svg", "figures/confusion.png"),
        *("features/datasets/photos.h5", "features/resnet50-0123456789ab/part-1.h5", "features/thumbnails/1.png"),
    )
    dataset = open_dataset(folder)
    assert dataset.classes == ["cat", "dog"]
    assert {each.sort for each in dataset.skipped if each.reason == "written by Stackbone"} == {"features", "figures"}
    icons = open_dataset(photos("figures/own.png"))
    assert icons.classes == ["cat", "dog", "figures"], "a picture without its drawing is somebody's own"


def test_the_folder_that_was_named_is_always_read(photos: Photos) -> None:
    folder = photos("figures/models.svg", "figures/models.png", "lost+found/1.jpg")
    assert open_dataset(folder / "figures").paths == ["models.png"]
    assert open_dataset(folder / "lost+found").paths == ["1.jpg"]


# --- --exclude ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["thumbs"], ["cat/1.jpg", "cat/1_mask.png", "dog/2.jpg"]),
        (["*_mask.png", "thumbs/"], ["cat/1.jpg", "dog/2.jpg"]),
        (["./thumbs"], ["cat/1.jpg", "cat/1_mask.png", "cat/thumbs/3.jpg", "dog/2.jpg"]),
        (["cat/*"], ["dog/2.jpg", "thumbs/4.jpg"]),
        (["./*.jpg", "./*/*_mask.png"], ["cat/1.jpg", "cat/thumbs/3.jpg", "dog/2.jpg", "thumbs/4.jpg"]),
        (["cat/**"], ["dog/2.jpg", "thumbs/4.jpg"]),
        (["**/thumbs"], ["cat/1.jpg", "cat/1_mask.png", "dog/2.jpg"]),
        (["[ct]*"], ["dog/2.jpg"]),
    ],
)
def test_patterns_leave_out_files_and_folders(photos: Photos, patterns: list[str], left: list[str]) -> None:
    folder = photos("cat/1.jpg", "cat/1_mask.png", "cat/thumbs/3.jpg", "dog/2.jpg", "thumbs/4.jpg")
    dataset = open_dataset(folder, exclude=patterns)
    assert dataset.paths == left
    assert any(each.reason == "excluded" for each in dataset.skipped)
    table = folder / "list.csv"
    everything = sorted(path.relative_to(folder).as_posix() for path in folder.glob("**/*.[jp][pn]g"))
    table.write_text("path,label\n" + "".join(f"{path},x\n" for path in everything))
    of_table = open_dataset(table, exclude=patterns)
    assert of_table.paths == left
    assert [(each.reason, each.count) for each in of_table.skipped] == [("excluded", len(everything) - len(left))]


def test_a_pattern_that_leaves_out_nothing_or_all_is_said(photos: Photos) -> None:
    folder = photos("cat/1.jpg", "dog/2.jpg")
    assert "--exclude thumb leaves out nothing" in open_dataset(folder, exclude="thumb").notes[0]
    for patterns in (["2.jpg", "thumb"], ["thumb", "./dog"], ["thumb", "**/2.*"]):
        [note] = [note for note in open_dataset(folder, exclude=patterns).notes if "--exclude" in note]
        assert note == "--exclude thumb leaves out nothing: no other file or folder has such a name."
    with pytest.raises(DatasetError, match="excluded"):
        open_dataset(folder, exclude=["cat", "dog"])
    with pytest.raises(DatasetError, match=r"--exclude '\*\.jpg' leaves out all 2"):
        open_dataset([folder / "cat" / "1.jpg", folder / "dog" / "2.jpg"], exclude=["*.jpg"])


@pytest.mark.parametrize(("pattern", "is_covered"), [("**/a/**/z", False), ("**/" * 8 + "z", False), ("**/a/b", True)])
def test_patterns_of_any_form_on_paths_of_any_depth_end_at_once(pattern: str, is_covered: bool) -> None:  # noqa: FBT001
    assert Exclusion([pattern]).covers("a/" * 2000, "b") is is_covered
