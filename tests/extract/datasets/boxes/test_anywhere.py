"""A dataset with boxes is the same in its folder, in an archive and behind a URL: digests, labels, splits, boxes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.boxes.box_file import boxes_path
from stackbone.cache.disk import digest
from stackbone.cache.errors import DatasetError, RemoteError, UsageError
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.extract.datasets.archives import annotations as annotated_archives
from stackbone.extract.datasets.archives import members, trees
from stackbone.extract.datasets.boxes import fitting, sizes
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.datasets.files import archived
from stackbone.extract.datasets.kinds import voc as kinds_voc
from stackbone.extract.embedding.indexing import index_dataset
from tests.made.annotated import coco_content, make_coco, make_voc, make_yolo, photo, voc_object, voc_xml
from tests.made.annotated_places import in_archive, in_memory, places_of
from tests.made.archives import members_of, write_archive
from tests.made.caches import on_disk
from tests.made.lost_streams import lose_after
from tests.made.servers import web_server

CONFIG = "path: ../datasets/set\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"
WHOLE = "0 0.5 0.5 1 1"


def voc(folder: Path) -> Path:
    """Make a folder as VOCtrainval.zip unpacks, with an image that nobody annotated and one of a wrong size."""
    inner = folder / "VOCdevkit" / "VOC2007"
    cat, dog = voc_object("cat", 1, 1, 40, 30), voc_object("dog", 2, 3, 20, 9, more="<difficult>1</difficult>")
    annotated = {"a": voc_xml(cat, dog), "b c": voc_xml(), "d": None, "é": voc_xml(dog), "f": voc_xml(cat, size=(4, 3))}
    make_voc(inner, annotated)
    (inner / "ImageSets" / "Main").mkdir(parents=True)
    (inner / "ImageSets" / "Main" / "train.txt").write_text("a\nb c\n")
    (inner / "ImageSets" / "Main" / "val.txt").write_text("d\né\nf\n", encoding="utf-8")
    return folder


def coco(folder: Path) -> Path:
    """Make a folder in the layout of COCO 2017."""
    for seed, tag in enumerate(("train2017", "val2017")):
        names = {"1.jpg": [("cat", 1, 2, 10, 9), ("dog", 0, 0, 40, 30)], "2.jpg": []}
        for number, name in enumerate(names):
            photo(folder / tag / name, seed=10 * seed + number)
        make_coco(folder, coco_content(names, ("cat", "dog")), f"annotations/instances_{tag}.json")
        make_coco(folder, {"info": {}, "licenses": []}, f"annotations/captions_{tag}.json")
    return folder


def roboflow(folder: Path) -> Path:
    """Make a folder as Roboflow writes it in the form of COCO."""
    for seed, split in enumerate(("train", "valid", "test")):
        photo(folder / split / "a_jpg.rf.1.jpg", seed=seed)
        made = coco_content({"a_jpg.rf.1.jpg": [("dog", 1, 2, 10, 9)]}, ("cat", "dog"))
        make_coco(folder, made, f"{split}/_annotations.coco.json")
    (folder / "README.roboflow.txt").write_text("exported")
    return folder


def yolo(folder: Path) -> Path:
    """Make a folder in the form of YOLO, with one image that has no file of labels."""
    labels: dict[str, str | None] = {
        "train/a": f"{WHOLE}\n1 0.25 0.5 0.1 0.2\n",
        "train/b": "",
        "val/c": "1 .5 .5 .5 .5",
    }
    return make_yolo(folder, labels | {"val/d": None}, CONFIG)


def yolo_of_roboflow(folder: Path) -> Path:
    """Make a folder as Roboflow writes it in the form of YOLO."""
    for seed, split in enumerate(("train", "valid", "test")):
        photo(folder / split / "images" / "a.jpg", seed=seed)
        (folder / split / "labels").mkdir()
        (folder / split / "labels" / "a.txt").write_text(f"{seed % 2} 0.5 0.5 0.5 0.5")
    (folder / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['cat', 'dog']\n"
    )
    return folder


def yolo_beside(folder: Path) -> Path:
    """Make a folder of YOLO whose labels lie beside the images, as captions do."""
    for seed, name in enumerate("ab"):
        photo(folder / "train" / f"{name}.jpg", seed=seed)
        (folder / "train" / f"{name}.txt").write_text(WHOLE)
    (folder / "data.yaml").write_text("train: train\nnames: [cat]\n")
    return folder


def voc_of_roboflow(folder: Path) -> Path:
    """Make a folder as Roboflow writes it in the form of Pascal VOC: annotations beside the images of each split."""
    for seed, split in enumerate(("train", "valid", "test")):
        photo(folder / split / "a.jpg", seed=seed)
        (folder / split / "a.xml").write_text(voc_xml(voc_object("cat", 1 + seed, 1, 40, 30)))
    (folder / "README.dataset.txt").write_text("exported")
    return folder


def voc_of_others(folder: Path) -> Path:
    """Make a folder whose annotations lie in ``annotations``, beside ``images``, one with an ending in capitals."""
    for seed, name in enumerate(("a.xml", "b.XML")):
        photo(folder / "images" / f"{name[0]}.jpg", seed=seed)
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / name).write_text(voc_xml(voc_object("dog", 1, 1 + seed, 40, 30)))
    return folder


def voc_in_part(folder: Path) -> Path:
    """Make a folder as of Roboflow, of which the images of a split have no annotation, nor one in another folder."""
    voc_of_roboflow(folder)
    (folder / "test" / "a.xml").unlink()
    photo(folder / "test" / "b.jpg", seed=7)
    photo(folder / "extra" / "e.jpg", seed=8)
    return folder


def voc_flat(folder: Path) -> Path:
    """Make a folder of images and annotations beside each other, with a folder of notes, and a list of odd bytes."""
    for seed, name in enumerate("abc"):
        photo(folder / f"{name}.jpg", seed=seed)
    (folder / "a.xml").write_text(voc_xml(voc_object("cat", 1, 1, 40, 30)), encoding="utf-16")
    (folder / "b.xml").write_text(voc_xml(voc_object("dog", 1, 1, 40, 30)))
    (folder / "notes").mkdir()
    (folder / "notes" / "read me.txt").write_text("annotated by hand")
    return folder


def coco_in_part(folder: Path) -> Path:
    """Make a folder in the form of COCO, of which an image is in no list and another has no object."""
    coco(folder)
    photo(folder / "train2017" / "3.jpg", seed=5)
    return folder


def yolo_in_part(folder: Path) -> Path:
    """Make a folder in the form of YOLO, of which nobody annotated a split."""
    return make_yolo(folder, {"train/a": WHOLE, "train/b": None, "val/c": None, "val/d": None}, CONFIG)


WHOLLY = (voc, voc_of_roboflow, voc_of_others, coco, roboflow, yolo, yolo_of_roboflow, yolo_beside)
IN_PART = (voc_in_part, voc_flat, coco_in_part, yolo_in_part)
FORMS = (*WHOLLY, *IN_PART)


@dataclass(frozen=True)
class Known:
    """What is known of a dataset once it is indexed: rows without paths, and its file of boxes."""

    rows: list[tuple[str, str, str, bytes]]
    boxes: bytes
    names: list[str]


def known(index: DatasetIndex, store: FeatureStore) -> Known:
    digests = [digest.tobytes() for digest in index.image_sha256]
    names = [os.path.basename(path) for path in index.path]
    rows = sorted(zip(names, index.label, index.split, digests, strict=True))
    return Known(rows, on_disk(boxes_path(store.root, index.name)).read_bytes(), sorted(names))


def indexed(data: str | Path, folder: Path) -> Known:
    store = FeatureStore(folder)
    return known(index_dataset(open_dataset(data, name="d"), store), store)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("kind", [".zip", ".tar", ".tar.gz"])
def test_an_archive_holds_what_its_folder_would(tmp_path: Path, form: Callable[[Path], Path], kind: str) -> None:
    here = form(tmp_path / "set")
    expected = indexed(here, tmp_path / "here")
    found = indexed(in_archive(here, tmp_path / f"set{kind}"), tmp_path / "there")
    assert found == expected
    assert any(label.strip("|") for _, label, *_ in found.rows)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_folder_behind_a_url_holds_what_it_would_here(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    here = form(tmp_path / "set")
    url = in_memory(here, f"memory://anywhere/{form.__name__}")
    assert indexed(url, tmp_path / "there") == indexed(here, tmp_path / "here")


@pytest.mark.parametrize("form", [voc, roboflow, yolo], ids=lambda form: form.__name__)
def test_an_archive_behind_a_url_holds_what_it_would_here(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    here = form(tmp_path / "set")
    in_archive(here, tmp_path / "up" / "set.zip")
    url = in_memory(tmp_path / "up", f"memory://packed/{form.__name__}")
    assert indexed(f"{url}/set.zip", tmp_path / "there") == indexed(here, tmp_path / "here")


@pytest.mark.parametrize("form", [voc, coco, yolo], ids=lambda form: form.__name__)
def test_a_web_server_that_lists_its_folders_will_do(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    pytest.importorskip("aiohttp")
    here = form(tmp_path / "served" / "set")
    with web_server(tmp_path / "served") as address:
        assert indexed(f"{address}/set", tmp_path / "there") == indexed(here, tmp_path / "here")


def test_the_archives_of_coco_go_together_as_they_are_downloaded(tmp_path: Path) -> None:
    here = coco(tmp_path / "set")
    files = members_of(here)
    for name in ("train2017", "val2017", "annotations"):
        inner = {path: content for path, content in files.items() if path.startswith(f"{name}/")}
        write_archive(tmp_path / "zips" / f"{name}_trainval2017.zip".replace("2017_trainval2017", "2017"), inner)
    assert sorted(os.listdir(tmp_path / "zips")) == ["annotations_trainval2017.zip", "train2017.zip", "val2017.zip"]
    assert indexed(tmp_path / "zips", tmp_path / "there") == indexed(here, tmp_path / "here")


def test_archives_of_splits_that_hold_files_of_one_path_count_as_folders(tmp_path: Path) -> None:
    here = roboflow(tmp_path / "set")
    for split in ("train", "valid", "test"):
        write_archive(tmp_path / "zips" / f"{split}.zip", members_of(here / split))
    assert indexed(tmp_path / "zips", tmp_path / "there") == indexed(here, tmp_path / "here")


def test_paths_and_messages_name_the_archive(tmp_path: Path) -> None:
    dataset = open_dataset(in_archive(voc(tmp_path / "set"), tmp_path / "voc.zip"))
    inner = "voc.zip/VOCdevkit/VOC2007/JPEGImages"
    assert dataset.paths == [f"{inner}/{name}.jpg" for name in ("a", "b c", "d", "f", "é")]
    assert (dataset.name, dataset.root) == ("voc", tmp_path)
    assert dataset.boxes is not None
    assert dataset.boxes.source == "voc"
    assert {*dataset.boxes} == {f"{inner}/{name}.jpg" for name in ("a", "b c", "f", "é")}
    write_archive(tmp_path / "bad.zip", {"JPEGImages/a.jpg": b"", "Annotations/a.xml": b"<annotation>"})
    with pytest.raises(DatasetError, match=r"bad\.zip/Annotations/a\.xml' is not XML"):
        open_dataset(tmp_path / "bad.zip")


def test_a_yaml_file_may_be_named_behind_a_url(tmp_path: Path) -> None:
    here = yolo(tmp_path / "set")
    (here / "data.yaml").rename(here / "coco8.yaml")
    url = in_memory(here, "memory://named")
    assert indexed(f"{url}/coco8.yaml", tmp_path / "there") == indexed(here / "coco8.yaml", tmp_path / "here")
    in_memory(tmp_path / "set" / "labels", "memory://named/other")
    fsspec.filesystem("memory").pipe_file("/named/other/environment.yml", b"name: x\n")
    with pytest.raises(DatasetError, match=r"environment\.yml' is no file of a dataset in the form of YOLO"):
        open_dataset("memory://named/other/environment.yml")


@pytest.mark.parametrize("kind", [".zip", ".tar.xz"])
def test_a_second_run_opens_no_archive_and_keeps_the_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store = FeatureStore(tmp_path / "cache")
    archive = in_archive(voc(tmp_path / "set"), tmp_path / f"voc{kind}")
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    first = index_dataset(open_dataset(archive, store=store), store)
    expected = known(first, store)
    notes = list(first.listed.notes)
    stamp = on_disk(boxes_path(store.root, "voc")).stat().st_mtime_ns
    listed: list[int] = []

    def go_through(*given: Any) -> Any:  # noqa: ANN401 - as it is
        listed.append(1)
        return members.go_through(*given)

    monkeypatch.setattr(trees, "go_through", go_through)
    for _ in range(2):
        again = index_dataset(open_dataset(archive, store=store), store)
        assert known(again, store) == expected
        assert again.listed.notes == notes
    assert listed == []
    assert on_disk(boxes_path(store.root, "voc")).stat().st_mtime_ns == stamp
    on_disk(boxes_path(store.root, "voc")).unlink()
    assert known(index_dataset(open_dataset(archive, store=store), store), store) == expected
    assert listed == [1]


def test_what_an_earlier_version_listed_without_its_annotations_is_listed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path / "cache")
    archive = in_archive(voc(tmp_path / "set"), tmp_path / "voc.zip")
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(trees, "list_annotated", lambda *_: None)
        patch.setattr(members, "_why_not", lambda _: "not an image")
        old = index_dataset(open_dataset(archive, store=store), store)
    assert ([*old.label], store.boxes("voc")) == ([""] * 5, None)
    dataset = open_dataset(archive, store=store)
    assert dataset.boxes is not None
    assert any(dataset.labels)


def test_an_archive_with_files_that_are_no_annotations_is_remembered_as_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path / "cache")
    image = photo(tmp_path / "a.jpg").read_bytes()
    archive = write_archive(tmp_path / "set.zip", {"cat/a.jpg": image, "info.json": b"{}", "conf.yaml": b"x: 1"})
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    index_dataset(open_dataset(archive, store=store), store)
    monkeypatch.setattr(trees, "go_through", lambda *_: pytest.fail("it was listed again"))
    assert open_dataset(archive, store=store).labels == ["cat"]


def test_files_beside_archives_that_are_no_annotations_of_theirs_let_them_be_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path / "cache")
    write_archive(tmp_path / "set" / "cat.zip", {"a.jpg": photo(tmp_path / "a.jpg").read_bytes()})
    for name in ("dataset_info.json", "conf.yaml", "notes.xml"):
        (tmp_path / "set" / name).write_text("{}")
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    index_dataset(open_dataset(tmp_path / "set", store=store), store)
    monkeypatch.setattr(trees, "go_through", lambda *_: pytest.fail("it was listed again"))
    assert open_dataset(tmp_path / "set", store=store).labels == ["cat"]


def test_sizes_of_images_that_were_hashed_before_are_read_from_their_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path / "cache")
    archive = in_archive(voc(tmp_path / "set"), tmp_path / "voc.tar.gz")
    monkeypatch.setattr(digest, "_RACY_NS", 0)
    expected = known(index_dataset(open_dataset(archive), store), store)
    store.write_boxes("voc", None)
    asked: list[int] = []

    def ask(root: Path, path_of: Mapping[bytes, str]) -> Any:  # noqa: ANN401 - as it is
        asked.append(len(path_of))
        return sizes.sizes_elsewhere(root, path_of)

    monkeypatch.setattr(fitting, "sizes_elsewhere", ask)
    assert known(index_dataset(open_dataset(archive), store), store) == expected
    assert asked == [4]


def test_annotations_beside_the_images_of_splits_are_their_labels(tmp_path: Path) -> None:
    dataset = open_dataset(voc_of_roboflow(tmp_path / "set"))
    assert dataset.paths == ["test/a.jpg", "train/a.jpg", "valid/a.jpg"]
    assert (dataset.labels, dataset.splits) == (["cat"] * 3, ["test", "train", "validation"])
    assert dataset.boxes is not None
    assert [dataset.boxes[path].corners[0, 0] for path in dataset.paths] == [2, 0, 1]
    (tmp_path / "set" / "valid" / "b.xml").write_text(voc_xml())
    photo(tmp_path / "set" / "valid" / "c.jpg", seed=9)
    notes = open_dataset(tmp_path / "set").notes
    assert notes[1:] == ["1 image without an annotation ('c').", "1 annotation of no image ('b')."]


def test_images_that_no_annotation_tells_of_stay_listed_or_are_counted(tmp_path: Path) -> None:
    for place in places_of(voc_in_part(tmp_path / "set")):
        dataset = open_dataset(place)
        assert [path.removeprefix("set.zip/") for path in dataset.paths] == [
            "test/a.jpg",
            "test/b.jpg",
            "train/a.jpg",
            "valid/a.jpg",
        ]
        assert dataset.labels == ["", "", "cat", "cat"]
        assert dataset.splits == ["test", "test", "train", "validation"]
        assert "2 images without an annotation ('a', 'b')." in dataset.notes
        left = "1 image left out that no folder of annotated images holds: 'extra/e.jpg'."
        assert left in dataset.notes
        assert left in open_dataset(place, label_column=None).notes


def class_folders(folder: Path, strays: Sequence[str], annotations: Sequence[str]) -> Path:
    """Make folders of classes, beside which an image or two have an annotation."""
    above = os.path.dirname(strays[0])
    for seed, name in enumerate(["cat/1", "cat/2", "dog/1", "dog/2"]):
        photo(folder / above / f"{name}.jpg", seed=seed)
    for seed, (image, xml) in enumerate(zip(strays, annotations, strict=True)):
        photo(folder / image, seed=9 + seed)
        (folder / xml).parent.mkdir(parents=True, exist_ok=True)
        (folder / xml).write_text(voc_xml(voc_object("cat", 1, 1, 9, 9)))
    return folder


@pytest.mark.parametrize(
    ("image", "xml"),
    [("train/x.jpg", "train/x.xml"), ("images/0.jpg", "annotations/0.xml"), ("x.jpg", "x.xml")],
    ids=["in a split", "in images", "at the top"],
)
def test_a_stray_annotation_takes_no_class_from_folders(tmp_path: Path, image: str, xml: str) -> None:
    for place in places_of(class_folders(tmp_path / "set", [image], [xml])):
        dataset = open_dataset(place)
        assert (dataset.n, dataset.boxes) == (5, None)
        labels = {
            path: label for path, label in zip(dataset.paths, dataset.labels, strict=True) if "/cat/" in f"/{path}"
        }
        assert set(labels.values()) == {"cat"}
        assert len(labels) == 2


def test_annotations_count_where_they_outweigh_what_lies_deeper(tmp_path: Path) -> None:
    folder = voc_of_others(tmp_path / "set")
    photo(folder / "masks" / "a.png", seed=5)
    photo(folder / "images" / "old" / "c.jpg", seed=6)
    for place in places_of(folder):
        dataset = open_dataset(place)
        assert dataset.labels == ["dog", "dog"]
        left = "2 images left out that no folder of annotated images holds: 'images/old/c.jpg', 'masks/a.png'."
        assert left in dataset.notes
    photo(folder / "masks" / "b.png", seed=7)
    assert open_dataset(folder).boxes is None


def test_a_folder_beside_images_and_their_annotations_takes_no_labels(tmp_path: Path) -> None:
    for place in places_of(voc_flat(tmp_path / "set")):
        assert open_dataset(place).labels == ["cat", "dog", ""]


@pytest.mark.parametrize(
    "first",
    [
        voc_xml(voc_object("cat", 1, 1, 9, 9)).encode("utf-16"),
        voc_xml(voc_object("cat", 1, 1, 9, 9)).encode()[:60],
        b"",
        b" " * (1 << 20) + voc_xml().encode(),
    ],
    ids=["UTF-16", "cut", "empty", "huge"],
)
def test_the_first_annotation_alone_does_not_decide(tmp_path: Path, first: bytes) -> None:
    folder = tmp_path / "set"
    for seed, name in enumerate(("a", "b")):
        photo(folder / f"{name}.jpg", seed=seed)
        (folder / f"{name}.xml").write_text(voc_xml(voc_object("dog", 1, 1, 9, 9)))
    (folder / "a.xml").write_bytes(first)
    for place in places_of(folder):
        dataset = open_dataset(place)
        is_read = first.startswith((b"\xff\xfe", b"\xfe\xff"))
        assert dataset.labels == ["cat" if is_read else "", "dog"]
        assert any("1 annotation cannot be used" in note for note in dataset.notes) is not is_read


def test_an_annotation_alone_may_be_in_any_encoding(tmp_path: Path) -> None:
    photo(tmp_path / "set" / "a.jpg")
    (tmp_path / "set" / "a.xml").write_text(voc_xml(voc_object("cat", 1, 1, 9, 9)), encoding="utf-16")
    assert open_dataset(tmp_path / "set").labels == ["cat"]


def test_long_lists_of_splits_are_read_and_longer_ones_told_by_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_voc(tmp_path / "set", {"a": voc_xml(voc_object("cat", 1, 1, 9, 9)), "b": None})
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    names = [*(f"{number:014d}" for number in range(80_000)), "a"]
    (folder / "ImageSets" / "Main" / "val.txt").write_text("\n".join(names))
    for place in places_of(folder):
        assert open_dataset(place).splits == ["validation", ""]
    monkeypatch.setattr(kinds_voc, "MOST_LISTED_BYTES", 1000)
    for place in places_of(folder):
        with pytest.raises(DatasetError, match=r"val\.txt': has .* the limit of 1,000.* take it out") as raised:
            open_dataset(place)
        assert "Errno" not in str(raised.value)


def test_other_xml_beside_images_makes_no_annotations(tmp_path: Path) -> None:
    for name in ("train/a", "test/b"):
        photo(tmp_path / "set" / f"{name}.jpg")
        (tmp_path / "set" / f"{name}.xml").write_text("<rdf/>")
    dataset = open_dataset(tmp_path / "set")
    assert (dataset.boxes, dataset.has_labels, dataset.splits) == (None, False, ["test", "train"])


def test_without_labels_no_annotation_of_an_archive_is_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "voc.zip", {"JPEGImages/a.jpg": b"", "Annotations/a.xml": b"<annotation>"})
    dataset = open_dataset(tmp_path / "voc.zip", label_column=None)
    assert (dataset.n, dataset.boxes, dataset.has_labels) == (1, None, False)


def test_options_about_folders_mean_nothing_to_annotations(tmp_path: Path) -> None:
    archive = in_archive(roboflow(tmp_path / "set"), tmp_path / "set.zip")
    with pytest.raises(UsageError, match="--class-level 1"):
        open_dataset(archive, class_level=1)
    with pytest.raises(UsageError, match="--label-column kind"):
        open_dataset(archive, label_column="kind")


def test_what_is_excluded_of_an_archive_is_told_as_that_and_not_as_missing(tmp_path: Path) -> None:
    archive = in_archive(coco(tmp_path / "set"), tmp_path / "set.zip")
    dataset = open_dataset(archive, exclude="2.jpg")
    assert [os.path.basename(path) for path in dataset.paths] == ["1.jpg", "1.jpg"]
    assert not any("missing" in note for note in dataset.notes)
    assert [(each.count, each.reason) for each in dataset.skipped if each.reason == "excluded"] == [(2, "excluded")]


@pytest.mark.parametrize(
    ("form", "left_out"), [(voc, "*.xml"), (coco, "*.json"), (yolo, "*.yaml")], ids=["voc", "coco", "yolo"]
)
def test_annotations_that_are_excluded_are_read_alike_wherever_they_lie(
    tmp_path: Path, form: Callable[[Path], Path], left_out: str
) -> None:
    here = form(tmp_path / "set")
    url = in_memory(here, f"memory://left-out/{form.__name__}")
    places = (here, url, in_archive(here, tmp_path / "set.zip"), in_archive(here, tmp_path / "set.tar"))
    near, *others = (open_dataset(place, exclude=left_out) for place in places)
    assert near.boxes is not None
    for each in others:
        assert (list(each.labels), list(each.splits)) == (list(near.labels), list(near.splits))


@pytest.mark.parametrize("form", [voc, coco, yolo], ids=lambda form: form.__name__)
def test_no_table_of_labels_is_advised_for_an_archive_which_takes_none(
    tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    here = form(tmp_path / "set")
    with pytest.raises(UsageError, match=r"add it with --labels FILE, or leave --group-column out"):
        open_dataset(here, group_column="g")
    archive = in_archive(here, tmp_path / "zips" / "set.zip")
    for place in (archive, archive.parent):
        with pytest.raises(UsageError, match=r"Name that file or leave --group-column out\.$"):
            open_dataset(place, group_column="g")


@pytest.mark.parametrize("held", [1, 40, 10**6])
@pytest.mark.parametrize("kind", [".tar.gz", ".zip"])
def test_what_is_read_of_an_archive_is_the_same_however_little_may_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, held: int
) -> None:
    here = yolo(tmp_path / "set")
    expected = indexed(here, tmp_path / "here")
    monkeypatch.setattr(archived, "_HELD_BYTES", held)
    assert indexed(in_archive(here, tmp_path / f"set{kind}"), tmp_path / "there") == expected


def test_archives_are_unpacked_in_folders_of_their_own_only_where_they_are_none_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = coco(tmp_path / "set")
    for name in ("train2017", "val2017", "annotations"):
        inner = {path: each for path, each in members_of(here).items() if path.startswith(f"{name}/")}
        write_archive(tmp_path / "zips" / f"{name}.zip", inner)
    ways: list[object] = []

    def unpacked(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is
        ways.append(given)
        return real(*given, **named)

    real = annotated_archives._unpacked
    monkeypatch.setattr(annotated_archives, "_unpacked", unpacked)
    assert open_dataset(tmp_path / "zips").boxes is not None
    assert len(ways) == 1


def test_a_damaged_annotation_in_an_archive_leaves_its_image_unannotated(tmp_path: Path) -> None:
    here = voc(tmp_path / "set")
    archive = in_archive(here, tmp_path / "voc.zip")
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("VOCdevkit/VOC2007/Annotations/a.xml")
    content = bytearray(archive.read_bytes())
    at = content.index(b"<annotation>", info.header_offset)
    content[at + 40] ^= 1
    archive.write_bytes(bytes(content))
    dataset = open_dataset(archive)
    assert dict(zip(dataset.paths, dataset.labels, strict=True))["voc.zip/VOCdevkit/VOC2007/JPEGImages/a.jpg"] == ""
    [note] = [note for note in dataset.notes if "cannot be used" in note]
    assert "CRC-32" in note


def test_a_cut_archive_keeps_what_comes_before_and_says_so(tmp_path: Path) -> None:
    archive = in_archive(yolo(tmp_path / "set"), tmp_path / "set.tar")
    content = archive.read_bytes()
    archive.write_bytes(content[: content.index(b"labels/val/c.txt") - 512])
    dataset = open_dataset(archive)
    assert any("is damaged" in note for note in dataset.notes)
    assert dataset.labels == ["cat|dog", "", "", ""]
    assert dataset.boxes is not None
    assert [*dataset.boxes] == ["set.tar/images/train/a.jpg"]
    assert "1 image of 'train' without a file of labels, not annotated, since that may be lost with the archive: " in (
        " ".join(dataset.notes)
    )


def test_samples_of_webdataset_stay_what_they_are(tmp_path: Path) -> None:
    content = photo(tmp_path / "x.jpg").read_bytes()
    told = {"label": "cat", "images": [], "annotations": [], "categories": [], "bbox": []}
    members = {
        f"{i}.{end}": body for i in range(3) for end, body in (("jpg", content), ("json", json.dumps(told).encode()))
    }
    dataset = open_dataset(write_archive(tmp_path / "shard-000.tar", members))
    assert (dataset.labels, dataset.boxes) == (["cat"] * 3, None)


def test_captions_beside_a_yaml_file_of_something_else_stay_samples(tmp_path: Path) -> None:
    content = photo(tmp_path / "x.jpg").read_bytes()
    members = {
        "training.yaml": b"epochs: 3\n",
        **{f"{i}.{end}": body for i in range(4) for end, body in (("jpg", content), ("cls", b"cat"))},
    }
    assert open_dataset(write_archive(tmp_path / "a.tar", members)).labels == ["cat"] * 4


@pytest.mark.parametrize("form", [voc, coco, yolo], ids=lambda form: form.__name__)
def test_a_server_that_is_lost_while_annotations_are_read_ends_the_run(
    tmp_path: Path, form: Callable[[Path], Path]
) -> None:
    url, n_lost = in_memory(form(tmp_path / "set"), f"memory://lost/{form.__name__}"), 0
    for n_requests in range(40):
        with pytest.MonkeyPatch.context() as patch:
            lose_after(patch, n_requests)
            try:
                found = open_dataset(url)
            except RemoteError:
                n_lost += 1
            else:
                assert not any("cannot be" in note for note in found.notes)
                assert any(found.labels)
    assert 0 < n_lost < 40


def test_boxes_are_those_of_upright_images_wherever_these_lie(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "set", {"a": voc_xml(voc_object("cat", 1, 1, 30, 40), size=(30, 40))})
    exif = {0x0112: 6}
    from PIL import Image

    tag = Image.Exif()
    tag.update(exif)
    photo(folder / "JPEGImages" / "a.jpg", (40, 30), exif=tag)
    expected = indexed(folder, tmp_path / "here")
    assert indexed(in_archive(folder, tmp_path / "set.zip"), tmp_path / "there") == expected
    store = FeatureStore(tmp_path / "there")
    table = store.boxes("d")
    assert table is not None
    assert np.array_equal(table.images[0].corners, [[0, 0, 30, 40]])
