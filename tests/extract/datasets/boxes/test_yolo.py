"""Datasets in the form of YOLO: shares of an image become pixels, and its YAML file is read without any trust."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import DatasetError, FeatureStore
from stackbone.extract.datasets.boxes.yolo_places import config_of
from stackbone.extract.datasets.dataset import Dataset, open_dataset
from stackbone.extract.datasets.files.files import Files
from stackbone.extract.datasets.kinds import yolo as kind
from stackbone.extract.embedding.indexing import index_dataset
from tests.made.annotated import make_yolo, photo

CONFIG = "path: ../datasets/set\ntrain: images/train\nval: images/val\ntest:\nnames:\n  0: cat\n  1: dog\n"
WHOLE = "0 0.5 0.5 1 1"
LABELS: dict[str, str | None] = {"train/a": f"{WHOLE}\n1 0.25 0.5 0.1 0.2\n", "train/b": "", "val/c": "1 .5 .5 .5 .5"}


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Make a folder in the form of YOLO, of two splits."""
    return make_yolo(tmp_path / "set", LABELS, CONFIG)


def told(dataset: Dataset, about: str) -> str:
    [note] = [note for note in dataset.notes if about in note]
    return note


def changed(folder: Path, text: str) -> Dataset:
    (folder / "labels" / "train" / "a.txt").write_text(text)
    return open_dataset(folder)


def test_shares_become_pixels_when_an_image_is_indexed(yolo: Path, store: FeatureStore) -> None:
    dataset = open_dataset(yolo)
    assert dataset.paths == ["images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"]
    assert (dataset.labels, dataset.splits) == (["cat|dog", "|", "dog"], ["train", "train", "validation"])
    index = index_dataset(dataset, store)
    table = store.boxes("set")
    assert table is not None
    found = [table.of(digest.tobytes()) for digest in index.image_sha256]
    assert found[0] is not None
    assert found[1] is not None
    assert found[2] is not None
    np.testing.assert_allclose(found[0].corners, [[0, 0, 40, 30], [8, 12, 12, 18]], rtol=1e-6)
    np.testing.assert_allclose(found[2].corners, [[10, 7.5, 30, 22.5]], rtol=1e-6)
    assert (found[0].classes, found[0].width, found[0].height, table.source) == (("cat", "dog"), 40, 30, "yolo")
    assert (len(found[1]), found[1].width) == (0, 40)


@pytest.mark.parametrize(
    "config",
    [
        "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n",
        "path: {root}\ntrain: train/images\nval: [valid/images]\nnames: [cat, dog]\n",
        "path: .\ntrain: ./train/images/\nval: valid/images\nnames: {{0: cat, 1: dog}}\n",
        "path: /nowhere/set\ntrain: train/images\nval: valid/images\nnames: {{0: cat, 1: dog}}\n",
        "train: {root}/train/images\nval: {root}/valid/images\nnames: [cat, dog]\ndownload: |\n  import os\n  x: 1\n",
    ],
    ids=["Roboflow", "absolute path", "dots", "a path of elsewhere", "absolute splits"],
)
def test_images_are_found_where_each_writer_puts_them(tmp_path: Path, config: str) -> None:
    folder = tmp_path / "set"
    for seed, split in enumerate(("train", "valid")):
        photo(folder / split / "images" / "a b.jpg", seed=seed)
        (folder / split / "labels").mkdir()
        (folder / split / "labels" / "a b.txt").write_text(WHOLE)
    (folder / "data.yaml").write_text(config.format(root=folder))
    dataset = open_dataset(folder)
    assert dataset.paths == ["train/images/a b.jpg", "valid/images/a b.jpg"]
    assert (dataset.labels, dataset.splits) == (["cat"] * 2, ["train", "validation"])


def test_the_yaml_file_may_be_named_and_have_another_name(yolo: Path) -> None:
    (yolo / "data.yaml").rename(yolo / "coco8.yaml")
    assert open_dataset(yolo / "coco8.yaml").labels == open_dataset(yolo).labels == ["cat|dog", "|", "dog"]


