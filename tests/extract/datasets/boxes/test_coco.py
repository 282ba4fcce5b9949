"""Datasets in the form of COCO: boxes, categories and splits; what is wrong in a file is told with its place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stackbone.cache import DatasetError, FeatureStore
from stackbone.extract.datasets.boxes import coco_file, coco_json
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.files import folder
from stackbone.extract.datasets.folders.walking import folders_in_wrappers
from stackbone.extract.embedding.indexing import index_dataset
from tests.made.annotated import coco_content, make_coco, photo
from tests.made.archives import members_of, write_archive

CLASSES = ("dog", "cat", "cow")
OBJECTS: dict[str, list[tuple[str, float, float, float, float]] | None] = {
    "a.jpg": [("cat", 0, 0, 40, 30), ("dog", 1.5, 2.25, 10, 9)],
    "b.jpg": None,
}


def content(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {**coco_content(OBJECTS, CLASSES), **changes}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Make a folder in the form of COCO 2017, of two images in one split."""
    folder = tmp_path / "coco"
    for seed, name in enumerate(OBJECTS):
        photo(folder / "train2017" / name, seed=seed)
    return make_coco(folder, content())


def with_objects(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return content whose first annotations are changed."""
    made = content()
    for at, change in enumerate(changes):
        made["annotations"][at] = {**made["annotations"][at], **change}
    return made


def boxes(dataset: Dataset) -> dict[str, list[list[float]]]:
    return {path: image.corners.tolist() for path, image in (dataset.boxes or {}).items()}


def told(dataset: Dataset, about: str) -> str:
    [note] = [note for note in dataset.notes if about in note]
    return note


def test_boxes_labels_and_splits_are_read(coco: Path) -> None:
    dataset = open_dataset(coco)
    assert dataset.paths == ["train2017/a.jpg", "train2017/b.jpg"]
    assert (dataset.labels, dataset.splits, dataset.label_form) == (["cat|dog", "|"], ["train"] * 2, "sets")
    assert boxes(dataset) == {"train2017/a.jpg": [[0, 0, 40, 30], [1.5, 2.25, 10, 9]], "train2017/b.jpg": []}
    assert dataset.boxes is not None
    assert dataset.boxes.source == "coco"
    assert dataset.boxes["train2017/a.jpg"].classes == ("cat", "dog")
    assert dataset.name == "coco"


def test_names_are_one_text_whichever_system_wrote_them(coco: Path) -> None:
    made = content()
    made["categories"][1]["name"] = " cafe\u0301 "
    make_coco(coco, made)
    dataset = open_dataset(coco)
    assert dataset.boxes is not None
    assert dataset.boxes["train2017/a.jpg"].classes == ("caf\u00e9", "dog")
    assert dataset.labels == ["caf\u00e9|dog", "|"]


def test_a_crowd_is_marked(coco: Path) -> None:
    make_coco(coco, with_objects({"iscrowd": 1}))
    dataset = open_dataset(coco)
    assert dataset.boxes is not None
    assert dataset.boxes["train2017/a.jpg"].crowd.tolist() == [True, False]


@pytest.mark.parametrize(
    ("file", "images", "split"),
    [
        ("annotations/instances_train2017.json", "images/train2017", "train"),
        ("annotations/instances_val2017.json", "val2017", "validation"),
        ("annotations/instances_val.json", "images/valid", "validation"),
        ("annotations/instances_default.json", "images", ""),
        ("annotations/instances_default.json", "images/test", "test"),
        ("instances_test.json", ".", "test"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "validation"),
        ("annotations/train.json", "train", "train"),
        ("annotations.json", "images", ""),
        ("result.json", "images", ""),
        ("Annotations/whatever.json", "data/../images", ""),
    ],
)
def test_images_are_found_where_each_writer_puts_them(tmp_path: Path, file: str, images: str, split: str) -> None:
    folder = tmp_path / "set"
    named = dict(OBJECTS)
    if images == "images/test" and "default" in file:
        named = {f"test/{name}": each for name, each in named.items()}
        images = "images"
    for seed, name in enumerate(named):
        photo(folder / images.replace("data/../", "") / name, seed=seed)
    make_coco(folder, coco_content(named, CLASSES), file)
    dataset = open_dataset(folder)
    assert (dataset.n, dataset.labels, dataset.splits) == (2, ["cat|dog", "|"], [split] * 2)
    assert len(boxes(dataset)) == 2


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ("val2017", "images"),
        ("images/val2017", "images"),
        ("val2017", "."),
        ("valid", "images"),
        ("images/val", "images"),
        ("val2017", "val"),
        ("val2017/images", "images"),
    ],
)
def test_the_folder_that_a_file_is_named_after_has_its_images(tmp_path: Path, own: str, other: str) -> None:
    folder = tmp_path / "set"
    photo(folder / own / "1.jpg", seed=1)
    for seed, name in enumerate(["1.jpg", "2.jpg"], start=2):  # other pictures of the same names
        photo(folder / other / name, seed=seed)
    named: dict[str, Any] = {"1.jpg": OBJECTS["a.jpg"], "2.jpg": OBJECTS["a.jpg"]}
    make_coco(folder, coco_content(named, CLASSES), "annotations/instances_val2017.json")
    dataset = open_dataset(folder)
    assert [*boxes(dataset)] == dataset.paths == [f"{own}/1.jpg"]
    assert told(dataset, "files are missing").endswith(": '2.jpg'.")


def test_a_single_image_in_the_folder_of_a_files_name_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    names = [f"{i}.jpg" for i in range(200)]  # more than are tried at first
    photo(folder / "train2017" / "151.jpg", seed=1)
    photo(folder / "images" / "0.jpg", seed=2)
    make_coco(folder, coco_content(dict.fromkeys(names), CLASSES))
    assert open_dataset(folder).paths == ["train2017/151.jpg"]


def test_of_folders_as_likely_the_one_with_most_images_counts(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    photo(folder / "images" / "a.jpg", seed=1)
    for seed, name in enumerate(OBJECTS, start=2):
        photo(folder / name, seed=seed)
    make_coco(folder, content(), "annotations.json")
    assert open_dataset(folder).paths == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("instances_log.json", '{"runs": 3}'),
        ("train/instances_of_cats.json", '["a", "b"]'),
        ("models.coco.json", '{"names": ["cat"]}'),
        ("instances_broken.json", "{"),
        ("instances_list.json", '{"images": ["a.jpg"]}'),
    ],
)
def test_class_folders_beside_a_file_of_such_a_name_keep_their_labels(tmp_path: Path, name: str, text: str) -> None:
    for seed, place in enumerate(["train/cat", "train/dog", "val/cat", "val/dog"]):
        photo(tmp_path / "set" / place / "a.jpg", seed=seed)
    (tmp_path / "set" / name).write_text(text)
    dataset = open_dataset(tmp_path / "set")
    assert (dataset.labels, dataset.boxes) == (["cat", "dog", "cat", "dog"], None)


@pytest.mark.parametrize("order", ["images", "annotations", "categories"])
def test_a_large_file_of_such_a_name_is_known_whatever_comes_first(tmp_path: Path, order: str) -> None:
    made = content()
    made["annotations"][0]["segmentation"] = [[1.5] * 40_000]
    made["categories"] += [{"id": 100 + i, "name": f"{i}", "about": "x" * 900} for i in range(200)]
    made["images"] += [{"id": 100 + i, "file_name": f"absent{i}.jpg", "about": "x" * 900} for i in range(200)]
    for seed, name in enumerate(OBJECTS):
        photo(tmp_path / "set" / name, seed=seed)
    first = {order: made.pop(order)}
    make_coco(tmp_path / "set", first | made, "instances_all.json")
    assert boxes(open_dataset(tmp_path / "set"))["a.jpg"] == [[0, 0, 40, 30], [1.5, 2.25, 10, 9]]


def test_the_folder_is_looked_through_once(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def look(path: Path) -> list[Path]:
        looks.append(path)
        return [*folders_in_wrappers(path)]

    monkeypatch.setattr(folder, "folders_in_wrappers", look)
    assert open_dataset(coco).n == 2
    assert looks == [coco] * 2, "once for Pascal VOC, and once for COCO"


def test_several_files_are_splits_of_one_dataset(coco: Path) -> None:
    photo(coco / "val2017" / "c.jpg", seed=7)
    make_coco(coco, coco_content({"c.jpg": [("cow", 1, 1, 2, 2)]}, CLASSES), "annotations/instances_val2017.json")
    make_coco(coco, {"images": [], "annotations": []}, "annotations/captions_train2017.json")
    dataset = open_dataset(coco)
    assert dict(zip(dataset.paths, dataset.splits, strict=True)) == {
        "train2017/a.jpg": "train",
        "train2017/b.jpg": "train",
        "val2017/c.jpg": "validation",
    }
    assert dataset.labels == ["cat|dog", "|", "cow"]


@pytest.mark.parametrize("kind", ["", ".zip", ".tar.gz"])
@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/batch_{:03}_labels.json", "images"),
        ("instances_{:03}.json", "images"),
        ("{:03}.coco.json", ""),
        ("train/{:03}.coco.json", "train"),
    ],
)
def test_no_image_is_lost_however_many_files_tell_of_images(tmp_path: Path, file: str, images: str, kind: str) -> None:
    for number in range(120):
        photo(tmp_path / "set" / images / f"{number}.jpg", (4, 3), seed=number)
        made = coco_content({f"{number}.jpg": [("cat", 0, 0, 4, 3)]}, ("cat",), (4, 3))
        make_coco(tmp_path / "set", made, file.format(number))
    here = tmp_path / "set"
    dataset = open_dataset(write_archive(tmp_path / f"set{kind}", members_of(here)) if kind else here)
    assert (dataset.n, set(dataset.labels), len(boxes(dataset))) == (120, {"cat"}, 120)
    assert not any("left out" in note for note in dataset.notes)


def test_images_that_are_excluded_are_not_told_as_left_out(coco: Path) -> None:
    for name in ("a_mask.png", "c.jpg"):
        photo(coco / "train2017" / name)
    assert told(open_dataset(coco), "left out").startswith("2 images left out that no annotations list")
    dataset = open_dataset(coco, exclude="*_mask.png")
    assert told(dataset, "left out") == "1 image left out that no annotations list: 'train2017/c.jpg'."
    assert (dataset.n, dataset.has_labels) == (2, True)


def test_an_image_of_two_files_counts_for_the_first(coco: Path) -> None:
    make_coco(coco, coco_content({"train2017/a.jpg": [("cow", 1, 1, 2, 2)]}, CLASSES), "annotations/instances_val.json")
    dataset = open_dataset(coco)
    assert (dataset.labels, dataset.splits) == (["cat|dog", "|"], ["train"] * 2)
    assert "1 image of 'annotations/instances_val.json' also in another file, which counts" in told(dataset, "also in")


def test_labels_are_not_read_where_they_are_not_asked_for(coco: Path) -> None:
    make_coco(coco, content(annotations="none", categories=3))
    dataset = open_dataset(coco, label_column=None)
    assert (dataset.n, dataset.boxes, dataset.labels, dataset.splits) == (2, None, ["", ""], ["train"] * 2)


def test_other_json_beside_class_folders_is_no_annotation(tmp_path: Path) -> None:
    for seed, name in enumerate(("cat/a.jpg", "dog/b.jpg")):
        photo(tmp_path / name, seed=seed)
    (tmp_path / "info.json").write_text('{"images": [], "annotations": []}')
    (tmp_path / "other.json").write_text("[" * 1000)
    dataset = open_dataset(tmp_path)
    assert (dataset.labels, dataset.boxes) == (["cat", "dog"], None)


@pytest.mark.parametrize(
    ("change", "said", "labels"),
    [
        ({"bbox": [5, 5, -2, 3]}, "swapped", "cat|dog"),
        ({"bbox": [5, 5, float("nan"), 3]}, "no numbers of pixels", "cat|dog"),
        ({"bbox": [5.5, 5, 10**400, 3]}, "no numbers of pixels", "cat|dog"),
        ({"bbox": [5, 5, 3]}, "no numbers of pixels", "cat|dog"),
        ({"bbox": None}, "no numbers of pixels", "cat|dog"),
        ({"bbox": ["1", "2", "3", "4"]}, "no numbers of pixels", "cat|dog"),
        ({"bbox": [True, 1, 2, 3]}, "no numbers of pixels", "cat|dog"),
        ({"category_id": 77}, "a category that is not declared", ""),
    ],
    ids=["swapped", "NaN", "huge", "three", "none", "texts", "a truth value", "unknown category"],
)
def test_an_image_with_a_wrong_object_is_told(coco: Path, change: dict[str, Any], said: str, labels: str) -> None:
    make_coco(coco, with_objects(change))
    dataset = open_dataset(coco)
    assert boxes(dataset) == {"train2017/b.jpg": []}
    assert dataset.labels == [labels, "|"]
    note = told(dataset, "are left out (images")
    assert said in note
    assert note.endswith(": 'a.jpg'.")


def test_a_box_without_area_is_left_out(coco: Path) -> None:
    make_coco(coco, with_objects({"bbox": [5, 5, 0, 3]}))
    dataset = open_dataset(coco)
    assert boxes(dataset)["train2017/a.jpg"] == [[1.5, 2.25, 10, 9]]
    assert told(dataset, "left out") == "1 box left out (boxes that have no area): in 'a.jpg'."


def test_wrong_objects_alone_are_refused(coco: Path) -> None:
    made = content()
    del made["images"][1]
    made["annotations"][0]["bbox"] = [5, 5, -2, 3]
    make_coco(coco, made)
    with pytest.raises(DatasetError, match=r"swapped .*: 'a\.jpg'"):
        open_dataset(coco)


def test_objects_of_no_image_and_images_without_a_file_are_told(coco: Path) -> None:
    make_coco(coco, with_objects({"image_id": 99}))
    (coco / "train2017" / "b.jpg").unlink()
    photo(coco / "train2017" / "z.jpg", seed=9)
    dataset = open_dataset(coco)
    assert boxes(dataset) == {"train2017/a.jpg": [[1.5, 2.25, 10, 9]]}
    file = "'annotations/instances_train2017.json'"
    assert told(dataset, "does not list") == f"1 annotation in {file} of images that it does not list."
    assert told(dataset, "missing") == f"1 image of {file} left out, since their files are missing: 'b.jpg'."
    assert told(dataset, "no annotations list") == "1 image left out that no annotations list: 'train2017/z.jpg'."


def test_a_folder_without_any_of_its_images_is_refused(coco: Path) -> None:
    for name in OBJECTS:
        (coco / "train2017" / name).unlink()
    with pytest.raises(DatasetError, match=r"none of those that the annotations .* name is there\. 2 images .*missing"):
        open_dataset(coco)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "{}/secret.jpg", "x/../../secret.jpg", "..\\secret.jpg", "C:\\a.jpg"]
)
def test_paths_that_lead_out_of_the_folder_are_not_followed(coco: Path, name: str) -> None:
    photo(coco.parent / "secret.jpg", seed=5)
    made = content()
    made["images"][1]["file_name"] = name.format(coco.parent)
    make_coco(coco, made)
    dataset = open_dataset(coco)
    assert dataset.paths == ["train2017/a.jpg"]
    is_absolute = name.startswith(("{", "C:"))
    said = "their paths lead out of the folder" if is_absolute else "their files are missing"
    assert said in told(dataset, "left out, since")


def test_a_path_may_wander_within_the_folder_and_be_of_windows(coco: Path) -> None:
    made = content()
    made["images"][0]["file_name"] = "..\\train2017\\a.jpg"
    make_coco(coco, made)
    assert open_dataset(coco).labels == ["cat|dog", "|"]


def test_two_images_of_one_number_have_no_labels(coco: Path) -> None:
    made = content()
    made["images"][1]["id"] = made["images"][0]["id"]
    photo(coco / "train2017" / "c.jpg", seed=9)
    made["images"].append({"id": 44, "file_name": "c.jpg"})
    make_coco(coco, made)
    dataset = open_dataset(coco)
    assert dataset.labels == ["", "", "|"]
    assert [*boxes(dataset)] == ["train2017/c.jpg"]
    assert told(dataset, "share their number").endswith(": 'a.jpg', 'b.jpg'.")


def test_an_object_listed_twice_counts_once(coco: Path) -> None:
    made = content()
    made["annotations"] += [dict(made["annotations"][0]), {**made["annotations"][1], "bbox": [1, 1, 2, 2]}]
    make_coco(coco, made)
    dataset = open_dataset(coco)
    assert boxes(dataset)["train2017/a.jpg"] == [[0, 0, 40, 30], [1.5, 2.25, 10, 9], [1, 1, 3, 3]]
    assert told(dataset, "listed twice").startswith("1 annotation in ")
    assert told(dataset, "a number that another one has").startswith("1 annotation in ")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("[1, 2", "no JSON"),
        ("[]", "a JSON list"),
        ("[" * 200_000, "nested too deeply"),
        ('{"images": ' + "9" * 5000 + "}", "no JSON"),
        (content(images={}), "no list of images"),
        (content(images=[3]), r"images\[0\], a JSON int"),
        (content(images=[{"id": 1}]), r"images\[0\] without a file_name"),
        (content(images=[{"file_name": "a.jpg"}]), r"images\[0\] without id"),
        (content(images=[{"id": [1], "file_name": "a.jpg"}]), r"images\[0\] with the id a JSON list"),
        (content(annotations=None), "no list of annotations"),
        (content(annotations=[{}]), r"annotations\[0\] without image_id"),
        (content(annotations=[{"image_id": 10}]), r"annotations\[0\] without category_id"),
        (content(categories=[{"id": 1}]), r"categories\[0\] with no name"),
        (content(categories=[{"id": 1, "name": "a\0"}]), r"categories\[0\] with the name 'a\\x00', which holds a zero"),
        (content(categories=[{"id": 1, "name": "a\ud800"}]), r"the name 'a\\ud800', which holds half of a character"),
        (content(categories=[{"id": 1, "name": 3}]), r"categories\[0\] with the name 3"),
        (content(images=[{"id": 1.5, "file_name": "a.jpg"}]), r"images\[0\] with the id 1\.5"),
        (content(annotations=[{"image_id": True}]), r"annotations\[0\] with the image_id True"),
        (content(annotations=[{"image_id": 10, "category_id": float("nan")}]), r"with the category_id nan"),
        ('{"images": [{"id": 1, "file_name": "a"}] "annotations": []}', "no JSON"),
        ('{"images": [], "annotations": [], "categories": []} x', "no JSON"),
        ('{"images": [{"id": 1, "file_', "no JSON"),
        ('{"info": [[{"a": "]"}]', "no JSON"),
        ("{1: 2}", "no JSON"),
        (content(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "the category 1 named 'a' and 'b'"),
        (content(categories=[{"id": i, "name": "a|b"} for i in (1, 2)]), r"The label 'a\|b'"),
    ],
)
def test_a_file_that_is_no_annotations_is_refused_with_its_name(coco: Path, made: Any, said: str) -> None:  # noqa: ANN401
    make_coco(coco, made)
    with pytest.raises(DatasetError, match=said) as found:
        open_dataset(coco)
    assert str(coco) in str(found.value)


def test_a_huge_file_is_refused_unread(coco: Path) -> None:
    with open(coco / "annotations" / "instances_train2017.json", "ab") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(DatasetError, match="over the limit"):
        open_dataset(coco)


def test_sizes_of_another_image_are_found_out_when_it_is_indexed(coco: Path, store: FeatureStore) -> None:
    made = content()
    made["images"][0]["width"] = 400
    make_coco(coco, made)
    index = index_dataset(open_dataset(coco), store)
    table = store.boxes("coco")
    assert table is not None
    assert len(table) == 1
    assert [note for note in index.listed.notes if "another size" in note and "'train2017/a.jpg'" in note]


@pytest.mark.parametrize("as_written", [float, lambda number: number], ids=["by pandas", "whole"])
def test_numbers_may_be_written_with_a_decimal_point(coco: Path, as_written: Callable[[int], float]) -> None:
    made = content()
    for key, names in {"images": ["id", "width", "height"], "annotations": ["id", "image_id", "category_id"]}.items():
        made[key] = [{**each, **{name: as_written(each[name]) for name in names}} for each in made[key]]
    make_coco(coco, made)
    assert boxes(open_dataset(coco))["train2017/a.jpg"] == [[0, 0, 40, 30], [1.5, 2.25, 10, 9]]


def test_a_text_as_number_is_another_one_than_a_second_image_of_a_number(coco: Path) -> None:
    photo(coco / "train2017" / "c.jpg", seed=5)
    made = content()
    made["images"] += [{"id": 10, "file_name": "c.jpg"}, {"id": "10 of 2", "file_name": "d.jpg"}]
    made["annotations"] += [{"image_id": "10 of 2", "category_id": 1, "bbox": [0, 0, 9, 9]}]
    photo(coco / "train2017" / "d.jpg", seed=6)
    make_coco(coco, made)
    assert boxes(open_dataset(coco)) == {"train2017/b.jpg": [], "train2017/d.jpg": [[0, 0, 9, 9]]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_file_means_the_same_however_it_is_read(
    coco: Path, encoding: str, indent: int | None, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = content(info={"who": 'a "b" [c \\', "x": [[1, {"y": []}], "\u00e9"]}, n=12.5, none=None)
    made["categories"][1]["name"] = "caf\u00e9 \U0001f600"
    text = json.dumps(made, indent=indent, ensure_ascii=encoding == "utf-8")
    (coco / "annotations" / "instances_train2017.json").write_text(text, encoding=encoding)
    monkeypatch.setattr(coco_json, "_PIECE", piece)
    dataset = open_dataset(coco)
    assert boxes(dataset)["train2017/a.jpg"] == [[0, 0, 40, 30], [1.5, 2.25, 10, 9]]
    assert dataset.labels == ["caf\u00e9 \U0001f600|dog", "|"]


HOSTILE = {
    "a list of lists": '"annotations": [' + "[]," * 700_000 + "1]",
    "a list under another key": '"annotations": [], "more": [' + "[]," * 700_000 + "1]",
    "an outline": '"annotations": [{"image_id": 1, "category_id": 1, "segmentation": [' + "[]," * 700_000 + "1]}]",
    "a box": '"annotations": [{"image_id": 1, "category_id": 1, "bbox": [' + "[]," * 2_000_000 + "1]}]",
    "a name": '"annotations": [{"image_id": ' + "[" * 500 + "]" * 500 + "}]",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_nobody_asked_for_takes_no_memory(coco: Path, case: str) -> None:
    head = '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "a"}], '
    make_coco(coco, f"{head}{HOSTILE[case]}}}")
    tracemalloc.start()
    try:
        with suppress(DatasetError):
            open_dataset(coco)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (70 << 20 if case in ("an outline", "a box") else 15 << 20)


def test_an_element_that_is_far_too_long_is_refused_with_its_place(coco: Path) -> None:
    made = content()
    make_coco(coco, made | {"images": [made["images"][0], {"id": 3, "file_name": "b" * (6 << 20)}]})
    with pytest.raises(DatasetError, match=r"images\[1\] of more than 2,097,152 characters") as found:
        open_dataset(coco)
    assert len(str(found.value)) < 1000


def test_what_is_kept_of_a_file_is_what_counts(coco: Path) -> None:
    file = coco / "annotations" / "instances_train2017.json"
    assert json.loads(file.read_text())["annotations"][0]["segmentation"]
    with file.open("rb") as stream:
        read = coco_json.read_lists(file, stream, coco_file._kept(file, labelled=True))
    assert read["annotations"][1] == (1, 10, 1, (1.5, 2.25, 8.5, 6.75), False)
    assert read["images"] == [(10, "a.jpg", (40, 30)), (11, "b.jpg", (40, 30))]
    with file.open("rb") as stream:
        assert coco_json.read_lists(file, stream, coco_file._kept(file, labelled=False)).keys() == {"images"}
