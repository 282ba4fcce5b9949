"""WebDataset shards are listed with what the files of each sample say of its image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackbone.cache.errors import UsageError
from stackbone.cache.labels.sets import SETS
from stackbone.extract.datasets.archives import columns
from stackbone.extract.datasets.dataset import open_dataset
from tests.made.archives import write_archive
from tests.made.listings import message, rows


def shard(folder: Path, number: int, samples: dict[str, dict[str, object]], *, name: str = "{:06d}.tar") -> Path:
    """Write a shard of samples: of each key, extensions to contents, as text or as JSON."""
    members: dict[str, bytes] = {}
    for key, files in samples.items():
        for extension, content in files.items():
            text = json.dumps(content) if isinstance(content, dict) else str(content)
            members[f"{key}.{extension}"] = content if isinstance(content, bytes) else text.encode()
    return write_archive(folder / name.format(number), members)


def test_labels_are_those_of_cls_files_and_splits_those_of_the_shards(tmp_path: Path) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "cls": 3}, "1": {"cls": "7\n", "png": b""}}, name="train-{:06d}.tar")
    shard(tmp_path, 0, {"0": {"jpeg": b"", "cls": 3}}, name="val-{:06d}.tar")
    assert rows(open_dataset(tmp_path)) == [
        ("train-000000.tar/0.jpg", "3", "train", ""),
        ("train-000000.tar/1.png", "7", "train", ""),
        ("val-000000.tar/0.jpeg", "3", "validation", ""),
    ]


def test_json_gives_labels_splits_groups_and_further_columns(tmp_path: Path) -> None:
    said = {"label": "cat", "split": "val", "group": "p1", "width": 640, "score": 0.5, "box": [[1, 2]], "on": None}
    shard(tmp_path, 0, {"a/0": {"jpg": b"", "json": said}, "a/1": {"jpg": b"", "json": {"label": "dog"}}})
    dataset = open_dataset(tmp_path)
    assert [row[1:] for row in rows(dataset)] == [("cat", "validation", "p1"), ("dog", "", "")]
    assert dataset.columns == {"width": ["640", ""], "score": ["0.5", ""]}
    named = open_dataset(tmp_path, label_column="width")
    assert named.labels == ["640", ""]
    assert "'widht'" in message(UsageError, data=tmp_path, label_column="widht")


def test_cls_goes_before_other_keys_and_a_key_can_be_named(tmp_path: Path) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "cls": 1, "json": {"species": "cat"}, "txt": "a cat on a mat"}})
    assert open_dataset(tmp_path).labels == ["1"]
    assert open_dataset(tmp_path, label_column="species").labels == ["cat"]
    assert open_dataset(tmp_path, label_column="txt").labels == ["a cat on a mat"]
    assert open_dataset(tmp_path, label_column=None).labels == [""]


def test_lists_are_several_labels(tmp_path: Path) -> None:
    shard(
        tmp_path, 0, {str(n): {"jpg": b"", "json": {"label": each}} for n, each in enumerate((["a", "b"], [], ["b"]))}
    )
    dataset = open_dataset(tmp_path)
    assert dataset.label_form == SETS
    assert dataset.classes == ["a", "b"]


def test_texts_that_many_share_are_labels_and_captions_are_not(tmp_path: Path) -> None:
    shard(tmp_path / "few", 0, {str(n): {"jpg": b"", "txt": ("cat", "dog")[n % 2]} for n in range(6)})
    dataset = open_dataset(tmp_path / "few")
    assert dataset.labels == ["cat", "dog"] * 3
    assert "The texts of the .txt files were taken for labels, since many images share one." in dataset.notes
    shard(tmp_path / "many", 0, {str(n): {"jpg": b"", "txt": f"caption {n}"} for n in range(6)})
    dataset = open_dataset(tmp_path / "many")
    assert not dataset.has_labels
    assert dataset.columns == {"txt": [f"caption {n}" for n in range(6)]}
    assert any("--label-column NAME" in note for note in dataset.notes)


def test_members_of_a_sample_may_come_in_any_order(tmp_path: Path) -> None:
    names = ["0.cls", "1.jpg", "0.jpg", "2.json", "1.cls", "2.jpg"]
    contents = {"0.cls": b"a", "1.cls": b"b", "2.json": b'{"cls": "c"}'}
    write_archive(tmp_path / "000000.tar", [(name, contents.get(name, b"")) for name in names])
    assert open_dataset(tmp_path).labels == ["a", "b", "c"]


def test_a_sample_over_two_shards_is_not_put_together_and_that_is_said(tmp_path: Path) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "cls": 1}, "1": {"jpg": b""}})
    shard(tmp_path, 1, {"1": {"cls": 2}, "2": {"jpg": b"", "cls": 3}})
    dataset = open_dataset(tmp_path)
    assert [row[:2] for row in rows(dataset)] == [
        ("000000.tar/0.jpg", "1"),
        ("000000.tar/1.jpg", ""),
        ("000001.tar/2.jpg", "3"),
    ]
    notes = "\n".join(dataset.notes)
    assert "1 image has no file of labels in the same shard, such as '000000.tar/1.jpg'" in notes
    assert "1 file stands beside no image, such as '000001.tar/1'" in notes


def test_one_key_in_two_shards_is_two_samples_and_twice_in_one_is_said(tmp_path: Path) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "cls": 1}})
    write_archive(tmp_path / "000001.tar", [("0.jpg", b"x"), ("0.cls", b"2"), ("0.jpg", b"y"), ("0.cls", b"3")])
    dataset = open_dataset(tmp_path)
    assert [row[:2] for row in rows(dataset)] == [("000000.tar/0.jpg", "1"), ("000001.tar/0.jpg", "2")]
    assert {(each.sort, each.reason) for each in dataset.skipped} == {
        (".jpg", "the name of a member before it"),
        (".cls", "the name of a member before it"),
    }


def test_further_images_of_a_sample_are_not_taken_and_names_may_have_dots(tmp_path: Path) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "mask.png": b"", "cls": 1}, "1": {"left.jpg": b"", "cls": 2}})
    write_archive(tmp_path / "000001.tar", {"v1.5_7.jpg": b"", "v1.5_7.cls": b"8"})
    dataset = open_dataset(tmp_path)
    assert [row[:2] for row in rows(dataset)] == [
        ("000000.tar/0.jpg", "1"),
        ("000000.tar/1.left.jpg", "2"),
        ("000001.tar/v1.5_7.jpg", "8"),
    ]
    assert [(each.reason, each.example) for each in dataset.skipped] == [
        ("a further image of a sample", "000000.tar/0.mask.png")
    ]


def test_files_that_say_nothing_readable_leave_their_images_unlabelled(tmp_path: Path) -> None:
    samples: dict[str, dict[str, object]] = {"0": {"jpg": b"", "cls": 1}, "1": {"jpg": b"", "cls": b"\xff\xfe\xff"}}
    shard(tmp_path, 0, samples | {"2": {"jpg": b"", "json": b"{"}})
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ["1", "", ""]
    said = "2 files beside images cannot be read, such as '000000.tar/1.cls'"
    assert any(note.startswith(said) for note in dataset.notes)


def test_a_shard_that_was_cut_gives_the_samples_before(tmp_path: Path) -> None:
    file = shard(tmp_path, 0, {str(n): {"jpg": bytes(3000), "cls": n % 2} for n in range(10)})
    file.write_bytes(file.read_bytes()[:30_000])
    dataset = open_dataset(tmp_path)
    assert 5 < dataset.n < 10
    assert dataset.labels[:5] == ["0", "1", "0", "1", "0"]
    assert any("damaged: it ends" in note for note in dataset.notes)


def test_of_too_many_cells_those_of_labels_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"label": "ab"[n % 2], "shade": str(n % 3), **{f"k{i}": n for i in range(20)}} for n in range(12)]
    shard(tmp_path, 0, {f"{n:02d}": {"jpg": b"", "json": each} for n, each in enumerate(said)})
    assert len(open_dataset(tmp_path).columns) == 21
    monkeypatch.setattr(columns, "MOST_FURTHER", 100)
    dataset = open_dataset(tmp_path, group_column="shade")
    assert (dataset.labels, dataset.groups, dataset.columns) == (["a", "b"] * 6, ["0", "1", "2"] * 4, {})
    assert any("is not kept: more than 100 cells" in note for note in dataset.notes)


@pytest.mark.parametrize(("option", "value"), [("class_level", 2), ("path_column", "url")])
def test_options_that_mean_nothing_of_samples_are_refused(tmp_path: Path, option: str, value: object) -> None:
    shard(tmp_path, 0, {"0": {"jpg": b"", "cls": 1}})
    assert "eave" in message(UsageError, data=tmp_path, **{option: value})


@pytest.mark.parametrize("extension", [".tar", ".tar.gz"])
def test_samples_are_known_wherever_their_files_are_stored(tmp_path: Path, extension: str) -> None:
    n = 1001
    members = [(f"{i:05}.jpg", b"") for i in range(n)] + [(f"{i:05}.cls", b"%d" % (i % 3)) for i in range(n)]
    dataset = open_dataset(write_archive(tmp_path / f"late{extension}", members))
    assert dataset.labels == [str(i % 3) for i in range(n)]


def sides(folder: Path, said: str = '{"camera": "x"}') -> Path:
    """Return an archive of class folders in splits, with a file beside each image."""
    names = [f"{split}/{label}/{i}" for split in ("train", "test") for label in ("cat", "dog") for i in range(2)]
    members = [
        (f"{name}{end}", content) for name in names for end, content in ((".jpg", b""), (".json", said.encode()))
    ]
    return write_archive(folder / "sides.tar", members)


def test_where_files_beside_images_say_no_label_folders_do(tmp_path: Path) -> None:
    dataset = open_dataset(sides(tmp_path))
    expected = [(label, split) for split in ("test", "train") for label in ("cat", "dog") for _ in range(2)]
    assert [row[1:3] for row in rows(dataset)] == expected
    assert dataset.columns == {"camera": ["x"] * 8}
    assert any("labels are the names of folders" in note for note in dataset.notes)
    assert open_dataset(sides(tmp_path), class_level="leaf").labels == [label for label, _ in expected]
    assert not open_dataset(sides(tmp_path), label_column=None).has_labels


def test_where_files_beside_images_say_labels_folders_do_not(tmp_path: Path) -> None:
    file = sides(tmp_path, '{"label": "said"}')
    assert open_dataset(file).labels == ["said"] * 8
    assert "Leave --class-level out" in message(UsageError, data=file, class_level=1)


def test_a_text_that_no_file_can_hold_makes_its_file_one_that_cannot_be_read(tmp_path: Path) -> None:
    said = [b'{"label": "\\ud800a"}', b'{"k\\ud800": "x"}', b'{"label": ["\\udfff"]}', b'{"label": "a"}']
    write_archive(
        tmp_path / "0.tar", [m for i, each in enumerate(said) for m in ((f"{i}.jpg", b""), (f"{i}.json", each))]
    )
    dataset = open_dataset(tmp_path / "0.tar")
    assert dataset.labels == ["", "", "", "a"]
    assert any(
        note.startswith("3 files beside images cannot be read, such as '0.tar/0.json'") for note in dataset.notes
    )