def test_a_list_of_images_is_a_split(yolo: Path) -> None:
    (yolo / "train.txt").write_text("./images/train/a.jpg\nimages/val/c.jpg\nimages/absent.jpg\n/etc/x.jpg\n../y.jpg\n")
    (yolo / "data.yaml").write_text("train: train.txt\nnames: [cat, dog]\n")
    dataset = open_dataset(yolo)
    assert (dataset.paths, dataset.labels) == (["images/train/a.jpg", "images/val/c.jpg"], ["cat|dog", "dog"])
    assert told(dataset, "lines").startswith("3 lines of 'train.txt' left out (no image in the folder): 'images/abs")


def test_labels_lie_beside_images_that_are_in_no_folder_of_that_name(tmp_path: Path) -> None:
    photo(tmp_path / "set" / "train" / "a.jpg")
    (tmp_path / "set" / "train" / "a.txt").write_text(WHOLE)
    (tmp_path / "set" / "data.yaml").write_text("train: train\nnames: [cat]\n")
    assert open_dataset(tmp_path / "set").labels == ["cat"]


def test_an_absent_file_is_of_no_object_unless_its_whole_split_has_none(yolo: Path) -> None:
    (yolo / "labels" / "train" / "b.txt").unlink()
    shutil.rmtree(yolo / "labels" / "val")
    dataset = open_dataset(yolo)
    assert dataset.labels == ["cat|dog", "|", ""]
    assert dataset.boxes is not None
    assert [*dataset.boxes] == ["images/train/a.jpg", "images/train/b.jpg"]
    assert told(dataset, "taken to show no object").startswith("1 image of 'train' without a file of labels")
    assert told(dataset, "not annotated") == "1 image of 'validation' not annotated, since no file of labels is there."


def test_labels_are_not_read_where_they_are_not_asked_for(yolo: Path) -> None:
    (yolo / "labels" / "train" / "a.txt").write_text("no labels")
    dataset = open_dataset(yolo, label_column=None)
    assert (dataset.n, dataset.boxes, dataset.has_labels) == (3, None, False)


def test_the_box_around_an_outline_is_taken(yolo: Path) -> None:
    dataset = changed(yolo, "0 0.1 0.2 0.5 0.25 0.3 0.75\n1 0.5 0.5 1 1\n")
    assert dataset.boxes is not None
    expected = np.array([[0.1, 0.2, 0.5, 0.75], [0, 0, 1, 1]])
    np.testing.assert_allclose(dataset.boxes["images/train/a.jpg"].corners, expected, rtol=1e-6)


def test_key_points_are_passed_over(yolo: Path) -> None:
    (yolo / "data.yaml").write_text(CONFIG + "kpt_shape: [2, 3]\n")
    dataset = changed(yolo, f"{WHOLE} 0.1 0.2 2 0.3 0.4 2\n")
    assert dataset.boxes is not None
    assert dataset.boxes["images/train/a.jpg"].corners.tolist() == [[0, 0, 1, 1]]


def test_an_object_given_twice_counts_once(yolo: Path) -> None:
    dataset = changed(yolo, f"{WHOLE}\n1 .5 .5 .1 .1\n{WHOLE}\n")
    assert dataset.boxes is not None
    assert dataset.boxes["images/train/a.jpg"].classes == ("cat", "dog")
    assert told(dataset, "twice") == "1 box left out (boxes that are annotated twice): in 'labels/train/a.txt'."


@pytest.mark.parametrize(
    ("text", "said", "labels"),
    [
        ("2 0.5 0.5 1 1", "a class that has no name", ""),
        ("-1 0.5 0.5 1 1", "a class that has no name", ""),
        ("0.5 0.5 0.5 1 1", "a class that has no name", ""),
        ("nan 0.5 0.5 1 1", "a class that has no name", ""),
        ("cat 0.5 0.5 1 1", "no class and numbers", ""),
        ("0 0.5 0.5 1", "no class and numbers", ""),
        ("\x00\x01\x02", "no class and numbers", ""),
        ("0 0.5 0.5 1 1 0.9", "no class and numbers", "cat"),
        ("0 0.5 0.5 1 1.5", "not shares from 0 to 1", "cat"),
        ("0 20 15 40 30", "not shares from 0 to 1", "cat"),
        ("0 0.5 0.5 nan 1", "not shares from 0 to 1", "cat"),
        ("0 -0.5 0.5 0.1 0.1", "not shares from 0 to 1", "cat"),
    ],
)
def test_an_image_with_a_wrong_line_is_told(yolo: Path, text: str, said: str, labels: str) -> None:
    dataset = changed(yolo, text)
    assert dataset.boxes is not None
    assert [*dataset.boxes] == ["images/train/b.jpg", "images/val/c.jpg"]
    assert dataset.labels == [labels, "|", "dog"]
    note = told(dataset, "are left out (images")
    assert said in note
    assert note.endswith(": 'labels/train/a.txt'.")


