"""Files of annotations that an archive holds and does not give are never taken for such as are not there."""

from __future__ import annotations

import os
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.files import archived
from tests.made.annotated import coco_content, make_coco, make_voc, make_yolo, photo, voc_object, voc_xml
from tests.made.archives import members_of, write_archive

CONFIG = "train: images/train\nval: images/val\nnames: [cat, dog]\n"
WHOLE = "0 0.5 0.5 1 1"
UNPACK = "Unpack the archive, and the others if there are any, and name the folder."


def yolo(folder: Path) -> Path:
    """Make a folder of which an image of each split has no file of labels."""
    labels: dict[str, str | None] = {"train/a": WHOLE, "train/b": WHOLE, "train/d": None, "val/e": WHOLE, "val/f": ""}
    return make_yolo(folder, labels, CONFIG)


def packed(folder: Path) -> Path:
    """Pack a folder by tar itself."""
    file = folder.with_suffix(".tar")
    subprocess.run(["tar", "-cf", file, "-C", folder, "."], check=True)
    return file


def marked(file: Path, name: str, at: int, value: int) -> Path:
    """Change a field of two bytes of a member's row in a zip's directory."""
    content = bytearray(file.read_bytes())
    row = content.rindex(b"PK\1\2", 0, content.rindex(name.encode()))
    content[row + at : row + at + 2] = struct.pack("<H", value)
    file.write_bytes(bytes(content))
    return file


def labels_of(dataset: Dataset) -> dict[str, str]:
    names = [os.path.basename(path) for path in dataset.paths]
    return dict(zip(names, dataset.labels, strict=True))


def told(dataset: Dataset, about: str) -> str:
    [note] = [note for note in dataset.notes if about in note]
    return note


@pytest.mark.parametrize("way", ["hard link", "link", "link to a folder", "encrypted", "method", "a pipe"])
def test_labels_that_an_archive_does_not_give_make_no_image_empty(tmp_path: Path, way: str) -> None:
    folder = yolo(tmp_path / "set")
    photo(folder / "images" / "train" / "c.jpg", seed=9)
    lost = folder / "labels" / "train" / "c.txt"
    if way == "hard link":
        os.link(folder / "labels" / "train" / "b.txt", lost)
    elif way == "link":
        lost.symlink_to("b.txt")
    elif way == "link to a folder":
        (folder / "images" / "train" / "in").mkdir()
        (folder / "images" / "train" / "c.jpg").rename(folder / "images" / "train" / "in" / "c.jpg")
        (folder / "labels" / "train" / "in").symlink_to(folder / "labels" / "val")
    elif way == "a pipe":
        os.mkfifo(lost)
    else:
        lost.write_text(WHOLE)
    if way in ("encrypted", "method"):
        archive = write_archive(tmp_path / "set.zip", members_of(folder))
        marked(archive, "labels/train/c.txt", *((8, 1) if way == "encrypted" else (10, 97)))
    else:
        archive = packed(folder)
    dataset = open_dataset(archive)
    assert labels_of(dataset) == {
        "a.jpg": "cat",
        "b.jpg": "cat",
        "c.jpg": "",
        "d.jpg": "|",
        "e.jpg": "cat",
        "f.jpg": "|",
    }
    assert (
        "1 image of 'train' without a file of labels, taken to show no object: 'images/train/d.jpg'." in dataset.notes
    )
    note = told(dataset, "are not taken out of their archive")
    assert note.startswith("The boxes of 1 image are left out (images whose files of labels are not taken out of their")
    assert "c.txt': " in note
    assert note.endswith(UNPACK)


def test_a_second_member_of_a_name_takes_nothing_from_the_first(tmp_path: Path) -> None:
    members = [*members_of(yolo(tmp_path / "set")).items(), ("labels/train/a.txt", b"1 0.5 0.5 1 1")]
    dataset = open_dataset(write_archive(tmp_path / "set.tar", members))
    assert labels_of(dataset) == {"a.jpg": "cat", "b.jpg": "cat", "d.jpg": "|", "e.jpg": "cat", "f.jpg": "|"}
    assert not any("archive" in note for note in dataset.notes)


def test_a_file_that_another_archive_gives_counts(tmp_path: Path) -> None:
    members = members_of(yolo(tmp_path / "set"))
    (tmp_path / "zips").mkdir()
    with tarfile.open(tmp_path / "zips" / "a.tar", "w") as tar:
        link = tarfile.TarInfo("labels/train/a.txt")
        link.type, link.linkname = tarfile.LNKTYPE, "labels/train/b.txt"
        tar.addfile(link)
    write_archive(tmp_path / "zips" / "b.tar", members)
    dataset = open_dataset(tmp_path / "zips")
    assert labels_of(dataset)["a.jpg"] == "cat"
    assert not any("first" in note or "counts" in note for note in dataset.notes)


