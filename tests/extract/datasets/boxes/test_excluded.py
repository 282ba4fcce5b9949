"""What the user leaves out has a say in whether a folder is Pascal VOC; what is passed over is told with a remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stackbone.extract.datasets.dataset import Dataset, open_dataset
from tests.made.annotated import make_yolo, photo, voc_object, voc_xml
from tests.made.annotated_places import places_of


def annotated(folder: Path, images: str, annotations: str, n: int = 3) -> Path:
    """Make images in a folder, with annotations in another."""
    for number in range(n):
        photo(folder / images / f"{number}.jpg", seed=number)
        (folder / annotations).mkdir(parents=True, exist_ok=True)
        (folder / annotations / f"{number}.xml").write_text(voc_xml(voc_object("cat", 1, 1, 9, 9)))
    return folder


def beside(folder: Path, names: Sequence[str]) -> Path:
    for seed, name in enumerate(names):
        photo(folder / name, seed=90 + seed)
    return folder


def with_masks(folder: Path) -> Path:
    """Make images and annotations, with masks and depths of each image in folders of their own."""
    masks = [f"{sort}/{number}.png" for sort in ("masks", "depth") for number in range(3)]
    return beside(annotated(folder, "images", "annotations"), masks)


def with_unlabelled(folder: Path) -> Path:
    """Make a split as Roboflow writes it, beside more images that nobody annotated."""
    return beside(annotated(folder, "train", "train"), [f"unlabelled/{number}.jpg" for number in range(5)])


def with_crops(folder: Path) -> Path:
    """Make images with annotations beside them, above a folder of crops."""
    return beside(annotated(folder, "", ""), [f"crops of cats/{number}.jpg" for number in range(4)])


FORMS = [(with_masks, ["masks", "depth"]), (with_unlabelled, ["unlabelled"]), (with_crops, ["crops of cats"])]


def is_read(dataset: Dataset) -> bool:
    """Return whether the three annotated images are there, and no others."""
    return (dataset.n, [*dataset.labels]) == (3, ["cat"] * 3) and dataset.boxes is not None


def remedy(dataset: Dataset) -> list[str]:
    """Return what the note on annotations that are passed over says to leave out."""
    [note] = [note for note in dataset.notes if "passed over" in note]
    typed = re.search(r"To read (?:it|them) and leave those out, add (.*)\.$", note)
    assert typed is not None, note
    words = shlex.split(typed[1])
    assert words[::2] == ["--exclude"] * (len(words) // 2)
    return words[1::2]


@pytest.mark.parametrize(("form", "left_out"), FORMS, ids=["masks", "unlabelled", "crops"])
def test_images_that_are_excluded_do_not_make_annotations_stray(
    tmp_path: Path, form: Callable[[Path], Path], left_out: list[str]
) -> None:
    for place in places_of(form(tmp_path / "set")):
        dataset = open_dataset(place, exclude=left_out)
        assert is_read(dataset)
        assert not any("left out" in note or "leaves out" in note for note in dataset.notes)


@pytest.mark.parametrize(("form", "left_out"), FORMS, ids=["masks", "unlabelled", "crops"])
def test_annotations_that_are_passed_over_are_told_and_the_remedy_works(
    tmp_path: Path, form: Callable[[Path], Path], left_out: list[str]
) -> None:
    for place in places_of(form(tmp_path / "set")):
        dataset = open_dataset(place)
        assert dataset.boxes is None
        assert sorted(remedy(dataset)) == sorted(left_out)
        assert is_read(open_dataset(place, exclude=remedy(dataset)))
        assert not any("passed over" in note for note in open_dataset(place, label_column=None).notes)


@pytest.mark.parametrize(
    "names",
    [
        [f"{number}.jpg" for number in range(4)],
        [f"a[1]*?/{number}.png" for number in range(4)],
        [f"-x/{number}.png" for number in range(4)],
        [f"images/deeper/old/{number}.jpg" for number in range(4)],
        [f"more/images/{number}.jpg" for number in range(4)],
        [f"annotations/masks/{number}.png" for number in range(4)],
    ],
    ids=["of the names of others", "brackets", "dash", "below images", "the same folder elsewhere", "of annotations"],
)
def test_the_remedy_works_whatever_the_names(tmp_path: Path, names: Sequence[str]) -> None:
    for place in places_of(beside(annotated(tmp_path / "set", "images", "annotations"), names)):
        assert is_read(open_dataset(place, exclude=remedy(open_dataset(place))))


def test_a_wrapper_changes_nothing_of_the_remedy(tmp_path: Path) -> None:
    inner = annotated(tmp_path / "set" / "inner", "images", "annotations")
    beside(inner, [*(f"{number}.jpg" for number in range(3)), "old/images/1.jpg"])
    for place in places_of(tmp_path / "set"):
        assert is_read(open_dataset(place, exclude=remedy(open_dataset(place))))


def test_what_is_told_counts_and_names(tmp_path: Path) -> None:
    [note] = [note for note in open_dataset(with_masks(tmp_path / "set")).notes if "Pascal VOC" in note]
    assert note == (
        "3 images have annotations in the form of Pascal VOC (such as 'annotations/0.xml'), passed over since 6 images "
        "elsewhere would be left out: 'depth/0.png', 'depth/1.png', 'depth/2.png', .... To read them and leave those "
        "out, add --exclude depth --exclude masks."
    )


def test_a_stray_annotation_beside_many_folders_is_to_be_moved(tmp_path: Path) -> None:
    names = [f"class {number}/{each}.jpg" for number in range(6) for each in range(2)]
    dataset = open_dataset(beside(annotated(tmp_path / "set", "images", "annotations", 1), names))
    [note] = [note for note in dataset.notes if "passed over" in note]
    assert note.endswith("To read it, move the image and its annotation to another folder, and name that.")
    assert note.startswith("1 image has an annotation in the form of Pascal VOC")
    assert len(dataset.classes) == 7


def test_annotated_images_that_are_excluded_leave_folders_of_classes(tmp_path: Path) -> None:
    for place in places_of(beside(annotated(tmp_path / "set", "images", "annotations"), ["cat/a.jpg", "dog/b.jpg"])):
        assert open_dataset(place, exclude="images").labels == ["cat", "dog"]


def test_an_image_that_is_excluded_is_not_told_as_left_out_or_not_annotated(tmp_path: Path) -> None:
    folder = beside(annotated(tmp_path / "set", "images", "annotations"), ["images/x.jpg", "masks/0.png", "raw/1.png"])
    for place in places_of(folder):
        notes = " ".join(open_dataset(place, exclude=["masks", "x.jpg"]).notes)
        assert "1 image left out that no folder of annotated images holds: 'raw/1.png'." in notes
        assert "without an annotation" not in notes


def test_an_image_of_yolo_that_is_excluded_is_not_told_to_show_no_object(tmp_path: Path) -> None:
    config = "train: images/train\nval: images/val\nnames: [cat]\n"
    labels = {"train/a": "0 .5 .5 1 1", "train/b": None, "train/c": None, "val/d": None, "val/e": None}
    for place in places_of(make_yolo(tmp_path / "set", labels, config)):
        notes = " ".join(open_dataset(place, exclude=["b.jpg", "d.jpg"]).notes)
        assert "1 image of 'train' without a file of labels, taken to show no object: 'images/train/c.jpg'." in notes
        assert "1 image of 'validation' not annotated, since no file of labels is there." in notes