def test_wrong_labels_alone_are_refused(tmp_path: Path) -> None:
    folder = make_yolo(tmp_path / "set", {"train/a": "7 .5 .5 1 1"}, "train: images/train\nnames: [cat]\n")
    with pytest.raises(DatasetError, match=r"a class that has no name\): 'labels/train/a\.txt'"):
        open_dataset(folder)


def test_boxes_that_reach_beyond_the_image_are_cut(yolo: Path, store: FeatureStore) -> None:
    index = index_dataset(changed(yolo, "0 0 0 0.5 0.5\n0 0.5000001 0.5 1 1\n1 0.5 0.5 0 0.1\n"), store)
    table = store.boxes("set")
    assert table is not None
    found = table.of(index.image_sha256[0].tobytes())
    assert found is not None
    np.testing.assert_allclose(found.corners, np.array([[0, 0, 10, 7.5], [0, 0, 40, 30]]), atol=1e-4)
    assert [note for note in index.listed.notes if note.startswith("1 box cut at the edges")]
    assert [note for note in index.listed.notes if note.startswith("1 box left out (boxes that have no area")]


BOMB = "a: &a [x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij"))  # noqa: B905


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("train: images/train\nnames: [cat", "no YAML"),
        ("train: images/train\nnames:\n", "no names of classes"),
        ("train: images/train\nnames: {a: cat}\n", "not one text for each number"),
        ("train: images/train\nnames: [[cat]]\n", "not one text for each number"),
        ("train: images/train\nnames: cat\n", "no names of classes"),
        ("train: images/train\nnames: [a|b, c]\n", "a|b"),
        ('train: images/train\nnames: ["a\\0", c]\n', r"the name 'a\x00', which holds a zero byte, under names"),
        ('train: images/train\nnames: ["a\\ud800"]\n', r"the name 'a\ud800', which holds half of a character"),
        ('train: images/train\nnames: {0: "\\udcc3\\udca9"}\n', "which holds half of a character"),
        ("train: {a: b}\nnames: [cat]\n", "no text under 'train'"),
        ("train: images/absent\nnames: [cat]\n", "'images/absent', and none is in"),
        ("train: /etc\nnames: [cat]\n", "'/etc', and none is in"),
        ("train: ../../..\nnames: [cat]\n", "and none is in"),
        ("path: ..\ntrain: outside\nnames: [cat]\n", "'outside', and none is in"),
        (f"{BOMB}train: images/train\nnames: *j\n", "not one text for each number"),
        (f"train: images/train\nnames: {'[' * 5000}", "nested too deeply"),
        ("train: !!python/object/apply:os.system [ls]\nnames: [cat]\n", "images' folder"),
        ("names: [cat]\n- train: 1\ntrain: 2", "no YAML"),
    ],
)
def test_a_yaml_file_that_is_of_no_dataset_is_refused_with_its_name(yolo: Path, config: str, said: str) -> None:
    photo(yolo.parent / "outside" / "a.jpg")
    (yolo / "data.yaml").write_text(config)
    with pytest.raises(DatasetError) as found:
        open_dataset(yolo)
    assert said in str(found.value)
    assert "data.yaml" in str(found.value)
    assert len(str(found.value)) < 1000


@pytest.mark.parametrize("how", ["too large", "too large, and named", "a folder", "a dead link"])
def test_a_yaml_file_that_cannot_be_read_is_refused_with_its_name(yolo: Path, how: str) -> None:
    file = yolo / "data.yaml"
    if how.startswith("too large"):
        file.write_text(CONFIG + "#" * (1 << 18))
    else:
        file.unlink()
        file.mkdir() if how == "a folder" else file.symlink_to(yolo / "gone")
    with pytest.raises(DatasetError, match=r"data\.yaml"):
        open_dataset(file if how.endswith("named") else yolo)