def test_a_link_that_leads_nowhere_in_a_folder_makes_no_image_empty(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "set")
    (folder / "labels" / "train" / "d.txt").symlink_to("nowhere.txt")
    dataset = open_dataset(folder)
    assert labels_of(dataset)["d.jpg"] == ""
    assert "Cannot read 'labels/train/d.txt': is a link to a file that does not exist." in told(
        dataset, "cannot be read"
    )


def test_an_annotation_of_voc_that_an_archive_does_not_give_is_told(tmp_path: Path) -> None:
    cat = voc_xml(voc_object("cat", 1, 1, 9, 9))
    folder = make_voc(tmp_path / "set", {"a": cat, "b": None})
    os.link(folder / "Annotations" / "a.xml", folder / "Annotations" / "b.xml")
    dataset = open_dataset(packed(folder))
    assert sorted(dataset.labels) == ["", "cat"]
    note = told(dataset, "1 annotation cannot be used (their images count as not annotated)")
    assert "set.tar/Annotations/" in note
    assert note.endswith(f".xml': a link inside the archive. Expected a file of Pascal VOC. {UNPACK}")


def test_a_file_of_coco_that_an_archive_does_not_give_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "set" / "train2017" / "a.jpg")
    made = coco_content({"a.jpg": [("cat", 1, 1, 9, 9)]}, ("cat",))
    make_coco(tmp_path / "set", made)
    archive = write_archive(tmp_path / "set.zip", members_of(tmp_path / "set"))
    marked(archive, "annotations/instances_train2017.json", 8, 1)
    with pytest.raises(DatasetError, match=r"instances_train2017\.json': encrypted; .* Unpack the archive, and"):
        open_dataset(archive)


def test_hidden_files_that_an_archive_does_not_give_are_no_annotations(tmp_path: Path) -> None:
    image = photo(tmp_path / "a.jpg").read_bytes()
    members = {
        "cat/a.jpg": image,
        "__MACOSX/annotations/b.xml": b"x",
        "annotations/._b.xml": b"x",
        "../data.yaml": b"x",
    }
    archive = write_archive(tmp_path / "set.zip", members)
    for name in list(members)[1:3]:
        marked(archive, name, 8, 1)
    assert open_dataset(archive).labels == ["cat"]


def test_annotations_of_voc_beyond_the_limit_are_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat = voc_xml(voc_object("cat", 1, 1, 9, 9))
    folder = make_voc(tmp_path / "set", dict.fromkeys("abc", cat))
    archive = write_archive(tmp_path / "set.zip", members_of(folder))
    monkeypatch.setattr(archived, "_MOST_BYTES", len(cat) + 1)
    dataset = open_dataset(archive)
    assert dataset.labels == ["cat", "", ""]
    note = told(dataset, "2 annotations cannot be used")
    said = f"comes after the {len(cat) + 1:,} bytes that are read of such files in one go"
    assert note.endswith(f"b.xml': {said}. Expected a file of Pascal VOC. {UNPACK}")
    assert "Mend" not in note


def test_labels_of_yolo_beyond_the_limit_are_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = WHOLE + " " * 100
    folder = make_yolo(tmp_path / "set", {"train/a": long, "train/b": long, "val/e": long}, CONFIG)
    archive = write_archive(tmp_path / "set.zip", members_of(folder))
    monkeypatch.setattr(archived, "_MOST_BYTES", 150)
    dataset = open_dataset(archive)
    assert labels_of(dataset) == {"a.jpg": "cat", "b.jpg": "", "e.jpg": "cat"}
    said = "comes after the 150 bytes that are read of such files in one go"
    assert told(dataset, "not taken out").endswith(f"Cannot read 'labels/train/b.txt': {said}. {UNPACK}")
    monkeypatch.setattr(archived, "_MOST_BYTES", 80)
    with pytest.raises(DatasetError, match=r"comes after the 80 bytes that are read .* Unpack the archive"):
        open_dataset(archive)


def test_a_file_that_is_too_large_by_itself_is_still_to_be_mended(tmp_path: Path) -> None:
    cat = voc_xml(voc_object("cat", 1, 1, 9, 9))
    folder = make_voc(tmp_path / "set", {"a": cat, "b": cat + " " * (1 << 20)})
    for place in (folder, write_archive(tmp_path / "set.zip", members_of(folder))):
        note = told(open_dataset(place), "1 annotation cannot be used")
        assert note.endswith(
            "over the limit of 1,048,576. Expected a file of Pascal VOC. Mend it, or take it out of the dataset."
        )
