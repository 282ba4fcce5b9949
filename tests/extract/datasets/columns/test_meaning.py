"""Tables with images and paths: whether the images in them are meant, or the files that the paths lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbone.extract.datasets.dataset import open_dataset
from tests.made.listings import rows, touch
from tests.made.tables_of_images import photo, write_parquet

pytest.importorskip("pyarrow")

FILES = [("sub/0.jpg", "a", "", ""), ("sub/1.jpg", "b", "", ""), ("sub/2.jpg", "c", "", "")]


def listed(folder: Path, paths: list[str]) -> Path:
    """Write a table of these paths with a thumbnail each, beside the files sub/0.jpg to sub/2.jpg."""
    touch(folder, "sub/0.jpg", "sub/1.jpg", "sub/2.jpg")
    thumbs = [photo(number) for number in range(len(paths))]
    return write_parquet(folder / "t.parquet", {"path": paths, "label": list("abcdef")[: len(paths)], "thumb": thumbs})


@pytest.mark.parametrize(
    "form", ["sub/{}.jpg", "sub\\{}.jpg", "sub/{}", "SUB/{}.JPG", " sub/{}.jpg", "{folder}/sub/{}.jpg", "{}.jpg"]
)
def test_files_are_meant_however_their_paths_are_written(tmp_path: Path, form: str) -> None:
    file = listed(tmp_path, [form.format(number, folder=tmp_path) for number in range(3)])
    dataset = open_dataset(file)
    assert rows(dataset) == FILES
    assert dataset.notes[0] == (
        "'t.parquet' has images in the column 'thumb' and paths in the column 'path'. The files of the paths were "
        "taken; --image-column thumb takes the images instead."
    )


def test_files_are_meant_that_are_named_by_their_addresses(tmp_path: Path) -> None:
    assert rows(open_dataset(listed(tmp_path, [f"file://{tmp_path}/sub/{number}.jpg" for number in range(3)]))) == FILES


@pytest.mark.parametrize("at", [0, 150])
def test_a_few_files_that_are_gone_change_nothing(tmp_path: Path, at: int) -> None:
    names = [f"{number}.jpg" for number in range(300)]
    touch(tmp_path, *(name for number, name in enumerate(names) if not at <= number < at + 140))
    columns: dict[str, object] = {"path": names, "label": ["x"] * 300, "thumb": [photo(1)] * 300}
    assert open_dataset(write_parquet(tmp_path / "t.parquet", columns)).paths == sorted(names)


def test_who_completes_paths_means_files(tmp_path: Path) -> None:
    file = listed(tmp_path, [f"sub/{number}" for number in range(3)])
    assert rows(open_dataset(file, suffix=".jpg")) == FILES


@pytest.mark.parametrize("gone", ["/home/a/{}.png", "https://example.org/{}.png", "x{}"])
def test_images_are_meant_where_no_file_is_and_a_note_says_so(tmp_path: Path, gone: str) -> None:
    dataset = open_dataset(listed(tmp_path, [gone.format(number) for number in range(3)]))
    assert dataset.paths == [f"t.parquet/{row:09}" for row in range(3)]
    assert dataset.notes[0].startswith(
        "'t.parquet' has images in the column 'thumb' and paths in the column 'path'. The images were taken, as the "
        "paths lead to no files"
    )


def test_one_file_that_happens_to_have_a_name_of_theirs_is_not_meant(tmp_path: Path) -> None:
    file = listed(tmp_path, ["1.jpg", "77.jpg", "78.jpg", "79.jpg"])
    assert open_dataset(file).paths[0] == "t.parquet/000000000"


def test_it_is_the_same_behind_a_url(tmp_path: Path) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    file = listed(tmp_path, [f"sub/{number}.jpg" for number in (9, 1, 2)])
    for path in (file, *tmp_path.glob("sub/*")):
        files.pipe_file(f"/meaning/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    dataset = open_dataset("memory://meaning/t.parquet")
    assert dataset.paths == ["sub/1.jpg", "sub/2.jpg", "sub/9.jpg"]
    assert "The files of the paths were taken" in dataset.notes[0]