CLASSIFICATION = {
    "as exports of classification have it": ("data.yaml", "train: train\nval: val\nnames: [cat, dog]\n"),
    "with a number of classes": ("dataset.yaml", "path: .\ntrain: train\nval: val\nnc: 2\n"),
    "the settings of a training": ("config.yaml", "train: {epochs: 3}\nnames: [run, other]\n"),
    "of a usual name": ("data.yaml", "train: {epochs: 3}\nnames: [run, other]\n"),
    "broken": ("data.yaml", "train: train\nnames: [cat"),
    "too large": ("data.yaml", "train: train\nnames: [cat, dog]\n" + "#" * (1 << 18)),
    "of splits that are elsewhere": ("data.yaml", "train: ../../train/images\nnames: [cat, dog]\n"),
}


@pytest.mark.parametrize("case", CLASSIFICATION)
def test_class_folders_beside_such_a_file_keep_their_labels(tmp_path: Path, case: str) -> None:
    name, config = CLASSIFICATION[case]
    for seed, place in enumerate(["train/cat", "train/dog", "val/cat", "val/dog"]):
        photo(tmp_path / "set" / place / "a.jpg", seed=seed)
        (tmp_path / "set" / place / "a.txt").write_text("a photograph of an animal")  # as captions lie there
    (tmp_path / "set" / name).write_text(config)
    dataset = open_dataset(tmp_path / "set")
    assert dataset.labels == ["cat", "dog", "cat", "dog"]
    assert (dataset.splits, dataset.boxes) == (["train"] * 2 + ["validation"] * 2, None)


def test_a_broken_file_is_refused_where_labels_lie_beside_images(tmp_path: Path) -> None:
    photo(tmp_path / "set" / "train" / "a.jpg")
    (tmp_path / "set" / "train" / "a.txt").write_text(WHOLE)
    (tmp_path / "set" / "data.yaml").write_text("train: train\nnames: [cat\n")
    with pytest.raises(DatasetError, match="no YAML"):
        open_dataset(tmp_path / "set")


def test_the_folder_is_looked_through_once(yolo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def look(files: Files) -> str | None:
        looks.append(files.place())
        return config_of(files)

    monkeypatch.setattr(kind, "config_of", look)
    assert open_dataset(yolo).n == 3
    assert looks == [yolo]


def test_a_list_may_begin_with_a_mark_and_name_images_from_the_root(yolo: Path) -> None:
    lines = ["images/train/a.jpg", str(yolo / "images" / "val" / "c.jpg"), str(yolo.parent / "out.jpg")]
    photo(yolo.parent / "out.jpg")
    (yolo / "train.txt").write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    (yolo / "data.yaml").write_text("train: train.txt\nnames: [cat, dog]\n")
    dataset = open_dataset(yolo)
    assert dataset.paths == ["images/train/a.jpg", "images/val/c.jpg"]
    left_out = told(dataset, "1 line of")
    assert "'train.txt' left out (no image in the folder): '" in left_out
    assert left_out.endswith("out.jpg'.")


def test_one_name_of_two_numbers_is_found_among_many(yolo: Path) -> None:
    names = "".join(f"  {i}: c{i}\n" for i in range(15_000))
    (yolo / "data.yaml").write_text(f"train: images/train\nnames:\n{names}  15000: c0\n")
    assert "count as one class" in " ".join(open_dataset(yolo).notes)


def test_names_stay_the_texts_that_they_are(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [no, 1e3]\n")
    assert open_dataset(yolo).labels == ["1e3|no", "|", "1e3"]


def test_classes_without_names_are_numbered(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 2\n")
    assert open_dataset(yolo).labels == ["class_0|class_1", "|", "class_1"]


def test_what_is_named_and_not_there_is_told(yolo: Path) -> None:
    (yolo / "data.yaml").write_text(CONFIG.replace("test:", "test: images/test"))
    assert told(open_dataset(yolo), "passed over").endswith("is passed over: 'images/test'.")


def test_numbers_of_one_name_are_one_class(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, cat]\n")
    dataset = open_dataset(yolo)
    assert dataset.labels == ["cat", "|", "cat"]
    assert told(dataset, "count as one class").endswith(": 'cat'.")


def test_an_image_of_two_splits_is_of_the_first(yolo: Path) -> None:
    (yolo / "data.yaml").write_text("train: images\nval: images/val\nnames: [cat, dog]\n")
    dataset = open_dataset(yolo)
    assert dataset.splits == ["train"] * 3
    assert told(dataset, "in a split before").startswith("1 image of 'validation'")
