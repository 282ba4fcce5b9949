"""Videos as datasets: which frames are taken, what folders say of them, and what is wrong with videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.containers.reading import read_image
from stackbone.extract.datasets.dataset import open_dataset
from stackbone.extract.embedding.indexing import make_index
from tests.made.listings import message, rows, touch
from tests.made.videos import make_video, number_of

pytest.importorskip("av")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "clips"
    make_video(folder / "train/cat/a.mp4", 75)
    make_video(folder / "train/dog/b.avi", 30)
    make_video(folder / "test/dog/c.mov", 5)
    return folder


def test_folders_say_classes_and_splits_and_each_video_is_a_group(clips: Path) -> None:
    dataset = open_dataset(clips)
    assert rows(dataset) == [
        ("test/dog/c.mov/000000.000", "dog", "test", "test/dog/c.mov"),
        ("train/cat/a.mp4/000000.000", "cat", "train", "train/cat/a.mp4"),
        ("train/cat/a.mp4/000001.000", "cat", "train", "train/cat/a.mp4"),
        ("train/cat/a.mp4/000002.000", "cat", "train", "train/cat/a.mp4"),
        ("train/dog/b.avi/000000.000", "dog", "train", "train/dog/b.avi"),
        ("train/dog/b.avi/000001.000", "dog", "train", "train/dog/b.avi"),
    ]
    assert list(dataset.notes) == [
        "The images are 6 frames of 3 videos, and each video is a group.",
        "One frame a second is taken. --every 5s takes fewer, and --every 10 every tenth frame.",
    ]


@pytest.mark.parametrize(
    ("every", "times"),
    [
        ("1s", [0, 1, 2]),
        ("2 s", [0, 2]),
        ("1.5s", [0, 1.5]),
        ("500ms", [0, 0.5, 1, 1.5, 2, 2.5]),
        ("1min", [0]),
        ("25", [0, 1, 2]),
        ("30", [0, 1.2, 2.4]),
        ("1000", [0]),
    ],
)
def test_frames_are_as_far_apart_as_was_asked(clips: Path, every: str, times: list[float]) -> None:
    dataset = open_dataset(clips / "train/cat/a.mp4", every=every)
    assert dataset.paths == [f"a.mp4/{time:010.3f}" for time in times]
    assert (dataset.name, set(dataset.groups)) == ("a", {"a.mp4"})
    assert list(dataset.asked) == [str(clips / "train/cat/a.mp4"), "--every", every]


@pytest.mark.parametrize("every", ["0", "0s", "-1s", "1.5", "0.1ms", "soon", "10 apples", "s", "nan", "1e3s"])
def test_a_step_that_makes_no_frame_is_refused(clips: Path, every: str) -> None:
    text = message(UsageError, data=clips, every=every)
    assert "Expected how far apart the frames of a video are that are taken" in text


def test_the_step_is_refused_where_there_is_no_video(tmp_path: Path) -> None:
    text = message(UsageError, data=touch(tmp_path / "d", "a/x.jpg"), every="1s")
    assert text.startswith("--every 1s goes with videos. Found a folder of class folders.")


def test_a_list_of_videos_is_one_dataset(clips: Path) -> None:
    dataset = open_dataset([clips / "train/cat/a.mp4", clips / "train/dog/b.avi"], every="2s")
    assert dataset.paths == ["cat/a.mp4/000000.000", "cat/a.mp4/000002.000", "dog/b.avi/000000.000"]


def test_a_table_beside_the_videos_says_what_it_says(clips: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_video(tmp_path / f"v/{name}.mp4", 30)
    (tmp_path / "v/metadata.csv").write_text("file_name,label,group,camera\na.mp4,x,g,left\nb.mp4,y,,right\n")
    dataset = open_dataset(tmp_path / "v")
    assert (dataset.labels, dataset.groups) == (["x", "x", "y", "y"], ["g", "g", "b.mp4", "b.mp4"])
    assert dataset.columns == {"camera": ["left", "left", "right", "right"]}


def test_images_beside_videos_are_the_dataset(tmp_path: Path) -> None:
    make_video(tmp_path / "d/cat/a.mp4", 5)
    assert open_dataset(touch(tmp_path / "d", "cat/x.jpg")).paths == ["cat/x.jpg"]


def test_tables_and_videos_that_are_not_read_are_counted_beside(tmp_path: Path) -> None:
    make_video(tmp_path / "d/a.mp4", 5)
    touch(tmp_path / "d", "b.ogv", "labels.csv", "notes.txt")
    (tmp_path / "d/metadata.csv").write_text("file_name,label\na.mp4,x\n")
    dataset = open_dataset(tmp_path / "d")
    assert dataset.labels == ["x"]
    assert sorted((each.sort, each.reason, each.example) for each in dataset.skipped) == [
        (".csv", "a table; name it by itself", "labels.csv"),
        (".ogv", "a video; convert to MP4", "b.ogv"),
        (".txt", "not an image", "notes.txt"),
    ]


def test_frames_are_hashed_and_read_again(clips: Path, tmp_path: Path) -> None:
    dataset = open_dataset(clips, every="400ms")
    made = make_index(dataset, FeatureStore(tmp_path), retry_failed=False, report=lambda *_: None)
    assert made.index.reason == [""] * dataset.n
    for path, digest in zip(dataset.paths, made.index.image_sha256, strict=True):
        content = read_image(str(clips / path), digest.tobytes())
        assert number_of(content) == round(float(path.rpartition("/")[2]) * 25)
    assert made.index.sizes is not None
    assert made.index.sizes.max(axis=0).tolist() == [144, 64]


# --- what goes wrong ---------------------------------------------------------------------------------------


def test_a_damaged_video_is_left_out_and_told(clips: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "v/a.mp4", 30)
    (tmp_path / "v/b.mp4").write_bytes((clips / "train/cat/a.mp4").read_bytes()[:500])
    dataset = open_dataset(tmp_path / "v")
    assert set(dataset.groups) == {"a.mp4"}
    assert [(each.sort, each.example) for each in dataset.skipped] == [("video", "b.mp4")]
    assert any(note.startswith("The video 'b.mp4' is left out: ") for note in dataset.notes)


def test_nothing_but_damaged_videos_is_an_error(tmp_path: Path) -> None:
    (touch(tmp_path / "v", "b.mp4") / "a.mp4").write_bytes(b"nothing")
    text = message(DatasetError, data=tmp_path / "v")
    assert text.startswith("No images: nothing can be read of ")
    assert ", nor of 1 other. Expected a video that can be played." in text


def test_frames_behind_a_cut_fail_by_themselves(tmp_path: Path) -> None:
    file = make_video(tmp_path / "v.mp4", 75)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 4 // 5])
    dataset = open_dataset(file, every="200ms")
    made = make_index(dataset, FeatureStore(tmp_path / "c"), retry_failed=False, report=lambda *_: None)
    is_there = [not reason for reason in made.index.reason]
    assert is_there == sorted(is_there, reverse=True)
    assert 2 < sum(is_there) < len(is_there)
    assert all("ends after" in reason or "damaged" in reason for reason in made.index.reason if reason)
