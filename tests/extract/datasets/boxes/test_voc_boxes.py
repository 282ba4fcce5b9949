"""Boxes of Pascal VOC: the corners of pixels become edges, and what cannot be a box is told and left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import DatasetError
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from tests.made.annotated import make_voc, voc_object, voc_xml


def boxes_of(dataset: Dataset, name: str) -> ImageBoxes:
    assert dataset.boxes is not None
    return dataset.boxes[f"JPEGImages/{name}.jpg"]


def test_first_and_last_pixels_become_edges(tmp_path: Path) -> None:
    cat = voc_object("cat", 1, 1, 40, 30)
    dog = voc_object("dog", 2, 3, 2, 9, more="<difficult>1</difficult><truncated>1</truncated>")
    dataset = open_dataset(make_voc(tmp_path / "voc", {"a": voc_xml(cat, dog), "b": voc_xml(), "c": None}))
    found = boxes_of(dataset, "a")
    assert found.corners.tolist() == [[0, 0, 40, 30], [1, 2, 2, 9]]
    assert (found.classes, found.difficult.tolist(), found.crowd.tolist()) == (
        ("cat", "dog"),
        [False, True],
        [False] * 2,
    )
    assert (found.width, found.height) == (40, 30)
    assert len(boxes_of(dataset, "b")) == 0
    assert dataset.boxes is not None
    assert dataset.boxes.keys() == {"JPEGImages/a.jpg", "JPEGImages/b.jpg"}
    assert dataset.boxes.source == "voc"
    assert dataset.labels == ["cat|dog", "|", ""]


def test_parts_of_objects_are_no_objects(tmp_path: Path) -> None:
    head = "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></part>"
    person = voc_object("person", 1, 1, 10, 10, more=head)
    dataset = open_dataset(make_voc(tmp_path / "voc", {"a": voc_xml(person)}))
    assert boxes_of(dataset, "a").corners.tolist() == [[0, 0, 10, 10]]
    assert dataset.labels == ["person"]


def test_names_may_hold_spaces_and_numbers_a_fraction(tmp_path: Path) -> None:
    one = voc_object("traffic light", "45.5e-1", " 2 ", 10.25, "+9")
    dataset = open_dataset(make_voc(tmp_path / "voc", {"img 1 (2)": voc_xml(one)}))
    assert boxes_of(dataset, "img 1 (2)").corners.tolist() == [[3.5499999523162842, 1, 10.25, 9]]
    assert boxes_of(dataset, "img 1 (2)").classes == ("traffic light",)


def test_boxes_are_not_read_where_labels_are_not_asked_for(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(voc_object("cat", 1, 1, 2, 2))})
    assert open_dataset(folder, label_column=None).boxes is None


def test_what_is_left_out_has_no_boxes_either(tmp_path: Path) -> None:
    cat = voc_xml(voc_object("cat", 1, 1, 2, 2))
    dataset = open_dataset(make_voc(tmp_path / "voc", {"a": cat, "b": cat}), exclude="b.jpg")
    assert dataset.boxes is not None
    assert [*dataset.boxes] == ["JPEGImages/a.jpg"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (voc_object("cat", 9, 1, 2, 2), "swapped"),
        (voc_object("cat", 1, 9, 2, 2), "swapped"),
        (voc_object("cat", "nan", 1, 2, 2), "no numbers of pixels"),
        (voc_object("cat", "inf", 1, "inf", 2), "no numbers of pixels"),
        (voc_object("cat", 1, 1, "1e300", 2), "no numbers of pixels"),
        (voc_object("cat", 1, 1, "two", 2), "no numbers of pixels"),
        (voc_object("cat", 1, 1, 5), "no numbers of pixels"),
        ("<object><name>cat</name></object>", "objects that have no box"),
    ],
    ids=["right before left", "bottom above top", "NaN", "infinite", "huge", "a word", "one is missing", "no box"],
)
def test_an_image_with_a_wrong_box_is_told_and_keeps_its_labels_alone(tmp_path: Path, wrong: str, said: str) -> None:
    good = voc_xml(voc_object("dog", 1, 1, 9, 9))
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(wrong, voc_object("dog", 1, 1, 9, 9)), "b": good})
    dataset = open_dataset(folder)
    assert dataset.boxes is not None
    assert [*dataset.boxes] == ["JPEGImages/b.jpg"]
    assert dataset.labels == ["cat|dog", "dog"]
    [note] = [note for note in dataset.notes if "are left out (images" in note]
    assert note.startswith("The boxes of 1 image are left out (images ")
    assert said in note
    assert note.endswith(": 'Annotations/a.xml'.")


def test_wrong_boxes_alone_are_refused(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", dict.fromkeys("abcd", voc_xml(voc_object("cat", 9, 1, 2, 2))))
    with pytest.raises(DatasetError, match=r"swapped .*: 'Annotations/a.xml', .*, \.\.\.") as found:
        open_dataset(folder)
    assert "--no-labels" in str(found.value)
    assert open_dataset(folder, label_column=None).n == 4


def test_annotations_without_any_box_are_labels_as_ever(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml("<object><name>cat</name></object>"), "b": voc_xml()})
    dataset = open_dataset(folder)
    assert (dataset.boxes, dataset.labels) == (None, ["cat", "|"])
    assert "The annotations tell no boxes." in dataset.notes


def test_a_click_is_no_box(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "voc", {"a": voc_xml(voc_object("cat", 7, 7, 7, 7), voc_object("dog", 7, 7, 7, 8))})
    dataset = open_dataset(folder)
    assert boxes_of(dataset, "a").corners.tolist() == [[6, 6, 7, 8]]
    assert (
        "1 box left out (boxes that are a single pixel, as a click leaves them): in 'Annotations/a.xml'."
        in dataset.notes
    )


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'
SECRET = '<!DOCTYPE a [<!ENTITY x SYSTEM "{}">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", [LAUGHS, SECRET, '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">'])
def test_a_document_type_is_refused_before_it_has_an_effect(tmp_path: Path, doctype: str, encoding: str) -> None:
    (tmp_path / "secret").write_text("a secret")
    folder = make_voc(tmp_path / "voc", {"a": None, "b": voc_xml(voc_object("dog", 1, 1, 9, 9))})
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    text = head + doctype.format((tmp_path / "secret").as_uri()) + voc_xml(voc_object("&c;&x;", 1, 1, 9, 9))
    (folder / "Annotations" / "a.xml").write_bytes(text.encode(encoding))
    dataset = open_dataset(folder)
    assert dataset.labels == ["", "dog"]
    [note] = [note for note in dataset.notes if "cannot be used" in note]
    assert "'Annotations/a.xml'" in note
    assert "declares a document type" in note
    assert "secret" not in str(dataset.labels)


def test_deep_nesting_harms_nothing(tmp_path: Path) -> None:
    deep = "<annotation>" + "<a>" * 100_000 + "</a>" * 100_000 + "</annotation>"
    dataset = open_dataset(make_voc(tmp_path / "voc", {"a": deep}))
    assert dataset.labels == ["|"]


def test_blood_cells_have_the_boxes_of_their_annotations(shared_data: Path) -> None:
    folder = shared_data / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    dataset = open_dataset(folder)
    assert dataset.boxes is not None
    counts = Counter(name for boxes in dataset.boxes.values() for name in boxes.classes)
    # Two of the 4,155 red cells that are annotated are single points.
    assert (len(dataset.boxes), counts) == (364, {"RBC": 4153, "WBC": 372, "Platelets": 361})
    [note] = [note for note in dataset.notes if "left out" in note]
    assert note.startswith("2 boxes left out (boxes that are a single pixel")
    assert "BloodImage_00338.xml" in note
    assert "BloodImage_00343.xml" in note
    assert {(boxes.width, boxes.height) for boxes in dataset.boxes.values()} == {(640, 480)}
    corners = np.concatenate([boxes.corners for boxes in dataset.boxes.values()])
    assert (corners.min(), corners[:, 2].max(), corners[:, 3].max()) == (0, 640, 480)
